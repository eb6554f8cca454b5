//! What sees an interface's frames on their way out: it outlives its agent, is exchanged by the next, and taken off. By a
//! link where this kernel has such links, and by a filter.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::util::KernelVersion;
use etherparse::{PacketBuilder, SlicedPacket, TcpHeader, TcpOptionElement, TransportSlice};
use lb_common::abi::{Accepted, SegmentLimits};
use lb_tests::lab::{
    End, FrameSocket, Namespace, Objects, Receiver, WorkDir, connect, is_root, offload_checksums,
};
use lb_userspace::datapath::egress::{self, EgressError, Hold, LEAVING_HANDLE};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, connect as connect_socket, send,
    socket,
};

const PATIENCE: Duration = Duration::from_secs(5);
const INTERFACE: &str = "eth0";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// What the answers ask for, and where they go to (host order).
const ASKED: u16 = 1460;
const PORT: u16 = 40_000;

/// A node's interface, and what is at its other end.
struct Wire {
    node: Namespace,
    client: Namespace,
    work: WorkDir,
}

impl Wire {
    fn new() -> Result<Self> {
        let wire =
            Self { node: Namespace::new("node")?, client: Namespace::new("client")?, work: WorkDir::new()? };
        wire.make_link()?;
        Ok(wire)
    }

    fn make_link(&self) -> Result<()> {
        let end = |namespace, last: u8, address: Ipv4Addr| End {
            namespace,
            interface: INTERFACE,
            mac: [2, 0, 0, 0, 0, last],
            addresses: vec![format!("{address}/24")],
        };
        connect(&end(&self.client, 1, CLIENT), &end(&self.node, 2, NODE), 1500)
    }

    fn pin(&self) -> PathBuf {
        self.work.bpf().join("egress")
    }

    /// The program of one agent, with a limit by which it can be told from others.
    fn program(limit: u16) -> Result<Receiver> {
        let segments = SegmentLimits { v4: limit, v6: limit };
        Receiver::load_clamp(&Objects::from_env()?, Accepted { segments, ..Receiver::usual() }, &[])
    }

    /// An agent that attaches its program, and ends.
    fn agent(&self, limit: u16, hold: Hold) -> Result<()> {
        let mut program = Self::program(limit)?;
        self.node.enter(|| match hold {
            Hold::Filter => {
                Ok(egress::attach_filter(program.clamp()?, INTERFACE, LEAVING_HANDLE, &self.pin())?)
            }
            Hold::Link => {
                let way = egress::attach(program.clamp()?, INTERFACE, LEAVING_HANDLE, &self.pin())?;
                let links = KernelVersion::current()? >= KernelVersion::new(6, 6, 0);
                ensure!(way == if links { Hold::Link } else { Hold::Filter }, "{way:?}");
                Ok(())
            }
        })
    }

    /// What becomes of the size that the node asks for, on the way to the client.
    fn size(&self) -> Result<u16> {
        let far = FrameSocket::open(&self.client, INTERFACE)?;
        let mut frame = Vec::new();
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]);
        let builder = builder.ipv4(NODE.octets(), CLIENT.octets(), 64).tcp_header(header()?);
        builder.write(&mut frame, b"")?;
        FrameSocket::open(&self.node, INTERFACE)?.send(&frame)?;
        arrived(&far)
    }
}

fn header() -> Result<TcpHeader> {
    let mut header = TcpHeader::new(443, PORT, 1, 1024);
    (header.syn, header.ack) = (true, true);
    header.set_options(&[TcpOptionElement::MaximumSegmentSize(ASKED)])?;
    Ok(header)
}

/// The size in the next answer that arrives, whose checksum must be right.
fn arrived(far: &FrameSocket) -> Result<u16> {
    let frame = far.receive(PATIENCE, |frame| size_in(frame).is_some_and(|sum| sum.1))?;
    frame.and_then(|frame| size_in(&frame)).map(|size| size.0).context("no answer with a right checksum")
}

fn size_in(frame: &[u8]) -> Option<(u16, bool)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (Some(TransportSlice::Tcp(tcp)), Some(net)) = (packet.transport, packet.net) else { return None };
    let v4 = net.ipv4_ref()?.header();
    let size = tcp.options_iterator().flatten().find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(size) => Some(size),
        _ => None,
    })?;
    let right = tcp.calc_checksum_ipv4(v4.source(), v4.destination()) == Ok(tcp.checksum());
    (tcp.destination_port() == PORT).then_some((size, right))
}

fn skip() -> bool {
    if !is_root() {
        println!("SKIP: network namespaces need root");
    }
    !is_root()
}

fn outlives_and_is_exchanged(hold: Hold) -> Result<()> {
    let wire = Wire::new()?;
    assert_eq!(wire.size()?, ASKED, "nothing is there yet");
    match wire.agent(1400, hold) {
        Err(error) if matches!(error.downcast_ref(), Some(EgressError::NoWay { .. })) => {
            println!("SKIP: {error}");
            return Ok(());
        }
        attached => attached?,
    }
    assert_eq!(wire.size()?, 1400, "the agent has ended, its program has not");
    wire.agent(1300, hold)?;
    assert_eq!(wire.size()?, 1300, "the next agent's program, and no longer that of the first");
    wire.agent(1430, hold)?;
    assert_eq!(wire.size()?, 1430, "neither of those from before is left");
    let detach = || wire.node.enter(|| Ok(egress::detach(INTERFACE, LEAVING_HANDLE, &wire.pin())?));
    detach()?;
    assert_eq!(wire.size()?, ASKED, "it is off");
    detach().context("what is not there is off")?;
    wire.agent(1350, hold)?;
    wire.node.ip("link del eth0")?;
    wire.make_link()?;
    assert_eq!(wire.size()?, ASKED, "another interface of that name");
    wire.agent(1340, hold)?;
    assert_eq!(wire.size()?, 1340);
    wire.node.ip("link del eth0")?;
    detach().context("of what is no more")
}

#[test]
fn a_program_outlives_its_agent_and_is_exchanged() -> Result<()> {
    if skip() { Ok(()) } else { outlives_and_is_exchanged(Hold::Link) }
}

#[test]
fn so_it_does_without_links() -> Result<()> {
    if skip() { Ok(()) } else { outlives_and_is_exchanged(Hold::Filter) }
}

#[test]
fn what_cannot_be_is_said() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let wire = Wire::new()?;
    let mut program = Wire::program(1400)?;
    let clamp = program.clamp()?;
    let (unknown, lo) = wire.node.enter(|| {
        let mut refused = |name| egress::attach(clamp, name, LEAVING_HANDLE, &wire.pin()).err();
        Ok((refused("eth7"), refused("lo")))
    })?;
    assert!(
        matches!(&unknown, Some(EgressError::UnknownInterface { known, .. }) if known.contains("eth0")),
        "{unknown:?}"
    );
    assert!(matches!(lo, Some(EgressError::NoEthernet { .. })), "{lo:?}");
    Ok(())
}

/// A segment given to the kernel in two parts lies in two pieces, where the interface can collect them.
#[test]
fn a_frame_in_pieces_is_clamped_too() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let wire = Wire::new()?;
    offload_checksums(&wire.node, INTERFACE)?;
    match wire.agent(1400, Hold::Link) {
        Err(error) if matches!(error.downcast_ref(), Some(EgressError::NoWay { .. })) => {
            println!("SKIP: {error}");
            return Ok(());
        }
        attached => attached?,
    }
    let mut segment = header()?;
    segment.checksum = segment.calc_checksum_ipv4_raw(NODE.octets(), CLIENT.octets(), b"")?;
    let bytes = segment.to_bytes();
    for cut in [4, 13, 16, 20, 22] {
        let far = FrameSocket::open(&wire.client, INTERFACE)?;
        wire.node.enter(|| {
            let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
            let [a, b, c, d] = CLIENT.octets();
            connect_socket(raw.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0))?;
            send(raw.as_raw_fd(), &bytes[..cut], MsgFlags::from_bits_retain(libc::MSG_MORE))?;
            send(raw.as_raw_fd(), &bytes[cut..], MsgFlags::empty())?;
            Ok(())
        })?;
        assert_eq!(arrived(&far)?, 1400, "cut behind {cut} bytes");
    }
    Ok(())
}
