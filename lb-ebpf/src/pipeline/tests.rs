//! Properties of the whole way: what is not for a VIP is left alone, what is sent is what came, wrapped.

mod chain;
mod garbage;
mod probe;
mod quic;
mod redirect;
mod tag;
mod unusual;
mod world;

use crate::frame::SliceFrame;
use crate::verdict::Action;
use etherparse::{Ethernet2Header, IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, UdpHeader};
use lb_common::abi::{BackendFlags, Features, INNER_SOURCE};
use lb_common::reason::Reason;
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;
use std::vec::Vec;
use world::{Count, MTU, VIP_V4, VIP_V6, World};

const HEADROOM: usize = 96;

/// Runs a frame with so much room in front of it.
fn run(world: &World, frame: &[u8], headroom: usize) -> (Action, Vec<u8>, Vec<Count>) {
    let mut buffer = [std::vec![0xee; headroom], frame.to_vec()].concat();
    let mut frame = SliceFrame::new(&mut buffer, headroom, world::INTERFACE);
    let action = super::process(&mut frame, world);
    (action, frame.bytes().to_vec(), world.take_counts())
}

/// A UDP packet (443: to the IPv4 backend, 80: to the IPv6 one) without a link header.
fn packet(to: IpAddr, port: u16, tos: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match to {
        IpAddr::V4(v4) => {
            let mut header = Ipv4Header::new(0, 9, etherparse::IpNumber::UDP, [203, 0, 113, 77], v4.octets());
            let header = header.as_mut().unwrap();
            (header.dscp, header.ecn) = ((tos >> 2).try_into().unwrap(), (tos & 3).try_into().unwrap());
            let builder =
                PacketBuilder::ip(IpHeaders::Ipv4(header.clone(), etherparse::Ipv4Extensions::default()));
            builder.udp(40_000, port).write(&mut bytes, payload).unwrap();
        }
        IpAddr::V6(v6) => {
            let header = Ipv6Header {
                traffic_class: tos,
                hop_limit: 9,
                destination: v6.octets(),
                ..Ipv6Header::default()
            };
            let builder = PacketBuilder::ip(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()));
            builder.udp(40_000, port).write(&mut bytes, payload).unwrap();
        }
    }
    bytes
}

fn framed(tags: usize, packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    let tags = [0x81, 0, 0, 7].repeat(tags);
    [&[2; 12], &tags[..], &kind, packet].concat()
}

fn vip() -> impl Strategy<Value = IpAddr> {
    prop::sample::select([IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)].to_vec())
}

fn port() -> impl Strategy<Value = u16> {
    prop::sample::select([443, 80].to_vec())
}

/// Reads the outer header with an independent library; it must be what the inner packet asks for, and announce
/// `carried` (a protocol) of so many bytes. What is behind it.
fn outer(frame: &[u8], port: u16, tos: u8, carried: u8, bytes: usize) -> Result<&[u8], TestCaseError> {
    let (link, rest) = Ethernet2Header::from_slice(frame).unwrap();
    prop_assert_eq!(link.destination, world::HOP);
    prop_assert_eq!(link.source, world::OWN);
    if port == 443 {
        prop_assert_eq!(link.ether_type, etherparse::EtherType::IPV4);
        let (header, rest) = Ipv4Header::from_slice(rest).unwrap();
        prop_assert_eq!(header.header_checksum, header.calc_header_checksum());
        prop_assert_eq!(usize::from(header.total_len), 20 + bytes);
        prop_assert_eq!((header.source, header.destination), (world::SOURCE_V4, world::BACKEND_V4));
        prop_assert_eq!(header.dscp.value() << 2 | header.ecn.value(), tos);
        let fixed = (header.identification, header.dont_fragment, header.more_fragments, header.time_to_live);
        prop_assert_eq!(fixed, (0, true, false, 64));
        prop_assert_eq!(header.protocol.0, carried);
        Ok(rest)
    } else {
        prop_assert_eq!(link.ether_type, etherparse::EtherType::IPV6);
        let (header, rest) = Ipv6Header::from_slice(rest).unwrap();
        prop_assert_eq!(usize::from(header.payload_length), bytes);
        prop_assert_eq!((header.source, header.destination), (world::SOURCE_V6, world::BACKEND_V6));
        prop_assert_eq!((header.traffic_class, header.hop_limit, header.next_header.0), (tos, 64, carried));
        Ok(rest)
    }
}

/// Reads UDP with an independent library. What is behind it.
fn udp(bytes: &[u8], length: usize) -> Result<&[u8], TestCaseError> {
    let (header, rest) = UdpHeader::from_slice(bytes).unwrap();
    prop_assert!(header.source_port >= 0xc000);
    prop_assert_eq!((header.destination_port, header.checksum), (world::TUNNEL_PORT, 0));
    prop_assert_eq!(usize::from(header.length), length);
    Ok(rest)
}

/// The protocol number of an IP packet in another.
fn number(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 { 4 } else { 41 }
}

fn tunnel() -> impl Strategy<Value = BackendFlags> {
    prop::sample::select([BackendFlags::default(), BackendFlags::GUE, BackendFlags::VXLAN].to_vec())
}

proptest! {
    #[test]
    fn what_is_sent_is_what_came_in_an_outer_header(
        to in vip(), port in port(), tunnel in tunnel(), tos in any::<u8>(), tags in 0_usize..=2,
        payload in vec(any::<u8>(), 0..300), padding in vec(any::<u8>(), 0..20),
    ) {
        let inner = packet(to, port, tos, &payload);
        let frame = [framed(tags, &inner), padding.clone()].concat();
        let (action, bytes, counts) = run(&World::with_tunnels(tunnel), &frame, HEADROOM);
        prop_assert_eq!(action, Action::Transmit);
        let rest = if tunnel == BackendFlags::GUE {
            let length = 12 + inner.len();
            let rest = udp(outer(&bytes, port, tos, 17, length)?, length)?;
            prop_assert_eq!(&rest[..4], [0, number(&inner), 0, 0]);
            &rest[4..]
        } else if tunnel == BackendFlags::VXLAN {
            let length = 30 + inner.len();
            let rest = udp(outer(&bytes, port, tos, 17, length)?, length)?;
            prop_assert_eq!(&rest[..8], [8, 0, 0, 0, 0xab, 0xcd, 0xef, 0]);
            let (ethernet, rest) = Ethernet2Header::from_slice(&rest[8..]).unwrap();
            prop_assert_eq!((ethernet.destination, ethernet.source), (world::INNER, INNER_SOURCE.mac()));
            prop_assert_eq!(ethernet.ether_type.0, if number(&inner) == 4 { 0x0800 } else { 0x86dd });
            rest
        } else {
            outer(&bytes, port, tos, number(&inner), inner.len())?
        };
        prop_assert_eq!(&rest[..inner.len()], inner.as_slice());
        prop_assert_eq!(&rest[inner.len()..], padding);
        let service = u32::from(port == 80);
        prop_assert_eq!(counts, [Count::Sent(service, service, inner.len() as u64)]);
    }

    #[test]
    fn what_is_not_for_a_vip_is_left_alone(
        to in prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)],
        port in port(), flaws in vec((0_usize..60, any::<u8>()), 0..4),
    ) {
        prop_assume!(to != IpAddr::V4(VIP_V4) && to != IpAddr::V6(VIP_V6));
        let mut frame = framed(0, &packet(to, port, 0, b"data"));
        // Flaws anywhere but in the destination.
        let address = if to.is_ipv4() { 30..34 } else { 38..54 };
        for (at, value) in flaws {
            if at < frame.len() && !address.contains(&at) && at != 12 && at != 13 {
                frame[at] = value;
            }
        }
        let (action, bytes, counts) = run(&World::new(), &frame, HEADROOM);
        prop_assert_eq!((action, bytes, counts), (Action::Pass, frame, std::vec![]));
    }

    #[test]
    fn a_damaged_frame_is_sent_whole_or_not_changed(
        to in vip(), port in port(), tags in 0_usize..=3, flaws in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(), is_cut in any::<bool>(),
    ) {
        let mut frame = framed(tags, &packet(to, port, 0, b"0123456789"));
        if is_cut {
            frame.truncate(cut.index(frame.len()));
        }
        for (at, value) in flaws {
            if !frame.is_empty() {
                let at = at.index(frame.len());
                frame[at] = value;
            }
        }
        let (action, bytes, counts) = run(&World::new(), &frame, HEADROOM);
        if action == Action::Transmit {
            let network = 14 + 4 * (bytes_of_tags(&frame) / 4);
            prop_assert!(bytes.ends_with(&frame[network..]));
            prop_assert!(bytes.len() >= 14 + 20 + frame.len() - network);
            prop_assert!(matches!(counts[..], [Count::Sent(..)]));
        } else {
            prop_assert_eq!(bytes, frame);
            prop_assert!(!counts.iter().any(|count| matches!(count, Count::Sent(..))));
        }
    }
}

fn bytes_of_tags(frame: &[u8]) -> usize {
    let is_tag = |at: usize| matches!(frame.get(at..at + 2), Some([0x81, 0] | [0x88, 0xa8]));
    [12, 16].iter().take_while(|at| is_tag(**at)).count() * 4
}

#[test]
fn the_mtu_is_kept_to_the_byte() {
    for (tunnel, between) in
        [(BackendFlags::default(), 0), (BackendFlags::GUE, 12), (BackendFlags::VXLAN, 30)]
    {
        let world = World::with_tunnels(tunnel);
        for (to, headers) in [(IpAddr::V4(VIP_V4), 28), (IpAddr::V6(VIP_V6), 48)] {
            for (port, outer) in [(443, 20), (80, 40)] {
                let fitting = std::vec![0; usize::from(MTU) - headers - outer - between];
                let (action, ..) = run(&world, &framed(0, &packet(to, port, 0, &fitting)), HEADROOM);
                assert_eq!(action, Action::Transmit, "{to} {port} {between}");
                let larger = [fitting, std::vec![0]].concat();
                let frame = framed(0, &packet(to, port, 0, &larger));
                let service = u32::from(port == 80);
                let (_, _, counts) = run(&world, &frame, HEADROOM);
                let lost = std::vec![Count::Dropped(service), Count::Reason(Reason::TooBigReported)];
                assert_eq!(counts, lost, "{to} {port} {between}");
            }
        }
    }
}

#[test]
fn without_headroom_the_packet_is_dropped_and_says_so() {
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    let counts = std::vec![Count::Dropped(0), Count::Reason(Reason::NoHeadroom)];
    assert_eq!(run(&World::new(), &frame, 19), (Action::Drop, frame.clone(), counts));
    assert_eq!(run(&World::new(), &frame, 20).0, Action::Transmit);
}

#[test]
fn a_program_without_tunnels_sends_what_it_can() {
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    let bare = run(&World::new(), &frame, HEADROOM);
    for (tunnel, other) in [(BackendFlags::GUE, Features::VXLAN), (BackendFlags::VXLAN, Features::GUE)] {
        let mut world = World::with_tunnels(tunnel);
        assert_ne!(run(&world, &frame, HEADROOM).1, bare.1);
        for features in [Features::default(), other] {
            world.features = features;
            assert_eq!(run(&world, &frame, HEADROOM), bare);
        }
    }
}

#[test]
fn another_interface_is_redirected_to() {
    let mut world = World::new();
    world.backends[0].route.interface = world::INTERFACE + 1;
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    assert_eq!(run(&world, &frame, HEADROOM).0, Action::Redirect(world::INTERFACE + 1));
}

#[test]
fn the_egress_has_its_own_tag() {
    let mut world = World::new();
    world.backends[0].destination_mac.number = 200;
    let frame = framed(2, &packet(VIP_V4.into(), 443, 0, b""));
    let (action, bytes, _) = run(&world, &frame, HEADROOM);
    assert_eq!((action, &bytes[12..18]), (Action::Transmit, &[0x81, 0, 0, 200, 8, 0][..]));
}

#[test]
fn a_vip_that_is_also_this_machines_passes_what_has_no_service() {
    let frame = framed(0, &packet(VIP_V4.into(), 9, 0, b""));
    let counts = std::vec![Count::Reason(Reason::NoService)];
    assert_eq!(run(&World::new(), &frame, HEADROOM), (Action::Drop, frame.clone(), counts));
    let counts = std::vec![Count::Reason(Reason::LocalVip)];
    assert_eq!(run(&World::with_local_vips(), &frame, HEADROOM), (Action::Pass, frame, counts));
}

#[test]
fn tables_that_name_what_is_not_there_drop_and_say_so() {
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b""));
    let forget: [fn(&mut World); 5] = [
        |world| world.services.clear(),
        |world| world.pools.clear(),
        |world| world.tables.clear(),
        |world| world.slab.clear(),
        |world| world.backends.clear(),
    ];
    for forget in forget {
        let mut world = World::new();
        forget(&mut world);
        let counts = std::vec![Count::Dropped(0), Count::Reason(Reason::MissingEntry)];
        assert_eq!(run(&world, &frame, HEADROOM), (Action::Drop, frame.clone(), counts));
    }
    let mut world = World::with_tunnels(BackendFlags::VXLAN);
    world.tunnels.clear();
    let counts = std::vec![Count::Dropped(0), Count::Reason(Reason::MissingEntry)];
    assert_eq!(run(&world, &frame, HEADROOM), (Action::Drop, frame, counts));
}
