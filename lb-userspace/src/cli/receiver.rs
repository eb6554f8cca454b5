//! Answers about a node's receiver, from its pins. No agent is asked.

use std::net::IpAddr;

use anyhow::anyhow;
use lb_common::abi::{NodeHop, TunnelKind, receiver_map};
use lb_common::reason::ReceiverReason;
use time::OffsetDateTime;

use super::Failure;
use super::output::{listing, moment, span};
use super::status::{agent_text, interfaces, not_sent};
use crate::datapath::attach::program_id;
use crate::datapath::clock::monotonic;
use crate::datapath::egress;
use crate::datapath::inventory::interface_name;
use crate::datapath::mapping::Access;
use crate::datapath::pins::{PinnedMode, Pins};
use crate::datapath::receiver::{NodeHops, OwnedFlows, ReceiverMaps, Refusals};
use crate::datapath::state;
use crate::observe::node::{
    Accepts, Clamped, Hop, NodeState, NodeStatus, Others, Refused, RefusedPort, Remembered, Seen, Segments,
    Tags,
};
use crate::observe::view::InterfaceView;

/// Reads all of it; `flows`: also those that are remembered, of which there may be many.
pub(super) fn look(pins: &Pins, flows: bool) -> Result<Seen, Failure> {
    let maps = ReceiverMaps::open(pins, Access::Read).map_err(kernel)?;
    let (hops, owned) = (NodeHops::open(pins).map_err(kernel)?, OwnedFlows::open(pins).map_err(kernel)?);
    let hop = |(node, hop): (IpAddr, NodeHop)| (node, Hop::of(&hop, &interface_name));
    Ok(Seen {
        image: maps.image().map_err(kernel)?,
        flows: if flows { owned.all().map_err(kernel)? } else { Vec::new() },
        capacity: owned.capacity(),
        hops: hops.held().map_err(kernel)?.into_iter().map(hop).collect(),
        wanted: hops.wanted().map_err(kernel)?,
        taken: TunnelKind::ALL.into_iter().map(|kind| (kind, maps.taken(kind))).collect(),
        reasons: ReceiverReason::ALL.iter().map(|reason| (*reason, maps.reason_count(*reason))).collect(),
        clamped: maps.clamped(),
        refused: Refusals::open(pins).map_err(kernel)?.all().map_err(kernel)?,
        interfaces: attached(pins)?,
        leaving: leaving(pins)?,
        state: written(&maps, pins)?,
        now: OffsetDateTime::now_utc(),
        clock: monotonic(),
    })
}

fn kernel(error: impl Into<anyhow::Error>) -> Failure {
    Failure::of_kernel(error.into())
}

fn attached(pins: &Pins) -> Result<Vec<InterfaceView>, Failure> {
    let links = pins.links().map_err(kernel)?;
    let view = |link: PinnedMode| {
        let program_id = program_id(&link, pins)?;
        Some(InterfaceView { mode: link.mode.name().to_owned(), name: link.interface, program_id })
    };
    Ok(links.into_iter().filter_map(view).collect())
}

/// Interfaces with a program for what they send.
fn leaving(pins: &Pins) -> Result<Vec<String>, Failure> {
    let mut interfaces = pins.egress_interfaces().map_err(|error| Failure::of_kernel(error.into()))?;
    interfaces.retain(|interface| egress::is_held(&pins.egress(interface)));
    Ok(interfaces)
}

fn written(maps: &ReceiverMaps, pins: &Pins) -> Result<Option<NodeState>, Failure> {
    let place = || pins.map(receiver_map::STATE).display().to_string();
    let text = state::read(&maps.state).map_err(|error| anyhow!(error).context(place()))?;
    let mend = "use the `spillway` of the same version as the agent's";
    let parse = |text: Vec<u8>| serde_json::from_slice(&text);
    Ok(text.map(parse).transpose().map_err(|error| anyhow!("{}: {error}; {mend}", place()))?)
}

/// `spillway status` of a node.
pub(super) fn text(view: &NodeStatus) -> String {
    let mut rows = vec![
        ("agent", agent(view)),
        ("config", config(view)),
        ("interfaces", interfaces(&view.interfaces)),
        ("accepts", accepts(&view.accepts)),
        ("tags", tags(&view.tags)),
        ("remembers", remembers(&view.remembered)),
        ("hops", hops(&view.hops)),
        ("gateways", or_none(&view.gateways)),
        ("addresses", or_none(&view.addresses)),
        ("clamped", clamped(view)),
        ("last error", view.last_error.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    let without = if view.accepts.segments.is_some() { "not clamped" } else { "not counted" };
    rows.extend(
        view.clamped
            .refused
            .iter()
            .map(|refused| (without, format!("{}: {}", refused.interface, refused.reason))),
    );
    rows.extend(refused(&view.refused).into_iter().map(|line| ("refused", line)));
    let taken = |taken: &crate::observe::node::Taken| {
        ("taken out", format!("{} {}, {} bytes", taken.packets, taken.kind, taken.bytes))
    };
    rows.extend(view.taken.iter().filter(|taken| taken.packets > 0).map(taken));
    rows.extend(view.reasons.iter().map(|reason| (ended(reason.name), not_sent(reason))));
    listing(&rows)
}

/// The first few, of which most were.
fn refused(refused: &Refused) -> Vec<String> {
    const SHOWN: usize = 10;
    let since = refused.since.map_or_else(String::new, |since| format!(" since {}", moment(since)));
    let line = |port: &RefusedPort| {
        let connections = if port.refused == 1 { "connection" } else { "connections" };
        format!("{} {connections} to {port}{since}", port.refused)
    };
    let mut lines: Vec<_> = refused.ports.iter().take(SHOWN).map(line).collect();
    if refused.ports.len() > SHOWN {
        lines.push(format!("{} others", refused.ports.len() - SHOWN));
    }
    lines
}

/// What became of packets that are counted by a reason.
fn ended(name: &str) -> &'static str {
    let dropped = ReceiverReason::ALL.iter().any(|reason| reason.name() == name && reason.drops());
    if dropped { "dropped" } else { "chain" }
}

fn tags(tags: &Tags) -> String {
    if tags.epochs.is_empty() {
        return "not looked at".to_owned();
    }
    let required = if tags.required { "required" } else { "not required" };
    let epochs = if tags.epochs.len() == 1 { "epoch" } else { "epochs" };
    format!("{required}; {epochs} {}", or_none(&tags.epochs))
}

fn remembers(remembered: &Remembered) -> String {
    let Remembered { udp, tcp, entries, capacity } = *remembered;
    let kinds = [(udp, "udp"), (tcp, "tcp")].into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind);
    format!("{}: {entries} of {capacity} flows", or_none(&kinds.collect::<Vec<_>>()))
}

fn hops(others: &Others) -> String {
    let nodes = if others.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", others.nodes) };
    let defaults: Vec<_> =
        others.defaults.iter().map(|family| if *family == "ipv4" { "IPv4" } else { "IPv6" }).collect();
    match defaults.as_slice() {
        [] => format!("{nodes}; there is no way to others"),
        defaults => format!("{nodes}; all others of {} by the default route", defaults.join(" and ")),
    }
}

fn agent(view: &NodeStatus) -> String {
    let (Some(agent), Some(version)) = (&view.agent, &view.version) else { return "none yet".to_owned() };
    let dead = "tunnel packets are taken apart as they were when it ended";
    agent_text(agent, version, view.abi, view.adopted == Some(true), dead)
}

fn config(view: &NodeStatus) -> String {
    match (&view.config_digest, view.config_age) {
        (Some(digest), Some(age)) => format!("{digest}, read {} ago", span(age)),
        _ => "none yet".to_owned(),
    }
}

fn accepts(accepts: &Accepts) -> String {
    let ipip = accepts.ipip.then(|| "ipip".to_owned());
    let gue = accepts.gue.map(|port| format!("gue (port {port})"));
    let vxlan = accepts.vxlan.map(|vxlan| format!("vxlan (port {}, vni {})", vxlan.port, vxlan.vni));
    or_none(&[ipip, gue, vxlan].into_iter().flatten().collect::<Vec<_>>())
}

fn clamped(view: &NodeStatus) -> String {
    let Clamped { answers, interfaces, .. } = &view.clamped;
    let (Some(segments), false) = (view.accepts.segments, interfaces.is_empty()) else {
        return "none".to_owned();
    };
    let Segments { v4, v6 } = segments;
    format!(
        "{answers} answers to SYNs, to {v4} bytes over IPv4, {v6} over IPv6, on {}",
        interfaces.join(", ")
    )
}

fn or_none(list: &[impl ToString]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::node::{Taken, Unclamped, Vxlan};
    use crate::observe::view::{AgentView, ReasonCount};

    fn port(port: u16, refused: u64) -> RefusedPort {
        RefusedPort { address: "198.51.100.10".parse().unwrap(), port, protocol: "tcp", refused }
    }

    #[test]
    fn a_line_for_each_question() {
        let mut view = NodeStatus {
            abi: 5,
            version: Some("0.1.0".into()),
            config_digest: Some("d1".into()),
            config_age: Some(7300),
            adopted: Some(true),
            last_error: None,
            agent: Some(AgentView { pid: 42, running: false, started: OffsetDateTime::UNIX_EPOCH }),
            interfaces: vec![InterfaceView { name: "eth0".into(), mode: "native".into(), program_id: 55 }],
            accepts: Accepts {
                ipip: true,
                gue: Some(6080),
                vxlan: Some(Vxlan { port: 4789, vni: 100 }),
                segments: Some(Segments { v4: 1356, v6: 1336 }),
            },
            tags: Tags { required: true, epochs: vec![3, 4] },
            remembered: Remembered { udp: true, tcp: false, entries: 12, capacity: 65_536 },
            hops: Others { nodes: 3, defaults: vec!["ipv4", "ipv6"] },
            gateways: vec!["192.0.2.1/32".into(), "2001:db8::/64".into()],
            addresses: vec!["10.1.1.2".parse().unwrap()],
            taken: ["ipip", "gue"].map(|kind| Taken { kind, packets: 5, bytes: 500 }).into(),
            clamped: Clamped { answers: 7, interfaces: vec!["eth0".into()], refused: Vec::new() },
            refused: Refused {
                since: Some(OffsetDateTime::UNIX_EPOCH),
                interfaces: vec!["eth0".into()],
                ports: vec![port(443, 9), port(80, 1)],
            },
            reasons: [("unknown-peer", 9), ("sent-on", 4)]
                .map(|(name, packets)| ReasonCount { name, packets, expected: true })
                .into(),
        };
        let expected = "\
agent       pid 42, version 0.1.0, ABI 5, took over pinned maps: NOT RUNNING (started 1970-01-01T00:00:00Z); tunnel packets are taken apart as they were when it ended
config      d1, read 2 h ago
interfaces  eth0 (native, program 55)
accepts     ipip, gue (port 6080), vxlan (port 4789, vni 100)
tags        required; epochs 3, 4
remembers   udp: 12 of 65536 flows
hops        3 nodes; all others of IPv4 and IPv6 by the default route
gateways    192.0.2.1/32, 2001:db8::/64
addresses   10.1.1.2
clamped     7 answers to SYNs, to 1356 bytes over IPv4, 1336 over IPv6, on eth0
last error  none
refused     9 connections to 198.51.100.10:443/tcp since 1970-01-01T00:00:00Z
refused     1 connection to 198.51.100.10:80/tcp since 1970-01-01T00:00:00Z
taken out   5 ipip, 500 bytes
taken out   5 gue, 500 bytes
dropped     9 unknown-peer
chain       4 sent-on";
        assert_eq!(text(&view), expected);
        view.refused.ports = (0..12).map(|number| port(number, 1)).collect();
        assert!(text(&view).contains("refused     2 others"), "{}", text(&view));
        (view.agent, view.addresses) = (None, Vec::new());
        view.tags.epochs.clear();
        let silent = text(&view);
        assert!(silent.contains("tags        not looked at"), "{silent}");
        assert!(silent.contains("agent       none yet") && silent.contains("addresses   none"), "{silent}");
        view.clamped.refused = vec![Unclamped { interface: "ppp0".into(), reason: "no Ethernet".into() }];
        let refused = text(&view);
        assert!(refused.contains("not clamped  ppp0: no Ethernet"), "{refused}");
        view.accepts.segments = None;
        let off = text(&view);
        assert!(off.contains("clamped      none") && off.contains("not counted  ppp0: no Ethernet"), "{off}");
    }
}
