//! What lies in the `state` map beside the tables: the compiler's record and the agent's own condition, as one
//! JSON text. A command reads it with no agent alive; a new agent continues with it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::compile::Record;

/// The text in the `state` map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The agent.
    pub agent: Agent,
    /// What an operator drains.
    #[serde(default)]
    pub drained: Drained,
    /// What has which index, and why.
    pub record: Record,
}

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
