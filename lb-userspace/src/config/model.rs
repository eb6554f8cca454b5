//! The validated configuration. A value of [`Config`] is consistent: names are unique, references
//! resolve, weights and sizes are in range. The stages behind it need not check again.

mod access;
mod breaker;
mod cluster_set;
mod drill;
mod encap;
mod failover;
mod health;
mod node;
mod outlier;
mod quic;
mod redirects;
mod report;
mod rollout;
mod spill;

pub use access::{AccessList, AccessPolicy, Admit, Prefix};
pub use breaker::CircuitBreaker;
pub use cluster_set::{ClusterSet, Secret};
pub use drill::{Drill, Terms};
pub use encap::{Encap, EncapKind, TunnelKey};
pub use failover::{Failback, FailoverPolicy, OnViolation, Order, Resilience, ResilienceModel};
pub use health::{Authorities, CheckKind, GrpcCheck, HealthCheck, HttpCheck, ProbeVia, Program, Tls};
pub use node::{Accept, NodeConfig, Remember, TunnelKeys};
pub use outlier::Outlier;
pub use quic::{QuicConfig, ServerId};
pub use redirects::{Redirects, Via};
pub use report::ClusterReport;
pub use rollout::{Analysis, Inquiry, Provider, Rollback, Rollout, Sought, Step};
pub use spill::Spill;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything a gateway is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Hex digest of the file's bytes and of the secret's public fingerprint: names this version in `status`.
    pub digest: String,
    /// What all gateways of all clusters share.
    pub cluster_set: ClusterSet,
    /// What concerns this gateway alone.
    pub gateway: Gateway,
    /// Sites, in the file's order.
    pub clusters: Vec<Cluster>,
    /// Services, in the file's order.
    pub services: Vec<Service>,
    /// Pools, in the file's order.
    pub pools: Vec<Pool>,
    /// Health checks, in the file's order.
    pub health_checks: Vec<HealthCheck>,
    /// Access policies, in the file's order.
    pub access_policies: Vec<AccessPolicy>,
    /// Failover policies, in the file's order.
    pub failover_policies: Vec<FailoverPolicy>,
    /// Rollouts, in the file's order.
    pub rollouts: Vec<Rollout>,
    /// Analyses, in the file's order.
    pub analyses: Vec<Analysis>,
    /// Drills, in the file's order.
    pub drills: Vec<Drill>,
}

/// This gateway's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Interfaces whose packets are balanced; at least one.
    pub interfaces: Vec<Interface>,
    /// Directory on a BPF file system below which the maps are pinned.
    pub pin_path: PathBuf,
    /// Outer IPv4 source; `None`: what the route to the backend prefers.
    pub source_v4: Option<Ipv4Addr>,
    /// Outer IPv6 source; `None`: what the route to the backend prefers.
    pub source_v6: Option<Ipv6Addr>,
    /// Sizes of the maps.
    pub limits: Limits,
    /// The socket on which the agent takes `drain` and `undrain`.
    pub admin: PathBuf,
    /// What the gateway sends by itself.
    pub replies: Replies,
    /// Of how many flows one is followed, 1 to 65,536, for what they say about the backends; `None`: none is.
    pub evidence: Option<u32>,
    /// What other clusters' gateways send to it.
    pub redirects: Redirects,
}

/// Packets that the gateway sends by itself, at most so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replies {
    /// Answers to echo requests.
    pub echo: u32,
    /// "Fragmentation needed" and "packet too big".
    pub too_big: u32,
}

impl Default for Replies {
    /// What people who ping are content with, and less than a flood could make use of.
    fn default() -> Self {
        Self { echo: 1000, too_big: 1000 }
    }
}

/// An interface with the program attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Kernel name.
    pub name: String,
    /// How to attach.
    pub mode: XdpMode,
}

/// Where in the kernel the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// Native where the driver can, generic elsewhere.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// After the socket buffer is allocated; works everywhere, slower.
    Generic,
}

impl XdpMode {
    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// Sizes of the maps, fixed while they are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Services.
    pub services: u32,
    /// Endpoints of all pools; at most 16,384 (14 bits in a row).
    pub backends: u32,
    /// Rows of all tables, two bytes each.
    pub rows: u32,
    /// Connections that can be recorded.
    pub connections: u32,
    /// Prefixes of all access policies.
    pub access_prefixes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            services: 16_384,
            backends: 16_384,
            rows: 16 << 20,
            connections: 1 << 20,
            access_prefixes: 128 << 10,
        }
    }
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// DNS label, unique.
    pub name: String,
    /// What is said of it, text by text.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes new flows.
    pub state: ClusterState,
    /// Whether packets are sent to its nodes or to its gateways.
    pub via: Via,
    /// How packets reach them.
    pub encap: Encap,
    /// What they are asked; `None`: nothing.
    pub report: Option<ClusterReport>,
    /// What it can take; `None`: nobody says.
    pub capacity: Option<Capacity>,
}

/// What a cluster can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// New connections per second, of all services together.
    pub new_connections: u32,
}

/// Whether a cluster is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterState {
    /// Takes its share.
    #[default]
    Active,
    /// Takes no new flows, keeps those it has.
    Draining,
    /// Takes nothing.
    Drained,
}

/// One or more VIPs with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `namespace/name`.
    pub name: String,
    /// Its addresses; at least one.
    pub vips: Vec<IpAddr>,
    /// Its ports; at least one.
    pub ports: Vec<ServicePort>,
    /// What of a packet decides its way.
    pub affinity: Affinity,
    /// Names of pools; at least one, no duplicates.
    pub pools: Vec<String>,
    /// What becomes of its connections when rows change.
    pub tracking: Tracking,
    /// Where UDP goes whose row moves.
    pub udp_on_change: UdpOnChange,
    /// Name of its failover policy; `None`: its pools have their weights while anybody is up in them.
    pub failover_policy: Option<String>,
    /// Name of its access policy; `None`: every source is admitted.
    pub access: Option<String>,
    /// What happens when there is nothing to send to.
    pub on_no_backend: OnNoBackend,
    /// How the connection ids of QUIC are read; none: they are not. Different ids, one length of server ids.
    pub quic: Vec<QuicConfig>,
    /// The VIP may be an address of this machine.
    pub allow_local: bool,
}

/// One port of a service, or a range of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// For people.
    pub name: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Port number in host order, of a range the first; 0: any port.
    pub port: u16,
    /// Last port of a range; `None`: it is a single port.
    pub last: Option<u16>,
}

/// A transport protocol that is balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP (6).
    Tcp,
    /// UDP (17).
    Udp,
}

/// Which fields of a packet are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Affinity {
    /// The 5-tuple.
    #[default]
    Flow,
    /// The client's address.
    Client,
    /// The client's prefix, lengths in bits.
    ClientPrefix {
        /// IPv4 prefix length, 1..=32.
        v4: u8,
        /// IPv6 prefix length, 1..=128.
        v6: u8,
    },
    /// Addresses and protocol. The service takes all ports of its protocols, alone on each of its VIPs.
    ThreeTuple,
}

/// What becomes of a service's connections when rows change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracking {
    /// Those on rows that change are recorded, and stay with their backends.
    #[default]
    Transition,
    /// Packets on rows that changed carry the earlier owners, whose receivers find out whose the connection is.
    Chain,
    /// All are recorded, and stay with their backends.
    Full,
    /// The tables alone decide.
    None,
}

/// Where UDP without a record goes while its row is MOVING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UdpOnChange {
    /// To the owner from before the change.
    #[default]
    Keep,
    /// To the owner the row has now.
    Move,
}

/// What happens to a packet for which no backend serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNoBackend {
    /// Dropped and counted.
    #[default]
    Drop,
}

/// A service's nodes in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Unique name.
    pub name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Share among a service's pools, 0..=65,535; 0 takes no new flows.
    pub weight: u16,
    /// Rows of its table: a power of two, 256..=1,048,576.
    pub rows: u32,
    /// Who owns which of them.
    pub algorithm: Algorithm,
    /// Its nodes; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// Name of its health check; `None`: always up.
    pub health: Option<String>,
    /// When clients' packets take an endpoint out; `None`: never.
    pub outlier: Option<Outlier>,
    /// When they take the whole pool out; `None`: never.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Time in which a node that comes up grows from a tenth of its weight to all of it; zero: it has all at once.
    pub slow_start: Duration,
}

/// How a pool's rows are given to its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Weighted Maglev: as even as can be.
    #[default]
    Maglev,
    /// Weighted rendezvous hashing with a cap for each node: a change moves hardly more than it must.
    Hrw,
}

/// A node of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Outer destination.
    pub address: IpAddr,
    /// Share within the pool; 0 takes no new flows.
    pub weight: u16,
    /// What its QUIC connection ids say of it. There, and of the right length, if a service of the pool reads them.
    pub server_id: Option<ServerId>,
}
