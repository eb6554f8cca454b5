//! What a node's receiver goes by and has counted, as commands print it. Pure; whatever is read comes in with
//! [`Seen`].

pub mod contents;
mod flow;
mod hop;
mod refused;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use flow::{Flow, flow_key};
pub use hop::Hop;
pub use refused::{Refused, RefusedPort};
pub use state::{NodeState, Unclamped};
pub use status::{Accepts, Clamped, NodeStatus, Others, Remembered, Segments, Tags, Taken, Vxlan, status};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{AccessKey, Owned, OwnedKey, RefusedKey, TunnelCounters, TunnelKind};
use lb_common::reason::ReceiverReason;
use time::OffsetDateTime;

use super::view::InterfaceView;
use crate::compile::ReceiverImage;

/// Everything the answers are made from.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it goes by.
    pub image: ReceiverImage,
    /// What it took out of tunnels, by kind.
    pub taken: Vec<(TunnelKind, TunnelCounters)>,
    /// Packets that ended for a reason.
    pub reasons: Vec<(ReceiverReason, u64)>,
    /// Answers to SYNs that were made to ask for less.
    pub clamped: u64,
    /// Connections that it refused.
    pub refused: Vec<(RefusedKey, u64)>,
    /// Flows that it remembers, as far as they were read.
    pub flows: Vec<(OwnedKey, Owned)>,
    /// How many it can remember.
    pub capacity: u32,
    /// The ways to other nodes; the unspecified address of a family stands for all others.
    pub hops: BTreeMap<IpAddr, Hop>,
    /// Nodes to which it had no way of their own.
    pub wanted: BTreeSet<IpAddr>,
    /// Interfaces with the program on them.
    pub interfaces: Vec<InterfaceView>,
    /// Interfaces with a program for what they send.
    pub leaving: Vec<String>,
    /// What the agent wrote; `None`: nothing yet.
    pub state: Option<NodeState>,
    /// The present.
    pub now: OffsetDateTime,
    /// The same by the kernel's monotonic clock, in milliseconds.
    pub clock: u64,
}

/// A gateway's prefix as text: `192.0.2.1/32`.
fn prefix(key: &AccessKey) -> String {
    let (family, length) = key.length();
    format!("{}/{length}", key.address().ip(family))
}
