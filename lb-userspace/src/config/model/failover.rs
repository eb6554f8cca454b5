//! How a service's flows are divided when endpoints of a cluster are down.

use std::time::Duration;

/// A failover policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// A DNS label, unique.
    pub name: String,
    /// Which clusters come first.
    pub order: Order,
    /// How much more than its part an endpoint can take: percent, 100 and more.
    pub overprovisioning: u32,
    /// Percent of the endpoints of a priority; with fewer up, and where other priorities cannot take it all, health counts
    /// for nothing. 0: never.
    pub panic_threshold: u32,
    /// Endpoints of a pool; with fewer up, it counts as having none.
    pub min_healthy: u32,
    /// How the health of a pool that comes up again is taken in; `None`: at once.
    pub failback: Option<Failback>,
}

/// How the health of a pool that comes up again is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// In steps.
    Auto {
        /// How long it must have been above what is taken in, before each step.
        hold_down: Duration,
        /// What a step adds: percent, 1..=100.
        step: u32,
    },
    /// When an operator says so.
    Manual,
}

impl FailoverPolicy {
    /// The factor unless the file says otherwise: what Envoy has.
    pub const OVERPROVISIONING: u32 = 140;
    /// The threshold unless the file says otherwise: what Envoy has.
    pub const PANIC_THRESHOLD: u32 = 50;
}

/// Which clusters come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Names of clusters by priority: no group is empty, no cluster in two.
    Groups(Vec<Vec<String>>),
    /// Names of labels: the more of them, from the first on, a cluster has alike with this gateway's, the earlier it comes.
    /// The gateway's cluster is known.
    Labels(Vec<String>),
}
