//! Packets made with an independent library, and what is odd about a packet made by hand.

use super::*;
use crate::frame::SliceFrame;
use crate::wire::protocol;
use core::net::IpAddr;
use etherparse::PacketBuilder;
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

const CLIENT: [u8; 4] = [203, 0, 113, 77];
const VIP: [u8; 4] = [198, 51, 100, 10];
const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0xc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77];
const VIP6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
const PORTS: (u16, u16) = (40_000, 443);
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const TCP: u8 = 6;

/// What is read off a frame.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// Source, destination, ports, protocol.
    Flow(IpAddr, IpAddr, (u16, u16), u8),
    Odd(Portless),
    NotIp,
}

fn read(frame: &[u8]) -> Read {
    let mut buffer = frame.to_vec();
    let frame = SliceFrame::new(&mut buffer, 0, 1);
    let Ok(network) = network(&frame) else { return Read::NotIp };
    match transport(&frame, &network) {
        Err(reason) => Read::Odd(reason),
        Ok(Transport { flow, .. }) => {
            let ports = (flow.source_port.get(), flow.destination_port.get());
            Read::Flow(flow.source.into(), flow.destination.into(), ports, flow.protocol)
        }
    }
}

fn tcp4() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, VIP, 64);
    let mut frame = Vec::new();
    builder.tcp(PORTS.0, PORTS.1, 1, 1000).write(&mut frame, b"data").unwrap();
    frame
}

fn udp6(payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(CLIENT6, VIP6, 64);
    let mut frame = Vec::new();
    builder.udp(PORTS.0, PORTS.1).write(&mut frame, payload).unwrap();
    frame
}

/// IPv6 over Ethernet before any payload.
fn bare6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[2; 12], &[0x86, 0xdd, 0x60, 0, 0, 0][..], &length, &[next, 64], &CLIENT6, &VIP6, payload].concat()
}

fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
    let tags: Vec<u8> =
        tags.iter().flat_map(|kind| [kind.to_be_bytes(), 100_u16.to_be_bytes()].concat()).collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// The frame with other bytes from `at` on.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

fn flow4() -> Read {
    Read::Flow(CLIENT.into(), VIP.into(), PORTS, TCP)
}

#[test]
fn ordinary_packets() {
    assert_eq!(read(&tcp4()), flow4());
    assert_eq!(read(&udp6(b"")), Read::Flow(CLIENT6.into(), VIP6.into(), PORTS, 17));
}

#[test]
fn up_to_two_vlan_tags_are_read() {
    for tags in [&[0x8100][..], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x88a8]] {
        assert_eq!(read(&tagged(&tcp4(), tags)), flow4(), "{tags:x?}");
    }
    assert_eq!(read(&tagged(&tcp4(), &[0x8100; 3])), Read::NotIp);
    assert_eq!(read(&tagged(&tcp4(), &[0x9100])), Read::NotIp);
}

#[test]
fn what_is_no_ip_is_nobodys() {
    for (at, bytes) in [(12, [8, 6]), (12, [0x86, 0xdd]), (14, [0x65, 0]), (12, [0, 60])] {
        assert_eq!(read(&with(tcp4(), at, &bytes)), Read::NotIp, "{bytes:x?} at {at}");
    }
    for length in [0, 13, 14, 33] {
        assert_eq!(read(&tcp4()[..length]), Read::NotIp, "cut to {length}");
    }
    for length in [14, 53] {
        assert_eq!(read(&udp6(b"")[..length]), Read::NotIp, "cut to {length}");
    }
}

#[test]
fn lengths_that_lie_are_truncated() {
    let odd = |at, bytes: &[u8]| read(&with(tcp4(), at, bytes));
    assert_eq!(odd(16, &[0, 45]), Read::Odd(Portless::Truncated), "one beyond the frame");
    assert_eq!(odd(16, &[0, 19]), Read::Odd(Portless::Truncated), "less than the header");
    assert_eq!(odd(16, &[0, 39]), Read::Odd(Portless::Truncated), "less than TCP's");
    assert_eq!(odd(16, &[0, 40]), flow4(), "no data");
    assert_eq!(odd(14, &[0x44]), Read::Odd(Portless::Truncated), "header of four words");
    assert_eq!(odd(14, &[0x4f]), Read::Odd(Portless::Truncated), "header beyond the packet");
    assert_eq!(read(&[tcp4(), [0; 20].to_vec()].concat()), flow4(), "padding");
    assert_eq!(read(&with(udp6(b""), 18, &[0, 9])), Read::Odd(Portless::Truncated));
    assert_eq!(read(&with(udp6(b""), 18, &[0, 7])), Read::Odd(Portless::Truncated));
}

#[test]
fn fragments_are_told_from_flags() {
    let odd = |bytes: u16| read(&with(tcp4(), 20, &bytes.to_be_bytes()));
    for fragment in [0x2000, 0x0001, 0x1fff, 0x6000] {
        assert_eq!(odd(fragment), Read::Odd(Portless::Fragment), "{fragment:x}");
    }
    for whole in [0, 0x4000, 0x8000, 0xc000] {
        assert_eq!(odd(whole), flow4(), "{whole:x}");
    }
}

#[test]
fn fragment_headers_of_whole_packets_are_skipped() {
    let odd = |bits: u16| {
        let header = [&[TCP, 0][..], &bits.to_be_bytes(), &[0; 4]].concat();
        read(&bare6(FRAGMENT, &[&header[..], &tcp4()[34..]].concat()))
    };
    for fragment in [1, 8, 0xfff8] {
        assert_eq!(odd(fragment), Read::Odd(Portless::Fragment), "{fragment:x}");
    }
    for whole in [0, 2, 6] {
        assert!(matches!(odd(whole), Read::Flow(..)), "{whole:x}");
    }
}

#[test]
fn a_fragment_header_that_is_cut_short_is_truncated_first() {
    let frame = bare6(FRAGMENT, &[TCP, 0, 0, 1, 0, 0, 0]);
    assert_eq!(read(&frame), Read::Odd(Portless::Truncated));
    assert_eq!(read(&[frame, [0; 8].to_vec()].concat()), Read::Odd(Portless::Truncated), "with padding");
}

#[test]
fn neighbour_discovery_is_not_ours() {
    for kind in 133..=137 {
        assert_eq!(read(&bare6(58, &[kind, 0, 0, 0])), Read::Odd(Portless::Discovery), "{kind}");
        assert_eq!(read(&bare6(58, &[kind, 0, 0])), Read::Odd(Portless::Icmp), "{kind} cut short");
    }
    for kind in [128, 132, 138] {
        assert_eq!(read(&bare6(58, &[kind, 0, 0, 0])), Read::Odd(Portless::Icmp), "{kind}");
    }
}

#[test]
fn a_neighbours_message_lies_inside_the_packet() {
    for length in 0..4 {
        let padded = [bare6(58, &[135; 4][..length]), [135; 8].to_vec()].concat();
        assert_eq!(read(&padded), Read::Odd(Portless::Icmp), "{length}");
    }
}

#[test]
fn ipv4_knows_no_neighbour_discovery() {
    let frame = with(with(tcp4(), 23, &[58]), 34, &[135]);
    assert_eq!(read(&frame), Read::Odd(Portless::Unknown));
}

#[test]
fn each_family_has_an_icmp_of_its_own() {
    assert_eq!(read(&with(tcp4(), 23, &[1])), Read::Odd(Portless::Icmp));
    assert_eq!(read(&bare6(1, &[0; 40])), Read::Odd(Portless::Unknown));
}

#[test]
fn other_protocols_have_no_service() {
    for other in [0, 2, 4, 41, 44, 47, 50, 51, 132, 255] {
        assert_eq!(read(&with(tcp4(), 23, &[other])), Read::Odd(Portless::Unknown), "{other}");
    }
    for other in [1, 2, 4, 41, 47, 50, 59, 132, 139, 140, 255] {
        assert_eq!(read(&bare6(other, &[0; 40])), Read::Odd(Portless::Unknown), "{other}");
    }
}

/// An extension header of kind `kind` and `units` of its own size, before a `next`.
fn extension(kind: u8, units: u8, next: u8) -> Vec<u8> {
    let length = match kind {
        FRAGMENT => return [next, 0, 0, 0, 0, 0, 0, 0].to_vec(),
        protocol::AUTHENTICATION => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    let mut header = [next, units].to_vec();
    header.resize(length, 0);
    header
}

/// First protocol and bytes of a chain before TCP.
fn chain(kinds: &[(u8, u8)]) -> (u8, Vec<u8>) {
    kinds.iter().rev().fold((TCP, tcp4()[34..].to_vec()), |(next, rest), &(kind, units)| {
        (kind, [extension(kind, units, next), rest].concat())
    })
}

fn extensions_of(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<(u8, u8)>> {
    let kind = prop::sample::select([HOP_BY_HOP, 43, FRAGMENT, 51, 60, 135].to_vec());
    vec((kind, 0_u8..12), count)
}

proptest! {
    #[test]
    fn up_to_six_extension_headers_are_followed(kinds in extensions_of(0..=6)) {
        let (next, payload) = chain(&kinds);
        let read = read(&bare6(next, &payload));
        prop_assert_eq!(read, Read::Flow(CLIENT6.into(), VIP6.into(), PORTS, TCP));
    }

    #[test]
    fn a_seventh_is_one_too_many(kinds in extensions_of(7..10)) {
        let (next, payload) = chain(&kinds);
        prop_assert_eq!(read(&bare6(next, &payload)), Read::Odd(Portless::TooManyHeaders));
    }

    #[test]
    fn a_chain_cut_anywhere_is_truncated(kinds in extensions_of(1..=6), cut in 1_usize..1000) {
        let (next, mut payload) = chain(&kinds);
        let kept = payload.len().saturating_sub(5 + cut % payload.len());
        payload.truncate(kept);
        prop_assert_eq!(read(&bare6(next, &payload)), Read::Odd(Portless::Truncated));
    }

    #[test]
    fn ipv4_options_are_skipped(words in 0_usize..=10, bytes in vec(any::<u8>(), 40)) {
        let frame = tcp4();
        let options = &bytes[..words * 4];
        let frame = [&frame[..34], options, &frame[34..]].concat();
        let total = u16::try_from(frame.len() - 14).unwrap();
        let frame = with(frame, 14, &[0x45 + u8::try_from(words).unwrap()]);
        prop_assert_eq!(read(&with(frame, 16, &total.to_be_bytes())), flow4());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn any_bytes_behind_an_ip_header_are_read_without_a_panic(
        version in prop::sample::select([(0x0800_u16, 0x40_u8), (0x86dd, 0x60)].to_vec()),
        low in 0_u8..16,
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let head = [&[2; 12][..], &version.0.to_be_bytes(), &[version.1 | low]].concat();
        read(&[head, bytes].concat());
    }
}
