use super::*;
use crate::frame::SliceFrame;
use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, PacketBuilderStep};
use etherparse::{icmpv4, icmpv6};
use lb_common::net::{Address, NetworkU16};
use proptest::prelude::*;
use std::cell::RefCell;
use std::net::IpAddr;
use std::vec;
use std::vec::Vec;

const TAGS: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5, 0x81, 0, 0x20, 6]];
const VIPS: [&str; 2] = ["198.51.100.10", "2001:db8::10"];
const OWN: [&str; 2] = ["10.0.0.11", "fd00::11"];
const TCP: u8 = protocol::TCP;
const UDP: u8 = protocol::UDP;

#[derive(Default)]
struct World {
    counted: RefCell<Vec<RefusedKey>>,
}

impl Sender for World {
    fn is_own(&self, address: &Address) -> bool {
        OWN.iter().any(|own| address_of(own) == *address)
    }
}

impl Refusals for World {
    fn count_refused(&self, key: &RefusedKey) {
        self.counted.borrow_mut().push(*key);
    }
}

fn address_of(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn key(address: &str, protocol: u8) -> RefusedKey {
    RefusedKey::new(address_of(address), NetworkU16::new(443), protocol)
}

/// What a frame is counted as.
fn counted(frame: &[u8]) -> Option<RefusedKey> {
    let world = World::default();
    let mut bytes = frame.to_vec();
    let frame = SliceFrame::new(&mut bytes, 0, 1);
    if let Ok(network) = parse::network(&frame) {
        process(&frame, &network, &world);
    }
    let counted = world.counted.into_inner();
    assert!(counted.len() <= 1, "{counted:?}");
    counted.first().copied()
}

fn ip(source: &str, destination: &str) -> PacketBuilderStep<etherparse::IpHeaders> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        }
        _ => panic!("two families"),
    }
}

fn client(address: &str) -> &'static str {
    if address.contains(':') { "2001:db8::7" } else { "203.0.113.7" }
}

fn framed(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    [&[2, 0, 0, 0, 0, 9, 4, 0, 0, 0, 0, 7], tags, &kind, packet].concat()
}

/// The kernel's answer to a SYN where nothing listens.
fn refused(address: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    let segment = ip(address, client(address)).tcp(443, 40_000, 0, 0).rst().ack(8);
    segment.write(&mut packet, b"").unwrap();
    packet
}

/// A message about a client's packet to port 443 of that address, from `source`.
fn message(source: &str, address: &str, protocol: u8) -> Vec<u8> {
    let (mut quoted, mut packet) = (Vec::new(), Vec::new());
    let asked = ip(client(address), address);
    match protocol {
        TCP => asked.tcp(40_000, 443, 7, 1024).syn().write(&mut quoted, b"").unwrap(),
        _ => asked.udp(40_000, 443).write(&mut quoted, b"asked").unwrap(),
    }
    let answer = ip(source, client(address));
    let v4 = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port);
    let v6 = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
    if address.contains(':') {
        answer.icmpv6(v6).write(&mut packet, &quoted).unwrap();
    } else {
        answer.icmpv4(v4).write(&mut packet, &quoted).unwrap();
    }
    packet
}

#[test]
fn a_reset_that_answers_a_syn_is_counted_for_its_vip() {
    for (vip, tags) in VIPS.iter().flat_map(|vip| TAGS.map(|tags| (*vip, tags))) {
        assert_eq!(counted(&framed(tags, &refused(vip))), Some(key(vip, TCP)), "{vip} {tags:?}");
    }
    assert_eq!(OWN.map(|own| counted(&framed(&[], &refused(own)))), [None; 2], "what is sent for itself");
}

#[test]
fn a_port_that_is_unreachable_is_counted_for_its_vip_whoever_says_so() {
    for (position, vip) in VIPS.iter().enumerate() {
        for (source, protocol) in [(*vip, UDP), (OWN[position], UDP), (*vip, TCP), (OWN[position], TCP)] {
            for tags in TAGS {
                let frame = framed(tags, &message(source, vip, protocol));
                assert_eq!(counted(&frame), Some(key(vip, protocol)), "{source} {vip} {tags:?}");
            }
        }
        let own = OWN[position];
        assert_eq!(counted(&framed(&[], &message(own, own, UDP))), None, "its own port");
    }
}

/// A frame with one byte changed.
fn with(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = byte;
    frame
}

#[test]
fn ipv4_may_have_options() {
    for words in 1..=10 {
        let mut packet = refused(VIPS[0]);
        packet[0] += words;
        packet[3] += words * 4;
        packet.splice(20..20, vec![1; usize::from(words) * 4]);
        assert_eq!(counted(&framed(&[], &packet)), Some(key(VIPS[0], TCP)), "{words}");
        let mut packet = message(VIPS[0], VIPS[0], UDP);
        packet[28] += words;
        packet[3] += words * 4;
        packet.splice(48..48, vec![1; usize::from(words) * 4]);
        assert_eq!(counted(&framed(&[], &packet)), Some(key(VIPS[0], UDP)), "{words} in what is quoted");
    }
}

#[test]
fn all_else_is_not_counted() {
    let reset = framed(&[], &refused(VIPS[0]));
    let v6 = framed(&[], &refused(VIPS[1]));
    let port = framed(&[], &message(VIPS[0], VIPS[0], UDP));
    let port_v6 = framed(&[], &message(VIPS[1], VIPS[1], UDP));
    for frame in [&reset, &v6, &port, &port_v6] {
        assert!(counted(frame).is_some());
    }
    for (about, frame) in [
        ("a reset of a connection", with(&reset, 41, 1)),
        ("one in its upper half", with(&v6, 58, 0x80)),
        ("a reset that acknowledges nothing", with(&reset, 47, 4)),
        ("an answer to a SYN", with(&reset, 47, 0x12)),
        ("an acknowledgement", with(&reset, 47, 0x10)),
        ("a SYN that resets", with(&reset, 47, 0x16)),
        ("an end that resets", with(&reset, 47, 0x15)),
        ("a fragment", with(&reset, 20, 0x20)),
        ("a later fragment", with(&reset, 21, 1)),
        ("an IP header too short", with(&reset, 14, 0x44)),
        ("a hop-by-hop header", with(&v6, 20, 0)),
        ("a packet beyond the frame", reset[..reset.len() - 1].to_vec()),
        ("a packet before its end", with(&reset, 17, 39)),
        ("a host that is unreachable", with(&port, 35, 1)),
        ("what is prohibited", with(&port, 35, 13)),
        ("a time that is over", with(&port, 34, 11)),
        ("an address that is unreachable", with(&port_v6, 55, 3)),
        ("a packet too big", with(&port_v6, 54, 2)),
        ("ICMP of the other family", with(&port, 23, 58)),
        ("a message in fragments", with(&port, 20, 0x20)),
        ("a quotation of another family", with(&port, 42, 0x65)),
        ("one with a header too short", with(&port, 42, 0x44)),
        ("one of a protocol without ports", with(&port, 51, 47)),
        ("one of a later fragment", with(&port, 49, 1)),
        ("one with a header before UDP", with(&port_v6, 68, 44)),
        ("one cut before its ports", with(&port, 17, 20 + 8 + 20 + 3)),
        ("a message beyond the frame", port[..port.len() - 1].to_vec()),
        ("ARP", with(&reset, 13, 6)),
    ] {
        assert_eq!(counted(&frame), None, "{about}");
    }
}

proptest! {
    #[test]
    fn no_frame_breaks_the_way(
        frame in prop::sample::select(vec![
            refused(VIPS[0]), refused(VIPS[1]), message(VIPS[0], VIPS[0], UDP), message(VIPS[1], VIPS[1], TCP),
        ]),
        tags in prop::sample::select(TAGS.to_vec()),
        damage in prop::collection::vec((0_usize..140, any::<u8>()), 0..6),
        length in 0_usize..140,
    ) {
        let mut frame = framed(tags, &frame);
        for (at, byte) in damage {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        frame.truncate(length);
        if let Some(key) = counted(&frame) {
            prop_assert!(matches!(key.protocol, 6 | 17) && key.reserved == 0);
        }
    }
}
