use std::time::Duration;

/// What a gateway asks the nodes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterReport {
    /// TCP port at which they tell it, in host order.
    pub port: u16,
    /// How often each is asked.
    pub interval: Duration,
}
