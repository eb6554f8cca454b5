//! What a node's receiver goes by and has counted, as commands print it. Pure; whatever is read comes in with
//! [`Seen`].

pub mod contents;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use state::{NodeState, Unclamped};
pub use status::{Accepts, Clamped, NodeStatus, Segments, Taken, Vxlan, status};

use lb_common::abi::{AccessKey, TunnelCounters, TunnelKind};
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
    /// Interfaces with the program on them.
    pub interfaces: Vec<InterfaceView>,
    /// Interfaces with the program for what they send.
    pub clamping: Vec<String>,
    /// What the agent wrote; `None`: nothing yet.
    pub state: Option<NodeState>,
    /// The present.
    pub now: OffsetDateTime,
}

/// A gateway's prefix as text: `192.0.2.1/32`.
fn prefix(key: &AccessKey) -> String {
    let (family, length) = key.length();
    format!("{}/{length}", key.address().ip(family))
}
