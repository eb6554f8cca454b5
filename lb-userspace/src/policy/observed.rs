//! What was seen of the world: the second half of the policy's input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::new_flows::Rates;
use super::slices::Slices;
use crate::config::model::{Config, Protocol};

/// Everything a gateway knows beside its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Latest verdict by pool name and endpoint address; a missing one counts as unknown.
    pub health: BTreeMap<(String, IpAddr), Health>,
    /// How each endpoint address is reached; a missing one is not resolved yet.
    pub next_hops: BTreeMap<IpAddr, NextHop>,
    /// Endpoints (pool name and address) that an operator drains.
    pub drained_backends: BTreeSet<(String, IpAddr)>,
    /// Endpoints (pool name and address) that take nothing new for what clients' packets say of them, and why.
    pub ejected: BTreeMap<(String, IpAddr), String>,
    /// Pools that take no new flows in a part of the hash space.
    pub kept_out: Slices,
    /// Clusters that an operator drains.
    pub drained_clusters: BTreeSet<String>,
    /// What rollouts have set, by name: percent of what its two pools have together that the second has.
    pub rollouts: BTreeMap<String, u8>,
    /// Addresses of this machine.
    pub own_addresses: BTreeSet<IpAddr>,
    /// What nodes reported last, by endpoint address; what is too old is not in it.
    pub reports: BTreeMap<IpAddr, NodeReport>,
    /// New flows per second by pool; `None`: not known yet, or nobody asks.
    pub new_flows: Option<Rates>,
}

impl Observed {
    /// A world in which all endpoints of a configuration can be reached; by which way is left open, as interface 0 and the
    /// unspecified address. Nobody has been probed, which counts as up; no VIP or endpoint is this machine's.
    pub fn all_well(config: &Config) -> Self {
        let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
        let next_hops =
            endpoints.map(|endpoint| (endpoint.address, NextHop::open(endpoint.address))).collect();
        Self { next_hops, ..Self::default() }
    }
}

/// What a node reported last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// When it was got, in milliseconds of the kernel's monotonic clock.
    pub taken_ms: u64,
    /// Since when the node counts refusals, in milliseconds since the Unix epoch; another moment: it began anew.
    pub since_ms: u64,
    /// Whether a port that is not in it has no connections.
    pub complete: bool,
    /// What it says of each port of a VIP.
    pub services: BTreeMap<VipPort, PortCounts>,
}

/// A port of a VIP. Ordered so that the ports of an address and protocol lie beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VipPort {
    /// The VIP.
    pub address: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port, in host order.
    pub port: u16,
}

impl fmt::Display for VipPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", SocketAddr::new(self.address, self.port))
    }
}

/// What a node says of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortCounts {
    /// Connections that it refused since it began to count.
    pub refused: u64,
    /// Connections that it has.
    pub connections: u64,
}

/// What a health check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Up or down, or not known yet.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
    /// When the verdict last changed, in milliseconds since the Unix epoch.
    pub changed_ms: u64,
}

/// A health check's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No probe has finished yet; counts as up.
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// The way to an address: an Ethernet neighbour behind an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// Egress interface index.
    pub interface: u32,
    /// VLAN of the egress; 0: none.
    pub vlan: u16,
    /// The neighbour's MAC.
    pub destination_mac: [u8; 6],
    /// The egress interface's MAC.
    pub source_mac: [u8; 6],
    /// Source address that the route prefers; of the destination's family.
    pub source: Option<IpAddr>,
    /// MTU of the path's first link in bytes (IP packet).
    pub mtu: u16,
}

impl NextHop {
    /// Some way to an address, of which nothing is known.
    fn open(address: IpAddr) -> Self {
        let source = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self {
            interface: 0,
            vlan: 0,
            destination_mac: [0; 6],
            source_mac: [0; 6],
            source: Some(source),
            mtu: u16::MAX,
        }
    }
}
