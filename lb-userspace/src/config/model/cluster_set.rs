//! What all gateways that serve the same VIPs share.

use std::time::Duration;

use super::TunnelKey;
use crate::milliseconds::milliseconds;

/// Shared by all gateways that serve the same VIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSet {
    /// Name of the set.
    pub id: String,
    /// The cluster this gateway stands in (`self` in the file).
    pub self_cluster: Option<String>,
    /// The flow hash's secret; the same on all gateways.
    pub secret: Secret,
    /// What tags are made with; `None`: no cluster's packets carry one.
    pub tunnel_key: Option<TunnelKey>,
    /// How long a row that changed its owner counts as MOVING: within it, every connection that is to keep its
    /// backend sends a packet.
    pub change_window: Duration,
    /// How long the next owner of a row is known as one who may be asked before it becomes the owner, in tables of
    /// services that track by chain.
    pub roll_delay: Duration,
}

impl ClusterSet {
    /// The delay of a roll in milliseconds.
    pub fn roll_delay_ms(&self) -> u64 {
        milliseconds(self.roll_delay)
    }

    /// The change window in milliseconds.
    pub fn change_window_ms(&self) -> u64 {
        milliseconds(self.change_window)
    }
}

/// A `SipHash` key: the flow hash's, or one of tags. Its `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// First little-endian word.
    pub k0: u64,
    /// Second little-endian word.
    pub k1: u64,
}

impl From<Secret> for lb_common::abi::TunnelKey {
    fn from(Secret { k0, k1 }: Secret) -> Self {
        Self { k0, k1 }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
