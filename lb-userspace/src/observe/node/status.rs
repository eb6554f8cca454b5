use lb_common::abi::{self, AcceptedFlags, SegmentLimits};
use std::net::IpAddr;

use lb_common::net::NetworkU16;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Refused, Seen, Unclamped, prefix};
use crate::observe::view::{AgentView, InterfaceView, ReasonCount};

/// A node's receiver and its agent, as `status` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Version of the maps' layout.
    pub abi: u32,
    /// The agent's version, and what else it wrote; `None`: nothing yet.
    pub version: Option<String>,
    /// Names the version of the file that is in force.
    pub config_digest: Option<String>,
    /// Seconds since it was read.
    pub config_age: Option<u64>,
    /// Whether the agent took over maps that were there.
    pub adopted: Option<bool>,
    /// What is wrong and still stands.
    pub last_error: Option<String>,
    /// The agent.
    pub agent: Option<AgentView>,
    /// Interfaces with the program on them.
    pub interfaces: Vec<InterfaceView>,
    /// What is taken off.
    pub accepts: Accepts,
    /// The tags that are looked at.
    pub tags: Tags,
    /// Flows that are remembered.
    pub remembered: Remembered,
    /// The ways to other nodes.
    pub hops: Others,
    /// Prefixes of those who may send tunnel packets.
    pub gateways: Vec<String>,
    /// Where tunnel packets are sent to.
    pub addresses: Vec<IpAddr>,
    /// What was taken out of tunnels, by kind; all kinds.
    pub taken: Vec<Taken>,
    /// What was done with answers to SYNs.
    pub clamped: Clamped,
    /// Connections that it refused.
    pub refused: Refused,
    /// Packets that were dropped, or another node's, by reason; those that were counted at all.
    pub reasons: Vec<ReasonCount>,
}

/// The tunnels that are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accepts {
    /// IP in IP.
    pub ipip: bool,
    /// UDP port of GUE; `None`: not accepted.
    pub gue: Option<u16>,
    /// VXLAN; `None`: not accepted.
    pub vxlan: Option<Vxlan>,
    /// The longest segments that fit; `None`: answers to SYNs are not clamped.
    pub segments: Option<Segments>,
}

/// The longest segments of TCP that fit the tunnels, in bytes; 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Segments {
    /// Over IPv4.
    pub v4: u16,
    /// Over IPv6.
    pub v6: u16,
}

/// What was done with a node's answers to SYNs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Clamped {
    /// Those that were made to ask for less.
    pub answers: u64,
    /// Interfaces with the program that does it.
    pub interfaces: Vec<String>,
    /// Interfaces that are to have it and do not.
    pub refused: Vec<Unclamped>,
}

/// VXLAN that is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Vxlan {
    /// UDP port.
    pub port: u16,
    /// Network identifier.
    pub vni: u32,
}

/// The tags that are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// Whether a packet without one is dropped.
    pub required: bool,
    /// Epochs with a key that is known; none: tags are not looked at.
    pub epochs: Vec<u8>,
}

/// Flows that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// Whether those of UDP are.
    pub udp: bool,
    /// Whether those of TCP are.
    pub tcp: bool,
    /// How many there are.
    pub entries: u64,
    /// How many fit.
    pub capacity: u32,
}

/// The ways to other nodes that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Others {
    /// Nodes with a way of their own.
    pub nodes: u64,
    /// Families (`ipv4`, `ipv6`) of which there is a way to all others, by the default route.
    pub defaults: Vec<&'static str>,
}

/// What was taken out of tunnels of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// `ipip`, `gue` or `vxlan`.
    pub kind: &'static str,
    /// Packets.
    pub packets: u64,
    /// Bytes of them, without outer headers.
    pub bytes: u64,
}

impl Accepts {
    /// As the map has it.
    pub fn of(accepted: &abi::Accepted) -> Self {
        let port = |port: NetworkU16| Some(port.get()).filter(|port| *port != 0);
        Self {
            ipip: accepted.flags.has(AcceptedFlags::IPIP),
            gue: port(accepted.gue),
            vxlan: port(accepted.vxlan).map(|port| Vxlan { port, vni: accepted.network() }),
            segments: (accepted.segments != SegmentLimits::NONE)
                .then_some(Segments { v4: accepted.segments.v4, v6: accepted.segments.v6 }),
        }
    }
}

impl Tags {
    fn of(seen: &Seen) -> Self {
        let required = seen.image.accepted.flags.has(AcceptedFlags::TAG_REQUIRED);
        Self { required, epochs: seen.image.keys.keys().copied().collect() }
    }
}

impl Remembered {
    fn of(seen: &Seen) -> Self {
        let is = |flag| seen.image.accepted.flags.has(flag);
        let [udp, tcp] = [AcceptedFlags::REMEMBER_UDP, AcceptedFlags::REMEMBER_TCP].map(is);
        Self { udp, tcp, entries: seen.flows.len() as u64, capacity: seen.capacity }
    }
}

impl Others {
    fn of(seen: &Seen) -> Self {
        let (defaults, nodes): (Vec<_>, Vec<_>) = seen.hops.keys().partition(|node| node.is_unspecified());
        let family = |address: &IpAddr| if address.is_ipv4() { "ipv4" } else { "ipv6" };
        Self { nodes: nodes.len() as u64, defaults: defaults.into_iter().map(family).collect() }
    }
}

/// The whole; `runs` says whether the agent's process was seen.
pub fn status(seen: &Seen, runs: impl Fn(u32) -> bool) -> NodeStatus {
    let state = seen.state.as_ref();
    let taken = seen.taken.iter().map(|(kind, counters)| Taken {
        kind: kind.name(),
        packets: counters.packets,
        bytes: counters.bytes,
    });
    let reasons = seen.reasons.iter().filter(|(_, packets)| *packets > 0);
    let reason = |(reason, packets): &(lb_common::reason::ReceiverReason, u64)| ReasonCount {
        name: reason.name(),
        packets: *packets,
        expected: reason.expected(),
    };
    let limited = seen.image.accepted.segments != SegmentLimits::NONE;
    NodeStatus {
        abi: abi::VERSION,
        version: state.map(|state| state.version.clone()),
        config_digest: state.map(|state| state.config_digest.clone()),
        config_age: state.map(|state| age(seen.now, state.configured)),
        adopted: state.map(|state| state.adopted),
        last_error: state.and_then(|state| state.last_error.clone()),
        agent: state.map(|state| AgentView {
            pid: state.pid,
            running: runs(state.pid),
            started: state.started,
        }),
        interfaces: seen.interfaces.clone(),
        accepts: Accepts::of(&seen.image.accepted),
        tags: Tags::of(seen),
        remembered: Remembered::of(seen),
        hops: Others::of(seen),
        gateways: seen.image.peers.iter().map(prefix).collect(),
        addresses: seen.image.own.iter().copied().collect(),
        taken: taken.collect(),
        clamped: Clamped {
            answers: seen.clamped,
            interfaces: if limited { seen.leaving.clone() } else { Vec::new() },
            refused: state.map(|state| state.unclamped.clone()).unwrap_or_default(),
        },
        refused: Refused::of(seen),
        reasons: reasons.map(reason).collect(),
    }
}

/// Whole seconds; 0 for a time that is still to come, as after a clock was set back.
fn age(now: OffsetDateTime, then: OffsetDateTime) -> u64 {
    (now - then).whole_seconds().try_into().unwrap_or(0)
}
