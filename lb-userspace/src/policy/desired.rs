//! What should be served: the policy's result, and all that the compiler reads.

use super::observed::NextHop;
use super::slices::KeptOut;
use crate::config::model;
use crate::config::model::{
    AccessPolicy, Affinity, Algorithm, ClusterState, EncapKind, OnNoBackend, QuicConfig, Replies, Secret,
    ServerId, ServicePort, Tracking, UdpOnChange,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What the maps should come to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Digest of the configuration this follows from.
    pub config_digest: String,
    /// The flow hash's secret, first and second little-endian word.
    pub secret: (u64, u64),
    /// Epoch and key of tags; `None`: there are none.
    pub tunnel_key: Option<(u8, Secret)>,
    /// How long a row that changed its owner counts as MOVING, in milliseconds.
    pub change_window: u64,
    /// How long the next owner of a row that tracks by chain is only asked, in milliseconds.
    pub roll_delay: u64,
    /// What the gateway sends by itself.
    pub replies: Replies,
    /// Of how many flows one is followed; `None`: none is.
    pub evidence: Option<u32>,
    /// Clusters, in the configuration's order.
    pub clusters: Vec<Cluster>,
    /// Services, in the configuration's order.
    pub services: Vec<Service>,
    /// Pools, in the configuration's order.
    pub pools: Vec<Pool>,
    /// The access policies that services name, in the configuration's order.
    pub access: Vec<AccessPolicy>,
    /// What goes by way of gateways, here and elsewhere.
    pub redirects: Redirects,
}

/// What other clusters' gateways send here, and what is sent to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirects {
    /// The cluster this gateway stands in, whose nodes take what is sent here.
    pub own: Option<String>,
    /// Clusters whose pools have gateways, not nodes.
    pub through: BTreeSet<String>,
    /// Addresses that others send to; none: nobody does.
    pub addresses: BTreeSet<IpAddr>,
    /// Who they are, and the port.
    pub taken: model::Redirects,
}

/// A cluster as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Configured state, or draining by an operator's word.
    pub state: ClusterState,
}

/// A service as it should be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `namespace/name`.
    pub name: String,
    /// Its addresses.
    pub vips: Vec<Vip>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// What of a packet is hashed.
    pub affinity: Affinity,
    /// What becomes of its connections when rows change.
    pub tracking: Tracking,
    /// Where UDP goes whose row moves.
    pub udp_on_change: UdpOnChange,
    /// Name of its access policy; `None`: every source is admitted.
    pub access: Option<String>,
    /// What happens when there is nothing to send to.
    pub on_no_backend: OnNoBackend,
    /// How its connection ids are read; none: they are not.
    pub quic: Vec<QuicConfig>,
    /// All of its pools, also those of weight 0.
    pub shares: Vec<Share>,
}

/// An address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// It is also an address of this machine.
    pub local: bool,
}

/// A pool's part in a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name of the pool.
    pub pool: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Weight in force; 0 takes no new flows.
    pub weight: u16,
    /// Priority of its cluster, 0 first; `None`: the service has no failover policy.
    pub priority: Option<usize>,
    /// Its health in percent, as the service's failover policy counts it; `None`: the service has none.
    pub health: Option<u32>,
    /// Its priority is in panic.
    pub panic: bool,
    /// Its health is more than is taken in; `None`: it is not.
    pub hold: Option<Hold>,
    /// Its priority is full: of the service's new flows it is to get so many percent. `None`: it is not.
    pub ceiling: Option<u32>,
}

impl Share {
    /// One with this weight, of a service without failover policy.
    pub fn fixed(pool: impl Into<String>, cluster: impl Into<String>, weight: u16) -> Self {
        Self {
            pool: pool.into(),
            cluster: cluster.into(),
            weight,
            priority: None,
            health: None,
            panic: false,
            hold: None,
            ceiling: None,
        }
    }
}

/// A pool that came up again and does not get all back yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// Its health in percent, by the service's failover policy.
    pub health: u32,
    /// What of it is taken in, in percent.
    pub perceived: u32,
    /// When the next step is due, in milliseconds of the kernel's monotonic clock; `None`: when an operator says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A pool as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Configured share among a service's pools.
    pub weight: u16,
    /// Rows of its node table, a power of two.
    pub rows: u32,
    /// Encapsulation toward its endpoints: that of its cluster.
    pub encap: EncapKind,
    /// Who owns which of them.
    pub algorithm: Algorithm,
    /// Every service that sends to it is in panic: its endpoints that are down are used too.
    pub panic: bool,
    /// The part of the hash space in which it takes no new flows; `None`: it takes its share everywhere.
    pub kept_out: Option<KeptOut>,
    /// Its endpoints, in the configuration's order.
    pub members: Vec<Member>,
}

/// Tenths of a weight all of which counts.
pub const WHOLE: u8 = 10;

/// An endpoint of a pool as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Outer destination.
    pub address: IpAddr,
    /// Configured share within the pool.
    pub weight: u16,
    /// How much of the weight counts, in tenths: 1 to [`WHOLE`].
    pub tenths: u8,
    /// What its QUIC connection ids say of it.
    pub server_id: Option<ServerId>,
    /// Whether it takes new flows, old ones, or none.
    pub state: MemberState,
    /// Why it is in that state, for people; empty: nothing to say.
    pub reason: String,
    /// When its health last changed, in milliseconds since the Unix epoch; 0: never.
    pub changed_ms: u64,
    /// How packets get to it.
    pub reach: Reach,
}

impl Member {
    /// Whether new flows may be sent to it now.
    pub fn usable(&self) -> bool {
        self.weight > 0 && self.state.takes_new() && self.reach != Reach::Unresolved
    }
}

/// State of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Takes new flows.
    Up,
    /// Not probed yet; as up.
    Unknown,
    /// Keeps what it has, takes nothing new.
    Draining,
    /// The same, for what clients' packets say of it.
    Ejected,
    /// Takes nothing.
    Down,
}

impl MemberState {
    /// Whether it keeps what it has, and takes nothing new.
    pub fn keeps_old(self) -> bool {
        matches!(self, Self::Draining | Self::Ejected)
    }

    /// Whether it may own rows of a table.
    pub fn takes_new(self) -> bool {
        matches!(self, Self::Up | Self::Unknown)
    }
}

/// How packets get to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is this machine.
    Local,
    /// Encapsulated, by way of a neighbour.
    Via(Egress),
    /// Not known, so it does not serve.
    Unresolved,
}

/// The outer header's source, and the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Egress {
    /// Interface and neighbour.
    pub hop: NextHop,
    /// Outer source; of the endpoint's family.
    pub source: IpAddr,
    /// Path MTU in bytes (outer IP packet).
    pub mtu: u16,
}
