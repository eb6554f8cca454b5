//! What is measured: frames, flows, and what must become of them.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::PacketBuilder;

use super::world;

/// XDP verdicts (`linux/bpf.h`).
const PASS: u32 = 2;
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
}

/// The program that the wrapper calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// A program of the benchmark's own object.
    Floor(Floor),
    /// The gateway; its cost is quoted as a multiple of this floor.
    Gateway(Floor),
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
    /// Bytes that a run must add to the frame.
    pub(crate) growth: u32,
}

const OUTER_V4: u32 = 20;
const OUTER_V6: u32 = 40;

const fn floor(name: &'static str, floor: Floor, growth: u32) -> Case {
    let (program, transport) = (Program::Floor(floor), Transport::Tcp);
    Case { name, program, destination: world::VIP_V4, transport, log2_flows: 0, growth }
}

const fn gateway(
    name: &'static str,
    destination: IpAddr,
    transport: Transport,
    log2_flows: u32,
    growth: u32,
) -> Case {
    let floor = if growth == 0 { Floor::Pass } else { Floor::AdjustHead };
    Case { name, program: Program::Gateway(floor), destination, transport, log2_flows, growth }
}

/// Floors first; a round measures them in this order.
pub(crate) const CASES: &[Case] = &[
    floor("pass", Floor::Pass, 0),
    floor("macSwap", Floor::MacSwap, 0),
    floor("adjustHead", Floor::AdjustHead, OUTER_V4),
    floor("constantEncap", Floor::ConstantEncap, OUTER_V4),
    gateway("tcp4-1", world::VIP_V4, Transport::Tcp, 0, OUTER_V4),
    gateway("tcp4-64k", world::VIP_V4, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-1m", world::VIP_V4, Transport::Tcp, 20, OUTER_V4),
    gateway("tcp4-new", world::VIP_V4, Transport::Syn, 32, OUTER_V4),
    gateway("tcp4-1-2pools", world::VIP_TWO_POOLS, Transport::Tcp, 0, OUTER_V4),
    gateway("tcp4-64k-2pools", world::VIP_TWO_POOLS, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-moving-hit", world::VIP_MOVING, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-moving-miss", world::VIP_MOVING, Transport::Tcp, 32, OUTER_V4),
    gateway("tcp4-residue", world::VIP_RESIDUE, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-full-64k", world::VIP_FULL, Transport::Tcp, 16, OUTER_V4),
    gateway("tcp4-full-new", world::VIP_FULL, Transport::Syn, 32, OUTER_V4),
    gateway("udp4-1", world::VIP_V4, Transport::Udp, 0, OUTER_V4),
    gateway("tcp6-1", world::VIP_V6, Transport::Tcp, 0, OUTER_V6),
    gateway("tcp4in6-1", world::VIP_4_IN_6, Transport::Tcp, 0, OUTER_V6),
    gateway("nonvip4", world::STRANGER, Transport::Tcp, 0, 0),
];

/// Names of the cases that are not floors.
pub(crate) fn gateway_names() -> impl Iterator<Item = &'static str> {
    CASES.iter().filter(|case| matches!(case.program, Program::Gateway(_))).map(|case| case.name)
}

/// The floors and the cases of these names; all cases if there are none.
pub(crate) fn chosen(names: &[String]) -> Vec<Case> {
    let chosen = |case: &&Case| match case.program {
        Program::Floor(_) => true,
        Program::Gateway(_) => names.is_empty() || names.iter().any(|name| name == case.name),
    };
    CASES.iter().filter(chosen).copied().collect()
}

impl Case {
    /// A frame of 64 bytes, or as many as the headers need.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let headers = match self.destination {
            IpAddr::V4(_) => 14 + 20,
            IpAddr::V6(_) => 14 + 40,
        };
        let transport = match self.transport {
            Transport::Udp => 8,
            Transport::Tcp | Transport::Syn => 20,
        };
        let payload = vec![0; 64_usize.saturating_sub(headers + transport)];
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1]);
        let network = match self.destination {
            IpAddr::V4(to) => link.ipv4([10, 0, 0, 1], to.octets(), 64),
            IpAddr::V6(to) => link.ipv6(CLIENT_V6.octets(), to.octets(), 64),
        };
        let mut frame = Vec::with_capacity(128);
        let written = match self.transport {
            Transport::Tcp => network.tcp(40_000, world::PORT, 1, 1024).ack(1).write(&mut frame, &payload),
            Transport::Syn => network.tcp(40_000, world::PORT, 1, 1024).syn().write(&mut frame, &payload),
            Transport::Udp => network.udp(40_000, world::PORT).write(&mut frame, &payload),
        };
        written.expect("a vector takes any number of bytes");
        frame
    }

    /// The number of flows less one.
    pub(crate) const fn flow_mask(&self) -> u32 {
        if self.log2_flows == 32 { u32::MAX } else { (1 << self.log2_flows) - 1 }
    }

    /// The verdict of every run.
    pub(crate) fn verdict(&self) -> u32 {
        match self.program {
            Program::Floor(Floor::Pass) | Program::Gateway(Floor::Pass) => PASS,
            _ => TX,
        }
    }
}

const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_short_as_ethernet_allows() {
        for case in CASES {
            let length = case.frame().len();
            assert_eq!(length, if case.destination.is_ipv4() { 64 } else { 74 }, "{}", case.name);
        }
    }

    #[test]
    fn floors_are_always_measured() {
        let names = |chosen: Vec<Case>| chosen.iter().map(|case| case.name).collect::<Vec<_>>();
        let one = names(chosen(&["udp4-1".to_owned()]));
        assert_eq!(one, ["pass", "macSwap", "adjustHead", "constantEncap", "udp4-1"]);
        assert_eq!(chosen(&[]).len(), CASES.len());
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
