//! What the loaded program made of a frame, beside what the same pipeline makes of it here, over a copy of the maps. Pure.

use std::fmt;
use std::net::IpAddr;

use lb_ebpf::frame::{Frame as _, SliceFrame};
use lb_ebpf::parse::{self, ETHERNET_LENGTH, Network};
use lb_ebpf::pipeline;
use lb_ebpf::tables::Tables;
use lb_ebpf::verdict::Action;
use lb_ebpf::wire::{Ethernet, Mac, Udp, Vlan, ether_type, protocol};
use serde::Serialize;

/// Room for headers in front of a frame, in bytes: as much as XDP gives (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The program could not go on: a redirect to an interface that is not admitted, or a part of it that is missing.
    Aborted,
    /// Away with it.
    Dropped,
    /// On to the kernel's stack.
    Passed,
    /// Out of the interface it came in by.
    Transmitted,
    /// Out of another interface.
    Redirected,
}

impl Verdict {
    /// From `enum xdp_action` of `linux/bpf.h`. What the kernel does not know, it aborts.
    pub const fn of_xdp(action: u32) -> Self {
        match action {
            1 => Self::Dropped,
            2 => Self::Passed,
            3 => Self::Transmitted,
            4 => Self::Redirected,
            _ => Self::Aborted,
        }
    }

    const fn of(action: Action) -> Self {
        match action {
            Action::Pass => Self::Passed,
            Action::Drop => Self::Dropped,
            Action::Transmit => Self::Transmitted,
            Action::Redirect(_) => Self::Redirected,
        }
    }

    /// In a sentence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Dropped => "dropped",
            Self::Passed => "passed",
            Self::Transmitted => "transmitted",
            Self::Redirected => "redirected",
        }
    }

    const fn is_sent(self) -> bool {
        matches!(self, Self::Transmitted | Self::Redirected)
    }
}

/// A verdict, and the frame as it is then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What is to become of it.
    pub verdict: Verdict,
    /// From Ethernet on.
    pub frame: Vec<u8>,
}

impl Outcome {
    /// What the pipeline makes of a frame that came in by the interface with this index. The tables take what packets leave
    /// in them.
    pub fn computed<T: Tables>(frame: &[u8], ingress: u32, tables: &T) -> Self {
        let mut buffer = [&[0; HEADROOM], frame].concat();
        let mut frame = SliceFrame::new(&mut buffer, HEADROOM, ingress);
        let verdict = Verdict::of(pipeline::process(&mut frame, tables));
        Self { verdict, frame: frame.bytes().to_vec() }
    }
}

/// The header that is in front of a frame that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// `ipip`, or `udp` for GUE and VXLAN.
    pub kind: &'static str,
    /// Outer source.
    pub source: IpAddr,
    /// Outer destination: the backend.
    pub destination: IpAddr,
    /// UDP source port; `None` for IP in IP.
    pub source_port: Option<u16>,
    /// UDP destination port; `None` for IP in IP.
    pub destination_port: Option<u16>,
    /// The neighbour's MAC.
    pub mac: String,
    /// VLAN; `None`: untagged.
    pub vlan: Option<u16>,
}

impl Sent {
    /// Reads it; `None` of a frame that is no IP packet.
    fn of(frame: &[u8]) -> Option<Self> {
        let mut bytes = frame.to_vec();
        let frame = SliceFrame::new(&mut bytes, 0, 0);
        let network = parse::network(&frame).ok()?;
        let ethernet = frame.header::<Ethernet>(0)?;
        let kind = ethernet.ether_type;
        let vlan = frame.header::<Vlan>(ETHERNET_LENGTH).filter(|_| kind == ether_type::VLAN);
        let udp = udp(&frame, &network);
        Some(Self {
            kind: if udp.is_some() { "udp" } else { "ipip" },
            source: network.source.into(),
            destination: network.destination.into(),
            source_port: udp.map(|udp| udp.source.get()),
            destination_port: udp.map(|udp| udp.destination.get()),
            mac: mac(ethernet.destination),
            vlan: vlan.map(|vlan| { vlan.tag }.get()),
        })
    }
}

fn mac(address: Mac) -> String {
    let digits = |byte: &u8| format!("{byte:02x}");
    bytemuck::bytes_of(&address).iter().map(digits).collect::<Vec<_>>().join(":")
}

fn udp(frame: &SliceFrame, network: &Network) -> Option<Udp> {
    let header = network.offset + network.header_length;
    frame.header::<Udp>(header).filter(|_| network.next == protocol::UDP).copied()
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, source, destination, source_port, destination_port, mac, vlan } = self;
        match source_port.zip(*destination_port) {
            None => write!(f, "{kind} {source} -> {destination}")?,
            Some((from, to)) => write!(f, "{kind} {source} port {from} -> {destination} port {to}")?,
        }
        let vlan = vlan.map_or_else(String::new, |vlan| format!(", VLAN {vlan}"));
        write!(f, ", to {mac}{vlan}")
    }
}

/// Something that is not as it was computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `verdict`, `outer` or `bytes`.
    pub what: &'static str,
    /// What was computed here.
    pub computed: String,
    /// What the loaded program did.
    pub live: String,
}

/// What the loaded program did, and whether that is what was computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The interface that the frame came in by.
    pub interface: String,
    /// The kernel's number for the program there.
    pub program_id: u32,
    /// Whether verdict and frame are, to the byte, what was computed.
    pub equal: bool,
    /// What is to become of the frame.
    pub verdict: Verdict,
    /// What is in front of it; `None`: it is not sent.
    pub outer: Option<Sent>,
    /// What is not as computed; empty if all is equal.
    pub differences: Vec<Difference>,
}

impl Live {
    /// Compares what a program on an interface did with what was computed.
    pub fn compare(interface: &str, program_id: u32, computed: &Outcome, live: &Outcome) -> Self {
        Self {
            interface: interface.to_owned(),
            program_id,
            equal: computed == live,
            verdict: live.verdict,
            outer: sent(live),
            differences: differences(computed, live),
        }
    }
}

fn sent(outcome: &Outcome) -> Option<Sent> {
    Sent::of(&outcome.frame).filter(|_| outcome.verdict.is_sent())
}

/// All that differs; bytes are told where nothing else says it.
fn differences(computed: &Outcome, live: &Outcome) -> Vec<Difference> {
    let outer = |outcome| sent(outcome).map_or_else(|| "none".to_owned(), |sent| sent.to_string());
    let words = [
        ("verdict", computed.verdict.word().to_owned(), live.verdict.word().to_owned()),
        ("outer", outer(computed), outer(live)),
    ];
    let unequal = words.into_iter().filter(|(_, computed, live)| computed != live);
    let told: Vec<_> = unequal.map(|(what, computed, live)| Difference { what, computed, live }).collect();
    if told.is_empty() { bytes(&computed.frame, &live.frame).into_iter().collect() } else { told }
}

/// The first bytes that are not alike, and how many there are.
fn bytes(computed: &[u8], live: &[u8]) -> Option<Difference> {
    let alike = computed.iter().zip(live).take_while(|(one, other)| one == other).count();
    let from = |frame: &[u8]| match frame.get(alike) {
        Some(byte) => format!("0x{byte:02x} at {alike} of {}", frame.len()),
        None => format!("nothing at {alike} of {}", frame.len()),
    };
    (computed != live).then(|| Difference { what: "bytes", computed: from(computed), live: from(live) })
}

#[cfg(test)]
mod tests;
