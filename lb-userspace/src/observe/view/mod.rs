//! What `status`, `services`, `clusters` and `backends` print: the record's names, the maps' rows and the
//! program's counters, put together. Pure; whatever is read or asked for comes in with [`Seen`].

mod backends;
mod clusters;
mod drills;
mod held;
mod rates;
mod rollouts;
mod services;
mod share;
mod status;
#[cfg(test)]
mod tests;

pub use backends::{BackendView, backends};
pub use clusters::{ClusterView, clusters};
pub use drills::{DrillView, DrilledView, DrillsView, ScheduledView, drills};
pub use held::HeldView;
pub use rates::{BackendRates, ClusterRates, Rates, RatesView, rates};
pub use rollouts::{RolloutView, RunView, rollouts};
pub use services::{PoolShare, PortView, ServiceView, services};
pub(crate) use share::{of_pools, owned};
pub use status::{
    AgentView, InterfaceView, ProbesView, ReasonCount, ReportsView, RowCounts, Silent, StatusView, Tracked,
    status,
};

use lb_common::abi::{BackendCounters, Evidence, ProbeCounters, ServiceCounters, TrackingCounters};
use lb_common::reason::Reason;
use lb_ebpf::tables::Tables;
use time::OffsetDateTime;

use super::next_hop::InterfaceName;
use super::published::Published;

/// What the program counted, over all CPUs.
pub trait Counts {
    /// Of a service, by its index.
    fn service(&self, index: u32) -> ServiceCounters;
    /// Of a backend, by its index.
    fn backend(&self, index: u32) -> BackendCounters;
    /// What the sampled flows of a backend came to, by its index.
    fn evidence(&self, index: u32) -> Evidence;
    /// Of packets on rows that are not clean.
    fn tracking(&self) -> TrackingCounters;
    /// Of packets of probes through tunnels.
    fn probes(&self) -> ProbeCounters;
    /// Packets that ended for a reason.
    fn reason(&self, reason: Reason) -> u64;
}

/// Everything the views are made from.
#[derive(Clone, Copy)]
pub struct Seen<'a, T: Tables> {
    /// The agent's record.
    pub published: &'a Published,
    /// What the program looks up.
    pub tables: &'a T,
    /// What it counted.
    pub counts: &'a dyn Counts,
    /// Connections that are recorded, and how many fit.
    pub connections: (u64, u64),
    /// Names of interfaces.
    pub interface_name: InterfaceName<'a>,
    /// The present.
    pub now: OffsetDateTime,
    /// The present in milliseconds of the kernel's monotonic clock.
    pub monotonic: u64,
}

impl<T: Tables> Seen<'_, T> {
    /// Whole seconds since `then`; 0 for a time that is still to come, as after a clock was set back.
    fn age(&self, then: OffsetDateTime) -> u64 {
        (self.now - then).whole_seconds().try_into().unwrap_or(0)
    }
}
