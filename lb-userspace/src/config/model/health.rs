use std::ops::RangeInclusive;
use std::time::Duration;

/// How a pool's nodes are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Unique name.
    pub name: String,
    /// What is sent and what must come back.
    pub kind: CheckKind,
    /// How a probe reaches the node.
    pub via: ProbeVia,
    /// Port that is probed, host order. `None`: the service's own, only of checks through the tunnel.
    pub port: Option<u16>,
    /// Time between the starts of two probes.
    pub interval: Duration,
    /// Time after which a probe has failed; not more than the interval.
    pub timeout: Duration,
    /// Passes in a row that make a node up.
    pub rise: u32,
    /// Failures in a row that make a node down.
    pub fall: u32,
    /// Each interval is changed by up to this many percent, 0..=100.
    pub jitter_percent: u8,
}

/// How a probe reaches a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeVia {
    /// To its own address.
    #[default]
    Direct,
    /// As a client's packets do: to a VIP, encapsulated to the node.
    Tunnel,
}

/// The kinds of health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// The connection opens.
    Tcp,
    /// A GET is answered with an expected status.
    Http {
        /// Path and query.
        path: String,
        /// `Host` header; `None`: the node's address.
        host: Option<String>,
        /// Statuses that pass.
        expect: RangeInclusive<u16>,
    },
}
