//! What lies in a receiver's `state` map: the condition of its agent, as JSON. A command reads it with no agent
//! alive.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The agent that wrote this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
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
    /// Names the version of the file that is in force.
    pub config_digest: String,
    /// Whether it took over maps that were there.
    pub adopted: bool,
    /// Changed configurations that were refused since it started.
    pub refused_configs: u64,
    /// What is wrong and still stands: a changed configuration that is refused, maps that cannot be written,
    /// interfaces that are gone.
    pub last_error: Option<String>,
    /// Since when refused connections are counted.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub refused_since: Option<OffsetDateTime>,
    /// Interfaces whose answers to SYNs are not clamped, or whose refused connections are not counted, though the file says
    /// that they are to be.
    #[serde(default)]
    pub unclamped: Vec<Unclamped>,
}

/// An interface that refuses the program for what it sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unclamped {
    /// Its name.
    pub interface: String,
    /// Why, and what to do about it.
    pub reason: String,
}
