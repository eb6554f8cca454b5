//! What lies in the `state` map beside the tables: the compiler's record and the agent's own condition, as one
//! JSON text. A command reads it with no agent alive; a new agent continues with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::compile::Record;
use crate::config::model;
use crate::milliseconds::milliseconds;
use crate::policy::breaker::State;
use crate::policy::drill::Drill;
use crate::policy::memory::Memory;
use crate::policy::outlier::Kept;
use crate::policy::rollout::progress::Progress;

/// The text in the `state` map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The agent.
    pub agent: Agent,
    /// What an operator drains.
    #[serde(default)]
    pub drained: Drained,
    /// What policy remembers.
    #[serde(default)]
    pub memory: Memory,
    /// Endpoints that are ejected, or were lately, by pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ejections: Ejections,
    /// Breakers that are not closed, by pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub breakers: Breakers,
    /// The drill that runs or ran last, and when others were.
    #[serde(default, skip_serializing_if = "Drills::is_empty")]
    pub drills: Drills,
    /// How far rollouts are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rollouts: Rollouts,
    /// What nodes reported; `None`: none is asked, or there is no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports: Option<Reports>,
    /// What services and clusters got when this was written; `None`: nobody asks, or it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loads: Option<Loads>,
    /// What has which index, and why.
    pub record: Record,
}

/// By pool and address.
pub type Ejections = BTreeMap<String, BTreeMap<IpAddr, Kept>>;

/// By pool.
pub type Breakers = BTreeMap<String, State>;

/// The drill that runs or ran last, and when others were.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drills {
    /// The one that runs, or ran last.
    pub last: Option<Drill>,
    /// By name of those that are done again: when they last were, or were first known, in milliseconds of the kernel's
    /// monotonic clock.
    pub since: BTreeMap<String, u64>,
}

impl Drills {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// When one is to be done again, in milliseconds of the kernel's monotonic clock; `None`: when an operator says so.
    pub fn due(&self, drill: &model::Drill) -> Option<u64> {
        Some(self.since.get(&drill.name)?.saturating_add(milliseconds(drill.every?)))
    }
}

/// By name.
pub type Rollouts = BTreeMap<String, Progress>;

/// What takes nothing new because an operator said so. It holds until it is told otherwise, whatever agent
/// runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// Endpoints: name of the pool and address.
    pub backends: BTreeSet<(String, IpAddr)>,
    /// Names of clusters.
    pub clusters: BTreeSet<String>,
}

/// New flows per second, estimated from those that are followed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loads {
    /// By service: of those that share pools, of all together.
    pub services: BTreeMap<String, u64>,
    /// By cluster.
    pub clusters: BTreeMap<String, ClusterLoad>,
}

/// What a cluster gets, and what it can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterLoad {
    /// New flows per second.
    pub demand: u64,
    /// What it can take of them; `None`: nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// What nodes reported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reports {
    /// Nodes that are asked.
    pub asked: usize,
    /// Nodes of which there is a report that is not too old.
    pub reporting: usize,
    /// Nodes that did not answer when they were last asked, and why; of many, some.
    pub silent: BTreeMap<IpAddr, String>,
    /// By pool and endpoint.
    pub backends: BTreeMap<String, BTreeMap<IpAddr, Reported>>,
    /// What was refused between the last two reports of a node; of many, some.
    pub refusing: Vec<Refusing>,
}

/// What a node reported of the ports of a pool's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// Connections that it refused since it began to count.
    pub refused: u64,
    /// Connections that it has.
    pub connections: u64,
}

/// A port of a VIP at which a node refuses connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusing {
    /// The node.
    pub node: IpAddr,
    /// VIP, port and protocol: `198.51.100.10:443/tcp`.
    pub port: String,
    /// Connections that it refused between its last two reports.
    pub refused: u64,
}

/// The agent that wrote this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// When the configuration in force was read.
    #[serde(with = "time::serde::rfc3339")]
    pub configured: OffsetDateTime,
    /// When the tables were last brought up to date.
    #[serde(with = "time::serde::rfc3339")]
    pub applied: OffsetDateTime,
    /// Whether it took over maps that were there.
    pub adopted: bool,
    /// Interfaces that are balanced.
    pub interfaces: Vec<InterfaceState>,
    /// Interfaces by which probes through tunnels leave.
    #[serde(default)]
    pub probes: Vec<String>,
    /// Bits of the [`Features`](lb_common::abi::Features) that the tables make use of.
    #[serde(default)]
    pub features: u32,
    /// Changed configurations that were refused since the agent started.
    #[serde(default)]
    pub refused_configs: u64,
    /// Connections that were removed because they were over, since the maps were made.
    #[serde(default)]
    pub swept: u64,
    /// Rows that forgot an owner that served, under `tracking: chain`.
    #[serde(default)]
    pub forgotten: u64,
    /// What went wrong last and still stands: a changed configuration that is refused, or tables that cannot be
    /// made or written.
    pub last_error: Option<String>,
}

/// An interface with the program on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
    /// The kernel's number for the program.
    pub program_id: u32,
}
