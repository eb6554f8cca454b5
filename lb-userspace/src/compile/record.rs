//! The agent's record: which name has which index, and what the commands print about it.
//!
//! It lies in the `state` map beside the maps it explains, as JSON, so that a new agent continues with it
//! and a command reads it with no agent alive. It is to be written before the first change of its
//! generation is applied, and again when that generation's quarantine is released: then it names at any
//! moment at least all that the kernel may hold.

use crate::config::model::{Affinity, ClusterState, Protocol, Tracking};
use crate::policy::desired::{Hold, MemberState, WHOLE};
use crate::policy::slices::KeptOut;
use lb_common::abi::EARLIER;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that is named, in force or in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Version of the tables; counts up with each compilation that changed something. 0: nothing was compiled.
    pub generation: u32,
    /// Digest of the configuration.
    pub config_digest: String,
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterRecord>,
    /// Services by name.
    pub services: BTreeMap<String, ServiceRecord>,
    /// Pools by name.
    pub pools: BTreeMap<String, PoolRecord>,
    /// Node and cluster tables by index.
    pub tables: BTreeMap<u32, TableRecord>,
    /// Access policies by index.
    #[serde(default)]
    pub access: BTreeMap<u32, AccessRecord>,
}

impl Record {
    /// Whether no service sends new flows to a pool.
    pub fn is_idle(&self, pool: &str) -> bool {
        let shares = self.services.values().flat_map(|service| &service.pools);
        shares.filter(|share| share.name == pool).all(|share| share.weight == 0)
    }

    /// Index of the access policy in force that has this name.
    pub fn access_index(&self, name: &str) -> Option<u32> {
        let mut known = self.access.iter();
        known.find(|(_, policy)| policy.name == name && policy.gone.is_none()).map(|(index, _)| *index)
    }
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRecord {
    /// Whether it is used.
    #[serde(with = "ClusterStateText")]
    pub state: ClusterState,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRecord {
    /// Index in `services` and `service_stats`.
    pub index: u32,
    /// The generation that no longer named it; `None`: it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
    /// Its addresses.
    pub vips: Vec<IpAddr>,
    /// Its ports.
    pub ports: Vec<PortRecord>,
    /// What of a packet is hashed.
    #[serde(with = "AffinityText")]
    pub affinity: Affinity,
    /// Its pools with the weights in force.
    pub pools: Vec<ShareRecord>,
    /// Name of its access policy; `None`: every source is admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// What becomes of its connections when rows change.
    #[serde(with = "TrackingText")]
    pub tracking: Tracking,
    /// Index of its cluster table; 0: it has none, being of one pool or none.
    pub table: u32,
    /// Index of its pool, where it has one and no table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<u16>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortRecord {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// TCP or UDP.
    #[serde(with = "ProtocolText")]
    pub protocol: Protocol,
    /// Port number in host order, of a range the first; 0: any.
    pub port: u16,
    /// Last port of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u16>,
}

/// A pool's part in a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareRecord {
    /// The pool's name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Weight in force.
    pub weight: u16,
    /// Priority of its cluster, 0 first; `None`: the service has no failover policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<usize>,
    /// Its health in percent, as the service's failover policy counts it; `None`: the service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<u32>,
    /// Its priority is in panic.
    #[serde(default, skip_serializing_if = "is_false")]
    pub panic: bool,
    /// Its health is more than is taken in; `None`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Its priority is full: it is to get so many percent; `None`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<u32>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolRecord {
    /// Index in `pools`.
    pub index: u16,
    /// The generation that no longer named it; `None`: it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
    /// Name of its cluster.
    pub cluster: String,
    /// Configured share among a service's pools.
    pub weight: u16,
    /// Its endpoints that are down are used too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub panic: bool,
    /// The part of the hash space in which it takes no new flows; `None`: it takes its share everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_out: Option<KeptOut>,
    /// Index of its node table; 0: it has none.
    pub table: u32,
    /// Its endpoints by address.
    pub backends: BTreeMap<IpAddr, BackendRecord>,
}

/// An endpoint of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRecord {
    /// Index in `backends` and `backend_stats`, and in rows.
    pub index: u16,
    /// The generation that no longer named it; `None`: it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
    /// As the policy saw it. Whether packets are sent to it is in the map.
    pub state: MemberState,
    /// Configured share within the pool.
    pub weight: u16,
    /// How much of the weight counts, in tenths.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub tenths: u8,
    /// Why it is in that state; empty: nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When its health last changed, in milliseconds since the Unix epoch; 0: never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_change: u64,
}

/// An access policy with one list of prefixes: with another list it has another index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessRecord {
    /// Its name.
    pub name: String,
    /// Names its prefixes.
    pub fingerprint: u64,
    /// The generation that no longer named it; `None`: it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
}

/// What the rows of a table belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// To pools.
    Cluster,
    /// To backends.
    Node,
}

/// A table's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableRecord {
    /// Whose rows they are.
    pub tier: Tier,
    /// Names the content: who contends with which weight, and for how many rows.
    pub fingerprint: u64,
    /// Log2 of the number of rows.
    pub log2_rows: u32,
    /// First row of the current owners.
    pub current: u32,
    /// First row of the stable owners; equals `current` where none are kept.
    pub stable: u32,
    /// First rows of the earlier owners, the newer first; equal `current` where none are kept.
    pub earlier: [u32; EARLIER],
    /// The generation that made it.
    pub generation: u32,
    /// The generation that no longer named it; `None`: it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
    /// What its rows announce; `None`: they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// The table that will follow upon another, whose owners are announced: each is among those who are asked after
/// connections of its rows, and gets no new ones yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Next {
    /// Names its content.
    pub fingerprint: u64,
    /// Since when it is announced, in milliseconds of the clock that compilations go by.
    pub since: u64,
}

impl TableRecord {
    /// First rows of its regions, each once.
    pub fn regions(&self) -> impl Iterator<Item = u32> {
        let others = [self.stable].into_iter().chain(self.earlier);
        std::iter::once(self.current).chain(others.filter(|base| *base != self.current))
    }
}

const fn whole() -> u8 {
    WHOLE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_whole(tenths: &u8) -> bool {
    *tenths == WHOLE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClusterState", rename_all = "lowercase")]
enum ClusterStateText {
    Active,
    Draining,
    Drained,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Tracking", rename_all = "lowercase")]
enum TrackingText {
    Transition,
    Chain,
    Full,
    None,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Protocol", rename_all = "UPPERCASE")]
enum ProtocolText {
    Tcp,
    Udp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Affinity", rename_all = "camelCase")]
enum AffinityText {
    Flow,
    Client,
    ClientPrefix { v4: u8, v6: u8 },
    ThreeTuple,
}
