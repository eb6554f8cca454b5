//! A node beside a gateway that is played by a test: it sends packets in tunnels by hand.
//!
//! ```text
//! gateway ── eth0 [node]
//!         ── eth1
//! ```

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use etherparse::{IpNumber, PacketBuilder, SlicedPacket, TcpHeader, TcpOptionElement, TransportSlice};
use lb_tests::lab::{End, FrameSocket, Namespace, NodeAgent, VIP_V4, WorkDir, connect};
use nix::net::if_::if_nametoindex;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// What the gateway sends from, and the node's address that it sends to.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
pub(crate) const NODE: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 2);
pub(crate) const MTU: u16 = 1600;
/// The MSS that [`World::asked`] says the node has asked for, if nobody lowers it.
pub(crate) const ASKED: u16 = 1540;
const PATIENCE: Duration = Duration::from_secs(5);

/// The namespaces, and the node's agent, which does not run yet.
pub(crate) struct World {
    pub(crate) gateway: Namespace,
    pub(crate) node: Namespace,
    pub(crate) agent: NodeAgent,
    pub(crate) work: WorkDir,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let (gateway, node, work) = (Namespace::new("gateway")?, Namespace::new("node")?, WorkDir::new()?);
        let world = Self { agent: NodeAgent::new(&work, "node")?, gateway, node, work };
        world.link(0)?;
        world.link(1)?;
        world.node.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
        Ok(world)
    }

    /// The link with that number, again if it is gone.
    pub(crate) fn link(&self, number: u8) -> Result<()> {
        let interface = format!("eth{number}");
        let end = |namespace, host: u8| End {
            namespace,
            interface: &interface,
            mac: [2, 0, 0, 60, number, host],
            addresses: vec![format!("10.60.{number}.{host}/24")],
        };
        connect(&end(&self.gateway, 1), &end(&self.node, 2), MTU)
    }

    /// A file that says this much.
    pub(crate) fn file() -> Value {
        json!({"interfaces": ["eth0"], "gateways": [GATEWAY]})
    }

    /// Writes the file and starts the agent.
    pub(crate) fn start(&mut self, file: &Value) -> Result<()> {
        self.agent.configure(file)?;
        self.agent.start(&self.node)
    }

    /// Asks the agent to look again.
    pub(crate) fn hang_up(&self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.agent.id().context("no agent runs")?;
        Ok(kill(Pid::from_raw(pid.cast_signed()), signal)?)
    }

    /// Sends a packet for the VIP in a tunnel to the node's eth0, and says what became of it: packets that were
    /// taken out, and those dropped for their sender.
    pub(crate) fn send(&self, to: Ipv4Addr) -> Result<[u64; 2]> {
        let before = self.agent.counted("ipip", "unknown-peer")?;
        FrameSocket::open(&self.gateway, "eth0")?.send(&tunnelled(to)?)?;
        // A veth hands a frame on before the system call returns.
        let after = self.agent.counted("ipip", "unknown-peer")?;
        Ok([after[0] - before[0], after[1] - before[1]])
    }

    /// Sends a VIP's answer to a SYN out of the node's eth0. The MSS that is in it where it arrives.
    pub(crate) fn asked(&self) -> Result<u16> {
        asked(&self.gateway, &self.node)
    }

    /// The index of one of the node's interfaces.
    pub(crate) fn index(&self, interface: &str) -> Result<u32> {
        self.node.enter(|| Ok(if_nametoindex(interface)?))
    }

    /// Whether an XDP program sits on one of the node's interfaces.
    pub(crate) fn has_program(&self, interface: &str) -> Result<bool> {
        let output = self.node.command("ip").args(["link", "show", "dev", interface]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).contains("prog/xdp"))
    }

    /// Whether there is none, or is none soon: the kernel takes a program off after the pin of its link is gone.
    pub(crate) fn is_free(&self, interface: &str) -> Result<bool> {
        for _ in 0..100 {
            if !self.has_program(interface)? {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    /// Names of the interfaces that `status` shows.
    pub(crate) fn attached(&self) -> Result<Vec<String>> {
        let status = self.agent.status()?;
        let names = status["interfaces"].as_array().into_iter().flatten();
        Ok(names.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }
}

/// As [`World::asked`].
pub(crate) fn asked(gateway: &Namespace, node: &Namespace) -> Result<u16> {
    let far = FrameSocket::open(gateway, "eth0")?;
    FrameSocket::open(node, "eth0")?.send(&answer()?)?;
    let frame = far.receive(PATIENCE, |frame| size(frame).is_some())?;
    frame.and_then(|frame| size(&frame)).context("no answer arrives")
}

/// A UDP packet for the VIP, behind an outer header to the node.
fn tunnelled(to: Ipv4Addr) -> Result<Vec<u8>> {
    let (mut inner, mut frame) = (Vec::new(), Vec::new());
    let client = PacketBuilder::ipv4([203, 0, 113, 7], VIP_V4.octets(), 64);
    client.udp(40_000, 53).write(&mut inner, b"question")?;
    let outer = PacketBuilder::ethernet2([2, 0, 0, 60, 0, 1], [2, 0, 0, 60, 0, 2]);
    outer.ipv4(GATEWAY.octets(), to.octets(), 64).write(&mut frame, IpNumber::IPV4, &inner)?;
    Ok(frame)
}

/// An answer to a SYN by the VIP.
fn answer() -> Result<Vec<u8>> {
    let mut header = TcpHeader::new(443, 40_000, 1, 1024);
    (header.syn, header.ack) = (true, true);
    header.set_options(&[TcpOptionElement::MaximumSegmentSize(ASKED)])?;
    let link = PacketBuilder::ethernet2([2, 0, 0, 60, 0, 2], [2, 0, 0, 60, 0, 1]);
    let mut frame = Vec::new();
    link.ipv4(VIP_V4.octets(), [203, 0, 113, 7], 64).tcp_header(header).write(&mut frame, b"")?;
    Ok(frame)
}

/// The MSS in such an answer.
fn size(frame: &[u8]) -> Option<u16> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
    tcp.options_iterator().flatten().find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(size) => Some(size),
        _ => None,
    })
}
