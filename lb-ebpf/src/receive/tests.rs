mod chain;
mod tag;

use super::*;
use crate::frame::SliceFrame;
use etherparse::PacketBuilder;
use lb_common::abi::{AcceptedFlags, SegmentLimits};
use lb_common::net::{Family, NetworkU16};
use std::cell::RefCell;
use std::net::IpAddr;
use std::vec::Vec;

const LINK: [u8; 14] = [2, 0, 0, 0, 0, 9, 4, 0, 0, 0, 0, 7, 0, 0];
const GATEWAY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4::new(10, 0, 0, 2)), IpAddr::V6(Ipv6::new(0xfd00, 0, 0, 0, 0, 0, 0, 2))];
const NODE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4::new(10, 0, 0, 11)), IpAddr::V6(Ipv6::new(0xfd00, 0, 0, 0, 0, 0, 0, 11))];
const GUE: u16 = 6080;
const VXLAN: u16 = 4789;
const VNI: u32 = 0x0012_3400_u32.to_be();

use std::net::{Ipv4Addr as Ipv4, Ipv6Addr as Ipv6};

struct World {
    accepted: Accepted,
    keys: Vec<KnownKey>,
    taken: RefCell<Vec<(TunnelKind, u64)>>,
    reasons: RefCell<Vec<ReceiverReason>>,
}

impl World {
    fn new() -> Self {
        let flags = AcceptedFlags::IPIP;
        let (gue, vxlan) = (NetworkU16::new(GUE), NetworkU16::new(VXLAN));
        let accepted = Accepted { gue, vxlan, vni: VNI, flags, segments: SegmentLimits::NONE };
        Self { accepted, keys: Vec::new(), taken: RefCell::default(), reasons: RefCell::default() }
    }
}

impl Node for World {
    fn accepted(&self) -> Option<&Accepted> {
        Some(&self.accepted)
    }
    fn is_own(&self, address: &Address) -> bool {
        NODE.iter().any(|own| Address::from(*own) == *address)
    }
    fn is_peer(&self, source: &AccessKey) -> bool {
        GATEWAY
            .iter()
            .zip([Family::V4, Family::V6])
            .any(|(gateway, family)| AccessKey::of_source(0, family, (*gateway).into()) == *source)
    }
    fn tunnel_key(&self, epoch: u8) -> Option<&KnownKey> {
        self.keys.get(usize::from(epoch))
    }
    fn count_taken(&self, kind: TunnelKind, bytes: u64) {
        self.taken.borrow_mut().push((kind, bytes));
    }
    fn count_reason(&self, reason: ReceiverReason) {
        self.reasons.borrow_mut().push(reason);
    }
}

/// A packet of a client to a VIP, without a link header; `ecn` are its congestion bits.
fn inner(family: Family, ecn: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = match family {
        Family::V4 => PacketBuilder::ipv4([203, 0, 113, 7], [198, 51, 100, 10], 61),
        Family::V6 => PacketBuilder::ipv6([7; 16], [9; 16], 61),
    };
    builder.tcp(40_000, 443, 1, 1024).syn().write(&mut packet, b"some data").unwrap();
    set(&mut packet, ecn);
    packet
}

/// Writes congestion bits, and an IPv4 checksum that is right.
fn set(packet: &mut [u8], ecn: u8) {
    if packet[0] >> 4 == 6 {
        packet[1] = packet[1] & 0xcf | ecn << 4;
        return;
    }
    packet[1] = packet[1] & 0xfc | ecn;
    packet[10..12].fill(0);
    let sum = !sum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8], ecn: u8) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let fixed = [&[0x45, 0], &length(20)[..], &[0, 0, 0x40, 0, 64, protocol, 0, 0]].concat();
            [&fixed[..], &from.octets(), &to.octets(), payload].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let fixed = [&[0x60, 0, 0, 0], &length(0)[..], &[protocol, 64]].concat();
            [&fixed[..], &from.octets(), &to.octets(), payload].concat()
        }
        _ => panic!("two families"),
    };
    set(&mut packet, ecn);
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    [&[0xc0, 0], &port.to_be_bytes()[..], &length.to_be_bytes(), &[0, 0], payload].concat()
}

/// The packet in a tunnel of this kind: what is behind the outer IP header, and that one's protocol.
fn tunnelled(kind: TunnelKind, inner: &[u8]) -> (u8, Vec<u8>) {
    let v4 = inner[0] >> 4 == 4;
    let protocol = if v4 { 4 } else { 41 };
    match kind {
        TunnelKind::Ipip => (protocol, inner.to_vec()),
        TunnelKind::Gue => (17, udp(GUE, &[&[0, protocol, 0, 0], inner].concat())),
        TunnelKind::Vxlan => {
            let header = [&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &LINK[..12], &ether_type(v4)].concat();
            (17, udp(VXLAN, &[&header[..], inner].concat()))
        }
    }
}

const fn ether_type(v4: bool) -> [u8; 2] {
    if v4 { [8, 0] } else { [0x86, 0xdd] }
}

/// Behind a link header with some tags.
fn framed(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    [&LINK[..12], tags, &ether_type(packet[0] >> 4 == 4), packet].concat()
}

fn run(world: &World, frame: &[u8]) -> (Verdict, Vec<u8>) {
    let mut buffer = frame.to_vec();
    let mut frame = SliceFrame::new(&mut buffer, 0, 1);
    let verdict = process(&mut frame, world);
    (verdict, frame.bytes().to_vec())
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const TAGS: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 6]];

#[test]
fn every_tunnel_comes_off_and_the_link_stays() {
    for (kind, family, outer, tags) in TunnelKind::ALL.into_iter().flat_map(|kind| {
        FAMILIES.into_iter().flat_map(move |family| {
            (0..2).flat_map(move |outer| TAGS.into_iter().map(move |tags| (kind, family, outer, tags)))
        })
    }) {
        let (world, packet) = (World::new(), inner(family, 0));
        let (protocol, payload) = tunnelled(kind, &packet);
        let mut frame = framed(tags, &ip(GATEWAY[outer], NODE[outer], protocol, &payload, 0));
        frame.extend(b"padding");
        let (verdict, bytes) = run(&world, &frame);
        let expected = [&framed(tags, &packet)[..], b"padding"].concat();
        assert_eq!((verdict, bytes), (Verdict::Pass, expected), "{kind:?} {family:?} in {outer} {tags:?}");
        assert_eq!(*world.taken.borrow(), [(kind, packet.len() as u64)]);
        assert!(world.reasons.borrow().is_empty());
    }
}

/// What becomes of a frame: the verdict, whether it changed, and the reason.
fn end(frame: &[u8]) -> (Verdict, Option<ReceiverReason>) {
    let world = World::new();
    let (verdict, bytes) = run(&world, frame);
    assert_eq!(bytes, frame, "it is as it was");
    assert!(world.taken.borrow().is_empty());
    let reason = world.reasons.borrow().first().copied();
    (verdict, reason)
}

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip(GATEWAY[0], NODE[0], protocol, payload, 0)
}

#[test]
fn what_is_no_tunnel_packet_for_the_node_is_the_kernels() {
    let packet = inner(Family::V4, 0);
    let (protocol, gue) = tunnelled(TunnelKind::Gue, &packet);
    let elsewhere = ip(GATEWAY[0], [10, 0, 0, 12].into(), protocol, &gue, 0);
    for (about, frame) in [
        ("the packet itself", framed(&[], &packet)),
        ("another node's", framed(&[], &elsewhere)),
        ("another port", framed(&[], &v4(17, &udp(53, &packet)))),
        ("TCP", framed(&[], &v4(6, &packet))),
        ("ARP", [&LINK[..12], &[8, 6], &packet].concat()),
        ("nothing behind the link header", LINK.to_vec()),
        ("no ports", framed(&[], &v4(17, &[0; 3]))),
    ] {
        assert_eq!(end(&frame), (Verdict::Pass, None), "{about}");
    }
    let mut world = World::new();
    world.accepted = Accepted::default();
    for kind in TunnelKind::ALL {
        let (protocol, payload) = tunnelled(kind, &packet);
        let frame = framed(&[], &v4(protocol, &payload));
        assert_eq!(run(&world, &frame), (Verdict::Pass, frame), "{kind:?} is not accepted");
    }
    let zero = framed(&[], &v4(17, &udp(0, &packet)));
    assert_eq!(run(&world, &zero), (Verdict::Pass, zero), "port 0 is not that of what is off");
}

#[test]
fn what_a_tunnel_must_not_be_is_dropped_with_its_reason() {
    use ReceiverReason as Reason;
    let packet = inner(Family::V4, 0);
    let (_, gue) = tunnelled(TunnelKind::Gue, &packet);
    let (_, vxlan) = tunnelled(TunnelKind::Vxlan, &packet);
    let with = |payload: &[u8], at: usize, byte: u8| {
        let mut changed = payload.to_vec();
        changed[at] = byte;
        v4(17, &changed)
    };
    let mut fragment = v4(4, &packet);
    fragment[6..8].copy_from_slice(&[0x20, 0]);
    let mut longer = packet.clone();
    longer[3] += 1;
    for (about, packet, reason) in [
        ("another sender", ip([10, 0, 0, 3].into(), NODE[0], 4, &packet, 0), Reason::UnknownPeer),
        ("another sender's nonsense", ip([10, 0, 0, 3].into(), NODE[0], 4, &[], 0), Reason::UnknownPeer),
        ("a fragment", fragment, Reason::OuterFragment),
        ("nothing in it", v4(4, &[]), Reason::BadTunnel),
        ("IPv6 that says IPv4", v4(4, &inner(Family::V6, 0)), Reason::BadTunnel),
        ("IPv4 that says IPv6", v4(41, &packet), Reason::BadTunnel),
        ("longer than what it is in", v4(4, &longer), Reason::OuterTruncated),
        ("half a GUE header", v4(17, &gue[..10]), Reason::OuterTruncated),
        ("GUE of variant 1", with(&gue, 8, 0x40), Reason::BadTunnel),
        ("GUE with options", with(&gue, 8, 1), Reason::BadTunnel),
        ("GUE with a flag", with(&gue, 10, 0x80), Reason::BadTunnel),
        ("GUE of something else", with(&gue, 9, 6), Reason::BadTunnel),
        ("half a VXLAN header", v4(17, &vxlan[..20]), Reason::OuterTruncated),
        ("VXLAN without a VNI", with(&vxlan, 8, 0), Reason::BadTunnel),
        ("another VNI", with(&vxlan, 14, 9), Reason::BadTunnel),
        ("VXLAN of ARP", with(&vxlan, 29, 6), Reason::BadTunnel),
    ] {
        assert_eq!(end(&framed(&[], &packet)), (Verdict::Drop, Some(reason)), "{about}");
    }
    let cut = framed(&[], &v4(4, &packet));
    assert_eq!(
        end(&cut[..cut.len() - 1]),
        (Verdict::Drop, Some(Reason::OuterTruncated)),
        "the frame ends first"
    );
}

/// RFC 6040, section 4.2, the figure: rows are the inner bits, columns the outer ones.
#[test]
fn congestion_on_the_way_is_told_to_who_knows_it() {
    const CE: u8 = 3;
    let table = [[0, 0, 0, u8::MAX], [1, 1, 1, CE], [2, 1, 2, CE], [CE, CE, CE, CE]];
    for family in FAMILIES {
        for (inside, row) in (0..).zip(table) {
            for (outside, expected) in (0..).zip(row) {
                let world = World::new();
                let (protocol, payload) = tunnelled(TunnelKind::Ipip, &inner(family, inside));
                let frame = framed(&[], &ip(GATEWAY[0], NODE[0], protocol, &payload, outside));
                let (verdict, bytes) = run(&world, &frame);
                if expected == u8::MAX {
                    assert_eq!(verdict, Verdict::Drop);
                    assert_eq!(*world.reasons.borrow(), [ReceiverReason::Congested]);
                } else {
                    assert_eq!(bytes, framed(&[], &inner(family, expected)), "{inside} in {outside}");
                }
            }
        }
    }
}
