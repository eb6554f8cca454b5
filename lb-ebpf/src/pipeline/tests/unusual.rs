//! ICMP, fragments, and what does not fit the path.

use super::*;
use etherparse::{Icmpv4Type, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

const CLIENT_V4: [u8; 4] = [203, 0, 113, 77];
const ROUTER_V4: [u8; 4] = [192, 0, 2, 254];

/// The Internet checksum of some bytes, by the book (RFC 1071): the sum that covers a right checksum is 0xffff.
fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// What `ICMPv6` covers: the packet's addresses, its length and protocol, and the message.
fn sum_v6(packet: &[u8]) -> u16 {
    let (header, message) = packet.split_at(40);
    sum(&[&header[8..40], &[0, 0], &header[4..6], &[0, 0, 0, 58], message].concat())
}

/// An echo request with this identifier, sequence number and payload, behind an Ethernet header.
pub(super) fn echo(to: IpAddr, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    let header = etherparse::IcmpEchoHeader { id, seq };
    let mut frame = Vec::new();
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    match to {
        IpAddr::V4(v4) => link
            .ipv4(CLIENT_V4, v4.octets(), 9)
            .icmpv4(Icmpv4Type::EchoRequest(header))
            .write(&mut frame, payload),
        IpAddr::V6(v6) => link
            .ipv6([7; 16], v6.octets(), 9)
            .icmpv6(Icmpv6Type::EchoRequest(header))
            .write(&mut frame, payload),
    }
    .unwrap();
    frame
}

#[test]
fn an_echo_request_is_answered_with_all_it_had() {
    for to in [IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)] {
        let request = echo(to, 7, 9, b"payload");
        let (action, reply, counts) = run(&World::new(), &request, HEADROOM);
        assert_eq!((action, counts), (Action::Transmit, [Count::Reason(Reason::EchoReply)].to_vec()));
        assert_eq!([&reply[6..12], &reply[..6]].concat(), request[..12], "MACs are exchanged");
        let sliced = SlicedPacket::from_ethernet(&reply).unwrap();
        match (sliced.net.unwrap(), sliced.transport.unwrap()) {
            (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
                let header = ip.header();
                assert_eq!((header.source_addr(), header.destination()), (VIP_V4, CLIENT_V4));
                assert_eq!((header.ttl(), sum(header.slice())), (64, 0xffff));
                let expected = etherparse::IcmpEchoHeader { id: 7, seq: 9 };
                assert_eq!(icmp.icmp_type(), Icmpv4Type::EchoReply(expected));
                assert_eq!((icmp.payload(), sum(icmp.slice())), (&b"payload"[..], 0xffff));
            }
            (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
                let header = ip.header();
                assert_eq!((header.source_addr(), header.destination()), (VIP_V6, [7; 16]));
                assert_eq!((header.hop_limit(), icmp.payload()), (64, &b"payload"[..]));
                assert_eq!((icmp.slice()[0], sum_v6(&reply[14..])), (129, 0xffff));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_checksum_of_a_reply_is_right_for_every_sum() {
    let world = World::new();
    for to in [IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)] {
        for (id, rest) in (0..=u16::MAX).map(|word| (word, 0)).chain((0..=u16::MAX).map(|word| (0, word))) {
            let (_, reply, _) = run(&world, &echo(to, id, 0, &rest.to_be_bytes()), HEADROOM);
            let right = if to.is_ipv4() { sum(&reply[34..]) } else { sum_v6(&reply[14..]) };
            assert_eq!(right, 0xffff, "{to} {id:x} {rest:x}");
        }
    }
}

#[test]
fn only_vips_are_answered_for() {
    let stranger = echo(IpAddr::from([198, 51, 100, 99]), 1, 1, b"");
    assert_eq!(run(&World::new(), &stranger, HEADROOM), (Action::Pass, stranger, Vec::new()));
    let request = echo(VIP_V4.into(), 1, 1, b"");
    let counts = [Count::Reason(Reason::LocalVip)].to_vec();
    assert_eq!(run(&World::with_local_vips(), &request, HEADROOM), (Action::Pass, request, counts));
    let reply = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT_V4, VIP_V4.octets(), 9);
    let reply = reply.icmpv4(Icmpv4Type::EchoReply(etherparse::IcmpEchoHeader { id: 1, seq: 1 }));
    let mut frame = Vec::new();
    reply.write(&mut frame, b"").unwrap();
    let counts = [Count::Reason(Reason::NoService)].to_vec();
    assert_eq!(run(&World::new(), &frame, HEADROOM), (Action::Drop, frame, counts));
}

/// An ICMP error of a router about what a backend sent from the VIP to the client, of which so much is quoted.
pub(super) fn error_v4(kind: u8, code: u8, from: [u8; 4], quoted: usize) -> Vec<u8> {
    let mut about = Vec::new();
    let answer = PacketBuilder::ipv4(from, CLIENT_V4, 3).udp(443, 40_000);
    answer.write(&mut about, &[0; 100]).unwrap();
    about.truncate(quoted);
    let mut frame = Vec::new();
    let error = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(ROUTER_V4, VIP_V4.octets(), 9);
    let kind = Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: [0; 4] };
    error.icmpv4(kind).write(&mut frame, &about).unwrap();
    frame
}

#[test]
fn an_error_goes_where_its_flow_goes() {
    let world = World::new();
    for (kind, code) in [(3, 4), (3, 3), (11, 0), (12, 0)] {
        for quoted in [28, 128] {
            let frame = error_v4(kind, code, VIP_V4.octets(), quoted);
            let (action, bytes, counts) = run(&world, &frame, HEADROOM);
            assert_eq!((action, &bytes[34..]), (Action::Transmit, &frame[14..]), "{kind} {code} {quoted}");
            assert_eq!(counts, [Count::Sent(0, 0, u64::try_from(frame.len() - 14).unwrap())]);
        }
    }
}

#[test]
fn an_error_about_no_flow_of_the_vip_is_dropped() {
    for (frame, reason) in [
        (error_v4(3, 4, [198, 51, 100, 11], 28), Reason::NoService),
        (error_v4(5, 0, VIP_V4.octets(), 28), Reason::NoService),
        (error_v4(3, 4, VIP_V4.octets(), 23), Reason::Truncated),
        (error_v4(3, 4, VIP_V4.octets(), 12), Reason::Truncated),
    ] {
        let counts = [Count::Reason(reason)].to_vec();
        assert_eq!(run(&World::new(), &frame, HEADROOM), (Action::Drop, frame, counts));
    }
}

#[test]
fn the_sender_of_what_does_not_fit_is_told_the_mtu() {
    for (to, mtu) in [(IpAddr::V4(VIP_V4), u32::from(MTU) - 20), (IpAddr::V6(VIP_V6), u32::from(MTU) - 20)] {
        for tags in 0..=2 {
            let mut packet = packet(to, 443, 0x28, &[5; 1480]);
            if to.is_ipv4() {
                packet[6] |= 0x40;
            }
            let frame = framed(tags, &packet);
            let (action, bytes, counts) = run(&World::new(), &frame, HEADROOM);
            assert_eq!(action, Action::Transmit);
            assert_eq!(counts, [Count::Dropped(0), Count::Reason(Reason::TooBigReported)]);
            assert_eq!(bytes[12..14 + tags * 4], frame[12..14 + tags * 4], "tags stay");
            let (headers, answer) = bytes[14 + tags * 4..].split_at(if to.is_ipv4() { 28 } else { 48 });
            assert_eq!(answer, &packet[..answer.len()]);
            let told = u32::from_be_bytes(headers[headers.len() - 4..].try_into().unwrap());
            assert_eq!(told, mtu, "{to} {tags}");
            let whole = &bytes[14 + tags * 4..];
            if to.is_ipv4() {
                assert_eq!((&headers[20..22], whole.len()), (&[3, 4][..], 572));
                assert_eq!((sum(&headers[..20]), sum(&whole[20..])), (0xffff, 0xffff));
                assert_eq!((&headers[12..16], &headers[16..20]), (&VIP_V4.octets()[..], &packet[12..16]));
            } else {
                assert_eq!((&headers[40..42], whole.len()), (&[2, 0][..], 1280));
                assert_eq!(sum_v6(whole), 0xffff);
                assert_eq!((&headers[8..24], &headers[24..40]), (&VIP_V6.octets()[..], &packet[8..24]));
            }
        }
    }
}

#[test]
fn who_lets_a_packet_be_cut_is_not_told() {
    let mut packet = packet(VIP_V4.into(), 443, 0, &[5; 1480]);
    packet[6] &= !0x40;
    let counts = [Count::Dropped(0), Count::Reason(Reason::TooBig)].to_vec();
    let frame = framed(1, &packet);
    assert_eq!(run(&World::new(), &frame, HEADROOM), (Action::Drop, frame, counts));
}

/// The parts of an IPv4 packet, of at most so many bytes of payload each, behind Ethernet headers.
fn parts(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let last = payload.chunks(size).count() - 1;
    let part = |(number, bytes): (usize, &[u8])| {
        let mut header = header.to_vec();
        let length = u16::try_from(20 + bytes.len()).unwrap();
        let offset = u16::try_from(number * size / 8).unwrap() | if number < last { 0x2000 } else { 0 };
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[4..6].copy_from_slice(&[0x12, 0x34]);
        header[6..8].copy_from_slice(&offset.to_be_bytes());
        framed(0, &[header, bytes.to_vec()].concat())
    };
    payload.chunks(size).enumerate().map(part).collect()
}

#[test]
fn parts_of_a_packet_follow_the_first() {
    let world = World::new();
    let parts = parts(&packet(VIP_V4.into(), 443, 0, &[9; 3000]), 1200);
    let lost = [Count::Reason(Reason::Fragment)].to_vec();
    assert_eq!(run(&world, &parts[1], HEADROOM), (Action::Drop, parts[1].clone(), lost), "before its first");
    for part in &parts {
        let (action, bytes, _) = run(&world, part, HEADROOM);
        assert_eq!((action, &bytes[34..]), (Action::Transmit, &part[14..]));
        assert_eq!(bytes[30..34], world::BACKEND_V4);
    }
    let mut other = parts[1].clone();
    other[18] ^= 1;
    assert_eq!(run(&world, &other, HEADROOM).0, Action::Drop, "another identification");
}
