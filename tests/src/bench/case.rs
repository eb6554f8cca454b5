//! What is measured: frames, flows, and what must become of them.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use lb_common::abi::Features;
use lb_common::bench::{Plan, Template};

use super::world;

/// The verdict to pass (`linux/bpf.h`).
pub(crate) const PASS: u32 = 2;
/// The verdict to transmit.
const TX: u32 = 3;

/// What a case is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// To the kernel, unseen.
    Pass,
    /// Back to the sender.
    MacSwap,
    /// Room for an outer header, and out.
    AdjustHead,
    /// An outer header that is always the same.
    ConstantEncap,
    /// The room of an outer header away, and to the kernel.
    ShrinkHead,
}

impl Floor {
    /// Whether the kernel gets the frame.
    const fn is_passed(self) -> bool {
        matches!(self, Self::Pass | Self::ShrinkHead)
    }
}

impl Program {
    /// What it is compared with; a floor with nothing.
    pub(crate) const fn floor(self) -> Option<Floor> {
        match self {
            Self::Floor(_) => None,
            Self::Gateway(_, floor) => Some(floor),
            Self::Receiver(Arrival::Others) => Some(Floor::MacSwap),
            Self::Receiver(_) => Some(Floor::ShrinkHead),
        }
    }
}

/// One load of the gateway's program, over maps of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Setting {
    /// As a plain configuration loads it. What is recorded here stays recorded.
    Plain,
    /// The same, but its table of connections is full, and each insert pushes another out. Cases that insert
    /// without end are apart from those that hit, whose connections they would push out.
    Full,
    /// As a configuration with clusters behind GUE loads it.
    Gue,
    /// As one with clusters behind GUE and services that track by chain does.
    Chain,
    /// As one with clusters behind GUE with tags does.
    Tag,
    /// As one with clusters behind VXLAN does.
    Vxlan,
    /// As a plain configuration that follows flows does, one in as many as when nothing else is said.
    Evidence,
}

impl Setting {
    /// What the program is loaded with.
    pub(crate) const fn features(self) -> Features {
        match self {
            Self::Plain | Self::Full => Features::of_bits(0),
            Self::Gue => Features::GUE,
            Self::Chain => Features::GUE.with(Features::CHAIN),
            Self::Tag => Features::GUE.with(Features::TAG),
            Self::Vxlan => Features::VXLAN,
            Self::Evidence => Features::EVIDENCE,
        }
    }
}

/// The program that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// A program of the benchmark's own object.
    Floor(Floor),
    /// The gateway; its cost is quoted as a multiple of this floor.
    Gateway(Setting, Floor),
    /// A node's receiver, by what arrives there.
    Receiver(Arrival),
}

/// What arrives at a node. TCP segments in the middle of a connection, where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// IP in IP.
    Ipip,
    /// GUE with which nobody else travels.
    Gue,
    /// VXLAN.
    Vxlan,
    /// GUE with two others who may be asked, and a socket of the node has the connection.
    Socket,
    /// The same of UDP, which the node remembers.
    Flow,
    /// The same of a connection that is another node's: it is sent on.
    Others,
}

/// What each packet does to the table of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Nothing: its row is clean.
    None,
    /// It is found.
    Hit,
    /// It is not found, and stays unknown.
    Miss,
    /// It is not found, and is recorded.
    Insert,
}

/// Layer 4 of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Transport {
    /// A segment inside a connection.
    Tcp,
    /// The first of a connection.
    Syn,
    /// A datagram.
    Udp,
    /// A request to echo, which the gateway answers itself.
    Echo,
}

/// One row of the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// As in the output.
    pub(crate) name: &'static str,
    /// Who is measured.
    pub(crate) program: Program,
    /// Where the frames go.
    pub(crate) destination: IpAddr,
    /// What they are.
    pub(crate) transport: Transport,
    /// log2 of the number of flows; 32: never the same one again.
    pub(crate) log2_flows: u32,
    /// Bytes that a run must add to the frame, or take off.
    pub(crate) growth: i32,
    /// Bytes of the frame, at the least.
    pub(crate) length: usize,
    /// What becomes of the connection.
    pub(crate) lookup: Lookup,
}

/// Bytes of the shortest frame.
const SHORTEST: usize = 64;

const WARM_UP: u32 = 5_000;
const OUTER_V4: i32 = 20;
const OUTER_V6: i32 = 40;
/// IPv4, UDP and GUE.
const OUTER_GUE: i32 = 20 + 8 + 4;
/// What travels behind GUE where two others may be asked.
const TWO_OTHERS: i32 = 4 + 2 * 4;
/// What travels behind GUE with a tag.
const TAG: i32 = 4 + 8;
/// IPv4, UDP, VXLAN and Ethernet.
const OUTER_VXLAN: i32 = 20 + 8 + 8 + 14;

const fn floor(name: &'static str, floor: Floor, growth: i32) -> Case {
    let case = gateway(name, world::VIP_V4, Transport::Tcp, 0, growth);
    Case { program: Program::Floor(floor), ..case }
}

const fn gateway(
    name: &'static str,
    destination: IpAddr,
    transport: Transport,
    log2_flows: u32,
    growth: i32,
) -> Case {
    let floor = if growth == 0 { Floor::Pass } else { Floor::AdjustHead };
    let program = Program::Gateway(Setting::Plain, floor);
    let (length, lookup) = (SHORTEST, Lookup::None);
    Case { name, program, destination, transport, log2_flows, growth, length, lookup }
}

const fn looked_up(name: &'static str, destination: IpAddr, lookup: Lookup) -> Case {
    Case { lookup, ..gateway(name, destination, Transport::Tcp, 16, OUTER_V4) }
}

const fn recorded(name: &'static str, destination: IpAddr, transport: Transport) -> Case {
    let program = Program::Gateway(Setting::Full, Floor::AdjustHead);
    Case { program, lookup: Lookup::Insert, ..gateway(name, destination, transport, 32, OUTER_V4) }
}

const fn tunnelled(name: &'static str, destination: IpAddr, setting: Setting, growth: i32) -> Case {
    let program = Program::Gateway(setting, Floor::AdjustHead);
    Case { program, ..gateway(name, destination, Transport::Tcp, 0, growth) }
}

const fn followed(name: &'static str, transport: Transport, log2_flows: u32) -> Case {
    let program = Program::Gateway(Setting::Evidence, Floor::AdjustHead);
    Case { program, ..gateway(name, world::VIP_V4, transport, log2_flows, OUTER_V4) }
}

const fn received(name: &'static str, arrival: Arrival, growth: i32) -> Case {
    Case { program: Program::Receiver(arrival), ..gateway(name, world::VIP_V4, Transport::Tcp, 0, growth) }
}

/// Its answer is the frame with its ends exchanged, and no longer.
const fn echo(name: &'static str, destination: IpAddr) -> Case {
    let program = Program::Gateway(Setting::Plain, Floor::MacSwap);
    Case { program, ..gateway(name, destination, Transport::Echo, 0, 0) }
}

/// Floors first; a round measures them in this order.
pub(crate) const CASES: &[Case] = &[
    floor("pass", Floor::Pass, 0),
    floor("macSwap", Floor::MacSwap, 0),
    floor("adjustHead", Floor::AdjustHead, OUTER_V4),
    floor("constantEncap", Floor::ConstantEncap, OUTER_V4),
    floor("shrinkHead", Floor::ShrinkHead, -OUTER_V4),
    gateway("tcp4-1", world::VIP_V4, Transport::Tcp, 0, OUTER_V4),
    gateway("tcp4-64k", world::VIP_V4, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-1m", world::VIP_V4, Transport::Tcp, 20, OUTER_V4),
    gateway("tcp4-new", world::VIP_V4, Transport::Syn, 32, OUTER_V4),
    gateway("tcp4-1-2pools", world::VIP_TWO_POOLS, Transport::Tcp, 0, OUTER_V4),
    gateway("tcp4-64k-2pools", world::VIP_TWO_POOLS, Transport::Tcp, 16, OUTER_V4),
    looked_up("tcp4-moving-hit", world::VIP_MOVING, Lookup::Hit),
    looked_up("tcp4-residue", world::VIP_RESIDUE, Lookup::Miss),
    looked_up("tcp4-full-64k", world::VIP_FULL, Lookup::Hit),
    recorded("tcp4-moving-miss", world::VIP_MOVING, Transport::Tcp),
    recorded("tcp4-full-new", world::VIP_FULL, Transport::Syn),
    Case { length: 1400, ..gateway("tcp4-1400", world::VIP_V4, Transport::Tcp, 0, OUTER_V4) },
    gateway("udp4-1", world::VIP_V4, Transport::Udp, 0, OUTER_V4),
    gateway("tcp6-1", world::VIP_V6, Transport::Tcp, 0, OUTER_V6),
    gateway("tcp4in6-1", world::VIP_4_IN_6, Transport::Tcp, 0, OUTER_V6),
    tunnelled("gue4-1", world::VIP_GUE, Setting::Gue, OUTER_GUE),
    tunnelled("gue4-tag", world::VIP_TAG, Setting::Tag, OUTER_GUE + TAG),
    tunnelled("chain4-still", world::VIP_STILL, Setting::Chain, OUTER_GUE),
    tunnelled("chain4-moved", world::VIP_MOVED, Setting::Chain, OUTER_GUE + TWO_OTHERS),
    tunnelled("vxlan4-1", world::VIP_VXLAN, Setting::Vxlan, OUTER_VXLAN),
    followed("evidence4-64k", Transport::Tcp, 16),
    followed("evidence4-new", Transport::Syn, 32),
    echo("echo4", world::VIP_V4),
    gateway("nonvip4", world::STRANGER, Transport::Tcp, 0, 0),
    received("strip4-ipip", Arrival::Ipip, -OUTER_V4),
    received("strip4-gue", Arrival::Gue, -OUTER_GUE),
    received("strip4-vxlan", Arrival::Vxlan, -OUTER_VXLAN),
    received("own4-socket", Arrival::Socket, -OUTER_GUE - TWO_OTHERS),
    received("own4-flow", Arrival::Flow, -OUTER_GUE - TWO_OTHERS),
    received("sendOn4", Arrival::Others, 0),
];

/// Names of the cases that are not floors.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().filter(|case| case.program.floor().is_some()).map(|case| case.name)
}

/// The floors and the cases of these names; all cases if there are none.
pub(crate) fn chosen(names: &[String]) -> Vec<Case> {
    let is_named = |case: &Case| names.is_empty() || names.iter().any(|name| name == case.name);
    let chosen = |case: &&Case| case.program.floor().is_none() || is_named(case);
    CASES.iter().filter(chosen).copied().collect()
}

impl Case {
    /// A frame of the case's length, or as many bytes as the headers need.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let headers = match self.destination {
            IpAddr::V4(_) => 14 + 20,
            IpAddr::V6(_) => 14 + 40,
        };
        let transport = match self.transport {
            Transport::Udp | Transport::Echo => 8,
            Transport::Tcp | Transport::Syn => 20,
        };
        let payload = vec![0; self.length.saturating_sub(headers + transport)];
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
        let network = match self.destination {
            IpAddr::V4(to) => link.ipv4([10, 0, 0, 1], to.octets(), 64),
            IpAddr::V6(to) => link.ipv6(CLIENT_V6.octets(), to.octets(), 64),
        };
        let mut frame = Vec::with_capacity(self.length);
        let written = match self.transport {
            Transport::Tcp => network.tcp(40_000, world::PORT, 1, 1024).ack(1).write(&mut frame, &payload),
            Transport::Syn => network.tcp(40_000, world::PORT, 1, 1024).syn().write(&mut frame, &payload),
            Transport::Udp => network.udp(40_000, world::PORT).write(&mut frame, &payload),
            Transport::Echo => network.icmpv4_echo_request(1, 1).write(&mut frame, &payload),
        };
        written.expect("a vector takes any number of bytes");
        frame
    }

    /// How `packets` of these frames are made.
    pub(crate) fn plan(&self, frame: &[u8], packets: u32) -> Result<Plan> {
        Ok(Plan {
            template: Template::of_frame(frame).context("the frame is shorter than the template")?,
            length: u32::try_from(frame.len())?,
            family: if self.destination.is_ipv4() { 4 } else { 6 },
            flow_mask: self.flow_mask(),
            last_run: packets - 1,
            ..Plan::default()
        })
    }

    /// The number of flows less one.
    const fn flow_mask(&self) -> u32 {
        if self.log2_flows == 32 { u32::MAX } else { (1 << self.log2_flows) - 1 }
    }

    /// Packets that warm the caches up for a sample: each flow once, where flows are looked up and come again.
    pub(crate) fn warm_up(&self) -> u32 {
        if self.log2_flows <= 16 { WARM_UP.max(1 << self.log2_flows) } else { WARM_UP }
    }

    /// Packets in a sample: a quarter where connections are looked up, which takes so much longer that a sample
    /// would seldom be undisturbed.
    pub(crate) fn packets(&self, effort: u32) -> u32 {
        if self.lookup == Lookup::None { effort } else { effort / 4 }
    }

    /// The verdict of every run.
    pub(crate) fn verdict(&self) -> u32 {
        match self.program {
            Program::Floor(floor) | Program::Gateway(_, floor) if floor.is_passed() => PASS,
            Program::Floor(_) | Program::Gateway(..) | Program::Receiver(Arrival::Others) => TX,
            Program::Receiver(_) => PASS,
        }
    }
}

const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_say_or_as_their_headers_are() {
        for case in CASES {
            let headers = if case.destination.is_ipv4() { 54 } else { 74 };
            assert_eq!(case.frame().len(), case.length.max(headers), "{}", case.name);
        }
    }

    #[test]
    fn what_inserts_without_end_has_a_table_of_its_own() {
        for case in CASES {
            let full = matches!(case.program, Program::Gateway(Setting::Full, _));
            assert_eq!(case.lookup == Lookup::Insert, full, "{}", case.name);
        }
    }

    #[test]
    fn a_sample_of_known_flows_is_warmed_up_by_each_of_them() {
        let warm_up = |name| CASES.iter().find(|case| case.name == name).unwrap().warm_up();
        assert_eq!([warm_up("tcp4-1"), warm_up("tcp4-full-64k")], [WARM_UP, 1 << 16]);
        assert_eq!([warm_up("tcp4-1m"), warm_up("tcp4-full-new")], [WARM_UP; 2]);
    }

    #[test]
    fn floors_are_always_measured() {
        let names = |chosen: Vec<Case>| chosen.iter().map(|case| case.name).collect::<Vec<_>>();
        let one = names(chosen(&["udp4-1".to_owned()]));
        assert_eq!(one, ["pass", "macSwap", "adjustHead", "constantEncap", "shrinkHead", "udp4-1"]);
        assert_eq!(chosen(&[]).len(), CASES.len());
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
