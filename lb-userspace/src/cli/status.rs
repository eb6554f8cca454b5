use std::fs;

use super::Failure;
use super::look::{Look, Source, pins};
use super::output::{listing, moment, span};
use super::receiver;
use crate::datapath::pins::Tenant;
use crate::observe::node;
use crate::observe::view::{
    AgentView, InterfaceView, ProbesView, ReasonCount, ReportsView, RowCounts, Seen, StatusView, Tracked,
    status,
};

/// As the kernel knows the agent's process.
const COMMAND: &str = "spillway";

/// `spillway status`.
pub(super) fn run(source: &Source) -> Result<(), Failure> {
    let pins = pins(&source.pinned)?;
    if pins.tenant() == Some(Tenant::Node) {
        return source.output.print(&node::status(&receiver::look(&pins, true)?, runs), receiver::text);
    }
    let look = Look::at(&source.pinned)?;
    let seen = Seen { connections: look.connections()?.count().map_err(anyhow::Error::from)?, ..look.seen() };
    let view = status(&seen, runs(look.published.agent.pid));
    source.output.print(&view, text)
}

/// Whether there is such a process and it is one of ours. One in another PID namespace is not seen.
pub(super) fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|command| command.trim_end() == COMMAND)
}

fn text(view: &StatusView) -> String {
    let mut rows = vec![
        ("agent", agent(view)),
        ("tables", format!("generation {}, applied {} ago", view.generation, span(view.applied_age))),
        ("config", format!("{}, read {} ago", view.config_digest, span(view.config_age))),
        ("interfaces", interfaces(&view.interfaces)),
        ("rows", rows(view)),
        ("tracked", tracked(&view.tracked)),
        ("last error", view.last_error.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    rows.extend(view.probes.iter().map(|view| ("probes", probes(view))));
    rows.extend(view.reports.iter().map(|view| ("reports", reports(view))));
    rows.extend(view.rollouts.iter().map(|one| ("rollout", format!("{} {}", one.name, one.says))));
    rows.extend(view.drill.iter().map(|says| ("drill", says.clone())));
    rows.extend(view.reasons.iter().map(|reason| ("not sent", not_sent(reason))));
    listing(&rows)
}

fn agent(view: &StatusView) -> String {
    let dead = "packets are forwarded by the tables as they are";
    agent_text(&view.agent, &view.version, view.abi, view.adopted, dead)
}

/// An agent; `dead`: what happens without it.
pub(super) fn agent_text(agent: &AgentView, version: &str, abi: u32, adopted: bool, dead: &str) -> String {
    let started = moment(agent.started);
    let condition = if agent.running {
        format!("running since {started}")
    } else {
        format!("NOT RUNNING (started {started}); {dead}")
    };
    let adopted = if adopted { ", took over pinned maps" } else { "" };
    format!("pid {}, version {version}, ABI {abi}{adopted}: {condition}", agent.pid)
}

/// Interfaces in one line.
pub(super) fn interfaces(interfaces: &[InterfaceView]) -> String {
    let word = |interface: &InterfaceView| {
        format!("{} ({}, program {})", interface.name, interface.mode, interface.program_id)
    };
    if interfaces.is_empty() {
        return "none".to_owned();
    }
    interfaces.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn rows(view: &StatusView) -> String {
    let RowCounts { clean, moving, residue, chained, forgotten } = view.rows;
    let some = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let (chained, forgotten) = (some(chained, "chained"), some(forgotten, "forgot an owner that served"));
    format!("{clean} clean, {moving} moving, {residue} residue{chained}{forgotten}")
}

fn tracked(tracked: &Tracked) -> String {
    let Tracked { entries, capacity, refused, evicted, .. } = tracked;
    let room = if *refused > 0 || *evicted > 0 { "; raise gateway.limits.trackedConnections" } else { "" };
    format!("{entries} of {capacity} connections, {refused} refused, {evicted} evicted{room}")
}

fn probes(view: &ProbesView) -> String {
    let ProbesView { interfaces, sent, dropped } = view;
    format!("through tunnels, by {}: {sent} packets sent, {dropped} dropped", interfaces.join(", "))
}

/// How many nodes, and the first few that do not.
fn reports(view: &ReportsView) -> String {
    const SHOWN: usize = 3;
    let ReportsView { asked, reporting, silent } = view;
    let told: Vec<_> =
        silent.iter().take(SHOWN).map(|one| format!("{} ({})", one.address, one.reason)).collect();
    let more = if silent.len() > SHOWN { ", and others" } else { "" };
    match told.as_slice() {
        [] => format!("{reporting} of {asked} nodes"),
        told => format!("{reporting} of {asked} nodes; no answer from {}{more}", told.join(", ")),
    }
}

/// How many packets, and why.
pub(super) fn not_sent(reason: &ReasonCount) -> String {
    let defect = if reason.expected { "" } else { " (points to a defect)" };
    format!("{} {}{defect}", reason.packets, reason.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::view::Silent;
    use time::OffsetDateTime;

    fn silent(last: u8) -> Silent {
        Silent { address: [10, 0, 0, last].into(), reason: "connection refused".into() }
    }

    #[test]
    fn a_few_nodes_that_do_not_report_are_named() {
        let view = ReportsView { asked: 9, reporting: 0, silent: (1..=4).map(silent).collect() };
        let text = reports(&view);
        assert!(text.starts_with("0 of 9 nodes; no answer from 10.0.0.1 ("), "{text}");
        assert!(text.contains("10.0.0.3 (") && text.ends_with(", and others"), "{text}");
        let all = ReportsView { silent: Vec::new(), reporting: 9, ..view };
        assert_eq!(reports(&all), "9 of 9 nodes");
    }

    fn view(running: bool) -> StatusView {
        StatusView {
            version: "0.1.0".into(),
            abi: 1,
            generation: 12,
            config_digest: "d1".into(),
            config_age: 7300,
            interfaces: vec![InterfaceView { name: "eth0".into(), mode: "native".into(), program_id: 55 }],
            adopted: true,
            tracked: Tracked::default(),
            rows: RowCounts { clean: 256, ..RowCounts::default() },
            last_error: None,
            agent: AgentView { pid: 42, running, started: OffsetDateTime::UNIX_EPOCH },
            applied_age: 3,
            probes: Some(ProbesView { interfaces: vec!["eth0".into()], sent: 70, dropped: 1 }),
            reports: Some(ReportsView { asked: 8, reporting: 7, silent: vec![silent(1)] }),
            rollouts: Vec::new(),
            drill: None,
            reasons: vec![ReasonCount { name: "missing-entry", packets: 9, expected: false }],
        }
    }

    #[test]
    fn a_line_for_each_question() {
        let expected = "\
agent       pid 42, version 0.1.0, ABI 1, took over pinned maps: running since 1970-01-01T00:00:00Z
tables      generation 12, applied 3 s ago
config      d1, read 2 h ago
interfaces  eth0 (native, program 55)
rows        256 clean, 0 moving, 0 residue
tracked     0 of 0 connections, 0 refused, 0 evicted
last error  none
probes      through tunnels, by eth0: 70 packets sent, 1 dropped
reports     7 of 8 nodes; no answer from 10.0.0.1 (connection refused)
not sent    9 missing-entry (points to a defect)";
        assert_eq!(text(&view(true)), expected);
    }

    #[test]
    fn a_dead_agent_is_told() {
        assert!(text(&view(false)).contains("NOT RUNNING"));
        assert!(!runs(std::process::id()), "a test is no agent");
    }
}
