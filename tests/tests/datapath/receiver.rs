//! The receiver as the kernel runs it: what the oracle says that a gateway sends comes out of its tunnel again; and with
//! many a bit changed, the program does what its stages do in ordinary memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lb_common::abi::{
    Accepted, AcceptedFlags, AccessKey, KnownKey, LinkAddress, NodeHop, TunnelKey, TunnelKind,
};
use lb_common::net::{Address, Family, NetworkU16};
use lb_common::reason::ReceiverReason;
use lb_ebpf::frame::SliceFrame;
use lb_ebpf::parse;
use lb_ebpf::receive::{self, Node, Verdict};
use lb_tests::fixture::{Case, World, cases, hex};
use lb_tests::lab::{Objects, Receiver, is_root};

use crate::program::{XDP_DROP, XDP_PASS, XDP_TX};

/// Bytes of which bits are changed, one at a time: link header and all of the outer headers.
const CHANGED: usize = 80;

/// The way to all other nodes: out of the interface that a program is run on without one, the loopback.
const HOP: NodeHop = NodeHop {
    interface: 1,
    reserved: 0,
    destination_mac: LinkAddress::new([2, 0, 0, 0, 0, 0x11], 0),
    source_mac: LinkAddress::new([2, 0, 0, 0, 0, 0x12], 0),
};

/// A receiver in ordinary memory.
struct Host {
    accepted: Accepted,
    own: BTreeSet<IpAddr>,
    gateways: BTreeSet<IpAddr>,
    /// The key of tags that is known, with its epoch.
    key: Option<(u8, KnownKey)>,
    counted: RefCell<Counted>,
}

/// Packets and bytes taken off, and packets by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counted(BTreeMap<String, u64>);

impl Counted {
    fn add(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.0.entry(what.to_owned()).or_default() += count;
        }
    }

    /// What the program has counted.
    fn of(receiver: &mut Receiver) -> Result<Self> {
        let mut counted = Self::default();
        for kind in TunnelKind::ALL {
            let [packets, bytes] = receiver.taken(kind)?;
            counted.add(&format!("{kind:?} packets"), packets);
            counted.add(&format!("{kind:?} bytes"), bytes);
        }
        for reason in ReceiverReason::ALL {
            counted.add(reason.name(), receiver.ended(*reason)?);
        }
        Ok(counted)
    }
}

impl Host {
    /// It stands for all nodes that the frames are sent to, and knows all gateways that send them.
    fn of(sent: &[Case], accepted: Accepted) -> Self {
        let outer = |case: &Case| {
            let mut bytes = case.expected.bytes.clone();
            let network = parse::network(&SliceFrame::new(&mut bytes, 0, 1)).ok()?;
            Some((IpAddr::from(network.source), IpAddr::from(network.destination)))
        };
        let (gateways, own) = sent.iter().filter_map(outer).unzip();
        Self { accepted, own, gateways, key: None, counted: RefCell::default() }
    }

    fn run(&self, frame: &[u8]) -> (u32, Vec<u8>) {
        let mut bytes = frame.to_vec();
        let mut frame = SliceFrame::new(&mut bytes, 0, 1);
        let verdict = match receive::process(&mut frame, self) {
            Verdict::Pass => XDP_PASS,
            Verdict::Drop => XDP_DROP,
            Verdict::Send(_) => XDP_TX,
        };
        (verdict, frame.bytes().to_vec())
    }
}

impl Node for Host {
    fn accepted(&self) -> Option<&Accepted> {
        Some(&self.accepted)
    }
    fn is_own(&self, address: &Address) -> bool {
        self.own.contains(&IpAddr::from(*address))
    }
    fn is_peer(&self, source: &AccessKey) -> bool {
        let key = |gateway: &IpAddr| AccessKey::of_source(0, Family::of(*gateway), (*gateway).into());
        self.gateways.iter().any(|gateway| key(gateway) == *source)
    }
    fn tunnel_key(&self, epoch: u8) -> Option<&KnownKey> {
        self.key.as_ref().filter(|(known, _)| *known == epoch).map(|(_, key)| key)
    }
    fn hop(&self, _: &Address) -> Option<NodeHop> {
        Some(HOP)
    }
    fn count_taken(&self, kind: TunnelKind, bytes: u64) {
        let mut counted = self.counted.borrow_mut();
        counted.add(&format!("{kind:?} packets"), 1);
        counted.add(&format!("{kind:?} bytes"), bytes);
    }
    fn count_reason(&self, reason: ReceiverReason) {
        self.counted.borrow_mut().add(reason.name(), 1);
    }
}

/// The fixtures' frames that a gateway encapsulates.
fn sent() -> Result<Vec<Case>> {
    let sent = |case: &Case| case.expected.verdict == lb_tests::fixture::Verdict::Transmit;
    Ok(cases()?.into_iter().filter(|case| sent(case) && case.expected.reason.is_none()).collect())
}

/// The packet of a frame, without its link header.
fn packet(frame: &[u8]) -> Result<&[u8]> {
    let mut bytes = frame.to_vec();
    let network = parse::network(&SliceFrame::new(&mut bytes, 0, 1));
    let offset = network.map(|network| network.offset);
    ensure!(offset.is_ok(), "{} is no IP", hex(frame));
    Ok(&frame[offset.unwrap_or(0)..])
}

/// Whether a frame is one to another cluster's gateway, to which one redirect is left, and the packet in it if so.
fn redirected(frame: &[u8]) -> Result<Option<&[u8]>> {
    let packet = packet(frame)?;
    let header = if packet[0] >> 4 == 4 { usize::from(packet[0] & 15) * 4 } else { 40 };
    let between = header + 8;
    let is_one = |header: &[u8]| matches!(header, [1, 4 | 41, 0, 0, 1, 0, 0, 4]);
    Ok(packet.get(between..between + 8).filter(|header| is_one(header)).map(|_| &packet[between + 8..]))
}

/// UDP ports of GUE in the fixtures' world, and those of VXLAN with the networks behind them (host order).
const TUNNELS: [(u16, u16, u32); 2] = [(6080, 4789, 100), (6081, 8472, 16_702_190)];

#[test]
fn what_a_gateway_sends_comes_out_of_its_tunnel_again() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (sent, mut out) = (sent()?, BTreeSet::new());
    for (gue, vxlan, network) in TUNNELS {
        let (gue, vxlan) = (NetworkU16::new(gue), NetworkU16::new(vxlan));
        let accepted = Accepted { gue, vxlan, vni: u32::to_be(network << 8), ..Receiver::usual() };
        out.extend(taken_out(&sent, accepted)?);
    }
    let to_gateways = sent.iter().filter_map(|case| redirected(&case.expected.bytes).transpose());
    let to_gateways = to_gateways.collect::<Result<Vec<_>>>()?.len();
    assert!(to_gateways > 0);
    assert_eq!(out.len() + to_gateways, sent.len(), "what is for no network of the world came out");
    Ok(())
}

/// The same in the kernel.
fn loaded(host: &Host) -> Result<Receiver> {
    let [own, gateways] = [&host.own, &host.gateways].map(|set| set.iter().copied().collect::<Vec<_>>());
    let mut receiver = Receiver::load(&Objects::from_env()?, host.accepted, &own, &gateways)?;
    for any in [NodeHop::ANY_V4, NodeHop::ANY_V6] {
        receiver.add_hop(any, HOP)?;
    }
    if let Some((epoch, key)) = host.key {
        receiver.add_key(epoch, key.key)?;
    }
    Ok(receiver)
}

/// Which frames the receiver takes out of their tunnel.
fn taken_out(sent: &[Case], accepted: Accepted) -> Result<Vec<usize>> {
    let host = Host::of(sent, accepted);
    let mut receiver = loaded(&host)?;
    let mut out = Vec::new();
    for (number, case) in sent.iter().enumerate() {
        let frame = &case.expected.bytes;
        let (verdict, bytes) = receiver.run(frame)?;
        assert_eq!((verdict, bytes.clone()), host.run(frame), "{}", case.about);
        let inside = redirected(&case.input)?;
        let came = inside.map_or_else(|| packet(&case.input), Ok)?;
        if verdict == XDP_PASS && bytes != *frame {
            // Congestion that was marked on the way to the gateway is in the packet's first twelve bytes by now.
            let (left, from) = (packet(&bytes)?, if inside.is_some() { 12 } else { 0 });
            assert_eq!((left.len(), hex(&left[from..])), (came.len(), hex(&came[from..])), "{}", case.about);
            out.push(number);
        } else if verdict == XDP_TX {
            assert!(bytes.ends_with(came), "{}", case.about);
            out.push(number);
        } else {
            // Where the port is the receiver's, what is for another cluster's gateway is a tunnel packet that no node takes.
            let takes = redirected(frame)?.is_some() && verdict == XDP_DROP;
            assert!(verdict == XDP_PASS || takes, "{}", case.about);
        }
        // What others are sent on by is a bit here and there; of all else one in a byte will do.
        let step = if verdict == XDP_TX { 1 } else { 9 };
        for bit in (0..8 * CHANGED.min(frame.len())).step_by(step) {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(receiver.run(&changed)?, host.run(&changed), "{}: {}", case.about, hex(&changed));
        }
    }
    let counted = Counted::of(&mut receiver)?;
    assert_eq!(counted, *host.counted.borrow());
    for reason in [
        ReceiverReason::UnknownPeer,
        ReceiverReason::BadTunnel,
        ReceiverReason::OuterTruncated,
        ReceiverReason::SentOn,
        ReceiverReason::SentBack,
        ReceiverReason::NobodysTaken,
    ] {
        assert!(counted.0.contains_key(reason.name()), "none was {}", reason.name());
    }
    Ok(out)
}

#[test]
fn a_tag_is_right_if_a_gateway_made_it_and_wrong_if_a_bit_differs() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let (epoch, key) = World::load()?.tunnel_key()?.context("the world has a key")?;
    let (sent, mut right) = (sent()?, 0);
    for (gue, vxlan, network) in TUNNELS {
        let (gue, vxlan) = (NetworkU16::new(gue), NetworkU16::new(vxlan));
        let accepted = Accepted { gue, vxlan, vni: u32::to_be(network << 8), ..Receiver::usual() };
        let flags = accepted.flags.with(AcceptedFlags::KEYS).with(AcceptedFlags::TAG_REQUIRED);
        let key = KnownKey { known: 1, key: TunnelKey { k0: key.k0, k1: key.k1 } };
        let mut host = Host::of(&sent, Accepted { flags, ..accepted });
        host.key = Some((epoch, key));
        let mut receiver = loaded(&host)?;
        for case in &sent {
            let (verdict, bytes) = receiver.run(&case.expected.bytes)?;
            assert_eq!((verdict, bytes), host.run(&case.expected.bytes), "{}", case.about);
            if tag(&case.expected.bytes, gue).is_some() {
                assert_ne!(verdict, XDP_DROP, "{}", case.about);
                each_bit_counts(case, gue, &mut receiver, &host)?;
                right += 1;
            }
        }
        let counted = Counted::of(&mut receiver)?;
        assert_eq!(counted, *host.counted.borrow());
        assert!(
            [ReceiverReason::WrongTag, ReceiverReason::MissingTag]
                .iter()
                .all(|reason| counted.0.contains_key(reason.name()))
        );
    }
    ensure!(right > 8, "only {right} frames have a tag");
    Ok(())
}

/// Where the tag of a frame lies, if it has one.
fn tag(frame: &[u8], gue: NetworkU16) -> Option<usize> {
    let outer = parse::network(&SliceFrame::new(&mut frame.to_vec(), 0, 1)).ok()?;
    let udp = outer.offset + outer.header_length;
    let private = udp + 12;
    let port = frame.get(udp + 2..udp + 4)?;
    let tagged = outer.next == 17
        && *port == gue.get().to_be_bytes()
        && frame[udp + 8] > 0
        && frame[private + 3] & 2 != 0;
    tagged.then_some(private + 4)
}

/// No bit of the tag, or of the IP header that it is about, may differ.
fn each_bit_counts(case: &Case, gue: NetworkU16, receiver: &mut Receiver, host: &Host) -> Result<()> {
    let (frame, inner) = (&case.expected.bytes, packet(&case.input)?.len());
    let header = if packet(&case.input)?[0] >> 4 == 4 { 20 } else { 40 };
    let start = frame.len() - inner;
    let at = tag(frame, gue).context("it has one")?;
    let bytes = (at..at + 8).chain(start..start + header);
    for bit in bytes.flat_map(|byte| 8 * byte..8 * byte + 8) {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let (verdict, bytes) = receiver.run(&changed)?;
        assert_eq!((verdict, &bytes), (XDP_DROP, &changed), "{}: bit {bit}", case.about);
        assert_eq!(host.run(&changed).0, XDP_DROP);
    }
    Ok(())
}
