use std::net::IpAddr;

use lb_common::abi;
use lb_common::reason::Reason;
use lb_common::row::Mode;
use lb_ebpf::tables::Tables;
use serde::Serialize;
use time::OffsetDateTime;

use super::{RolloutView, Seen, drills, rollouts, share};
use crate::observe::published::Reports;

/// The gateway as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// Version of the agent that wrote the record.
    pub version: String,
    /// Version of the maps.
    pub abi: u32,
    /// Version of the tables; counts up with each change.
    pub generation: u32,
    /// Names the configuration in force.
    pub config_digest: String,
    /// Seconds since it was read.
    pub config_age: u64,
    /// Interfaces that are balanced.
    pub interfaces: Vec<InterfaceView>,
    /// Whether the agent took over the maps of one before it.
    pub adopted: bool,
    /// The table of connections.
    pub tracked: Tracked,
    /// Rows of the tables in force by mode.
    pub rows: RowCounts,
    /// The last thing that went wrong and still stands.
    pub last_error: Option<String>,
    /// The agent itself.
    pub agent: AgentView,
    /// Seconds since the tables were last brought up to date.
    pub applied_age: u64,
    /// Probes through tunnels; none without such checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbesView>,
    /// Nodes that are asked what they refuse; none if none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports: Option<ReportsView>,
    /// Rollouts, if any are configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rollouts: Vec<RolloutView>,
    /// The drill that runs, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// Packets that did not go to a backend, by reason; those that were counted at all.
    pub reasons: Vec<ReasonCount>,
}

/// An interface with the program on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
    /// The kernel's number for the program.
    pub program_id: u32,
}

/// Probes through tunnels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbesView {
    /// Interfaces by which they leave.
    pub interfaces: Vec<String>,
    /// Packets that were encapsulated, since the maps were made.
    pub sent: u64,
    /// Packets with the mark of a probe that were not: they did not leave.
    pub dropped: u64,
}

/// Nodes that are asked what they refuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportsView {
    /// How many are.
    pub asked: usize,
    /// Of how many there is a report that is not too old.
    pub reporting: usize,
    /// Those that did not answer the last time; of many, some.
    pub silent: Vec<Silent>,
}

/// A node that does not report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Silent {
    /// Its address.
    pub address: IpAddr,
    /// Why, for people.
    pub reason: String,
}

/// Connections that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tracked {
    /// Connections in the table.
    pub entries: u64,
    /// Connections there is room for.
    pub capacity: u64,
    /// Packets whose connection was to be recorded and was not, for the budget of the second was spent or the
    /// table had no room. Zero: none was led away from a backend that serves.
    pub refused: u64,
    /// Of these, the ones that began a connection.
    pub refused_new: u64,
    /// Connections recorded since the maps were made.
    pub recorded: u64,
    /// Connections that the kernel pushed out to make room for others, as far as the counters tell. Not zero:
    /// raise `gateway.limits.trackedConnections`.
    pub evicted: u64,
    /// Packets that went by a record.
    pub hits: u64,
}

/// Rows by mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowCounts {
    /// Nothing moved there lately.
    pub clean: u64,
    /// The owner changed inside the window.
    pub moving: u64,
    /// The window is over; recorded connections still point elsewhere.
    pub residue: u64,
    /// As clean, and other owners are remembered: packets of services that track by chain carry their addresses.
    pub chained: u64,
    /// Those that forgot an owner that served since the maps were made: three others had come after it, and its
    /// connections were led to them.
    pub forgotten: u64,
}

/// The agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its process.
    pub pid: u32,
    /// Whether that process runs, as far as can be seen from here. If not, packets are forwarded by the tables
    /// as they are.
    pub running: bool,
    /// When it started.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
}

/// Packets that ended for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// Name of the reason.
    pub name: &'static str,
    /// Packets.
    pub packets: u64,
    /// Whether it is seen in ordinary operation.
    pub expected: bool,
}

/// The whole; `running`: whether the agent's process was seen.
pub fn status<T: Tables>(seen: &Seen<T>, running: bool) -> StatusView {
    let (agent, record) = (&seen.published.agent, &seen.published.record);
    let interface = |interface: &crate::observe::published::InterfaceState| InterfaceView {
        name: interface.name.clone(),
        mode: interface.mode.clone(),
        program_id: interface.program_id,
    };
    StatusView {
        version: agent.version.clone(),
        abi: abi::VERSION,
        generation: record.generation,
        config_digest: record.config_digest.clone(),
        config_age: seen.age(agent.configured),
        interfaces: agent.interfaces.iter().map(interface).collect(),
        adopted: agent.adopted,
        tracked: tracked(seen),
        rows: rows(seen),
        last_error: agent.last_error.clone(),
        agent: AgentView { pid: agent.pid, running, started: agent.started },
        applied_age: seen.age(agent.applied),
        probes: probes(seen),
        reports: seen.published.reports.as_ref().map(reports),
        rollouts: rollouts(seen),
        drill: drills(seen).last.filter(|drill| drill.state == "running").map(|drill| drill.says),
        reasons: reasons(seen),
    }
}

fn probes<T: Tables>(seen: &Seen<T>) -> Option<ProbesView> {
    let (interfaces, counters) = (&seen.published.agent.probes, seen.counts.probes());
    let view =
        || ProbesView { interfaces: interfaces.clone(), sent: counters.sent, dropped: counters.dropped };
    (!interfaces.is_empty()).then(view)
}

fn reports(reports: &Reports) -> ReportsView {
    let silent = |(address, reason): (&IpAddr, &String)| Silent { address: *address, reason: reason.clone() };
    let Reports { asked, reporting, .. } = *reports;
    ReportsView { asked, reporting, silent: reports.silent.iter().map(silent).collect() }
}

fn tracked<T: Tables>(seen: &Seen<T>) -> Tracked {
    let counters = seen.counts.tracking();
    let (entries, capacity) = seen.connections;
    Tracked {
        entries,
        capacity,
        refused: counters.refused_new + counters.refused_missed,
        refused_new: counters.refused_new,
        recorded: counters.inserted,
        evicted: counters.inserted.saturating_sub(seen.published.agent.swept + entries),
        hits: counters.hits,
    }
}

fn rows<T: Tables>(seen: &Seen<T>) -> RowCounts {
    let in_force = seen.published.record.tables.iter().filter(|(_, table)| table.gone.is_none());
    let mut counts = RowCounts { forgotten: seen.published.agent.forgotten, ..RowCounts::default() };
    for row in in_force.flat_map(|(index, _)| share::rows(*index, seen.tables)) {
        match row.mode() {
            Mode::Clean => counts.clean += 1,
            Mode::Moving => counts.moving += 1,
            Mode::Residue => counts.residue += 1,
            Mode::Chained => counts.chained += 1,
        }
    }
    counts
}

fn reasons<T: Tables>(seen: &Seen<T>) -> Vec<ReasonCount> {
    let count = |&reason: &Reason| ReasonCount {
        name: reason.name(),
        packets: seen.counts.reason(reason),
        expected: reason.expected(),
    };
    Reason::ALL.iter().map(count).filter(|count| count.packets > 0).collect()
}
