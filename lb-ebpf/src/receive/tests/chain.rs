//! Packets that may be another node's: three nodes in a network that carries each frame to whom it is addressed.

use super::*;
use etherparse::{Icmpv4Type, icmpv4};
use lb_common::abi::{LinkAddress, NodeHop, Owned, OwnedKey};
use proptest::collection::vec;
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const HOP: [u8; 6] = [2, 0, 0, 0, 1, 2];
const INTERFACE: u32 = 7;

pub(super) fn node(number: u8, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, number])
    } else {
        IpAddr::from([10, 0, 1, number])
    }
}

/// One of the nodes.
pub(super) struct Member {
    number: u8,
    pub(super) accepted: Accepted,
    pub(super) keys: Vec<KnownKey>,
    sockets: Vec<OwnedKey>,
    owned: RefCell<Vec<(OwnedKey, Owned)>>,
    vlan: u16,
    pub(super) reasons: RefCell<Vec<ReceiverReason>>,
}

impl Member {
    pub(super) fn new(number: u8) -> Self {
        let accepted = World::new().accepted;
        let (owned, reasons) = (RefCell::default(), RefCell::default());
        Self { number, accepted, keys: Vec::new(), sockets: Vec::new(), owned, vlan: 0, reasons }
    }

    fn that_remembers(number: u8) -> Self {
        let mut member = Self::new(number);
        let flags = member.accepted.flags;
        member.accepted.flags = flags.with(AcceptedFlags::REMEMBER_TCP).with(AcceptedFlags::REMEMBER_UDP);
        member
    }
}

impl Node for Member {
    fn accepted(&self) -> Option<&Accepted> {
        Some(&self.accepted)
    }
    fn is_own(&self, address: &Address) -> bool {
        [false, true].iter().any(|v6| Address::from(node(self.number, *v6)) == *address)
    }
    fn is_peer(&self, _: &AccessKey) -> bool {
        true
    }
    fn has_socket<F: Frame>(&self, frame: &F, flow: &Flow, ip: usize, tcp: usize) -> bool {
        let first = frame.header::<crate::wire::HalfWord>(ip).unwrap().half.to_ne_bytes()[0];
        assert!(matches!(first >> 4, 4 | 6) && frame.header::<crate::wire::HalfWord>(tcp).is_some());
        self.sockets.contains(&OwnedKey::of(flow))
    }
    fn owns(&self, flow: &Flow, sequence: u32) -> bool {
        let all = self.owned.borrow();
        all.iter().any(|(key, owned)| *key == OwnedKey::of(flow) && owned.holds(sequence))
    }
    fn own(&self, flow: &Flow, sequence: u32, ends: bool) {
        let (key, mut all) = (OwnedKey::of(flow), self.owned.borrow_mut());
        let known = all.iter().position(|(known, _)| *known == key).map(|at| all.swap_remove(at).1);
        all.push((key, known.unwrap_or_default().seen(1, sequence, ends)));
    }
    fn hop(&self, _: &Address) -> Option<NodeHop> {
        let (destination_mac, source_mac) = (LinkAddress::new(HOP, self.vlan), LinkAddress::new(MAC, 0));
        Some(NodeHop { interface: INTERFACE, reserved: 0, destination_mac, source_mac })
    }
    fn tunnel_key(&self, epoch: u8) -> Option<&KnownKey> {
        self.keys.get(usize::from(epoch))
    }
    fn count_taken(&self, _: TunnelKind, _: u64) {}
    fn count_reason(&self, reason: ReceiverReason) {
        self.reasons.borrow_mut().push(reason);
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// What a gateway sends to the first of these nodes, with the others to ask.
fn sent(inner: &[u8], nodes: &[u8], v6: bool) -> Vec<u8> {
    let others: Vec<u8> = nodes[1..].iter().flat_map(|number| octets(node(*number, v6))).collect();
    let count = u8::try_from(nodes.len() - 1).unwrap();
    let private = if count == 0 { Vec::new() } else { [&[1, count, 0, 0], &others[..]].concat() };
    carried(inner, &private, node(nodes[0], v6))
}

pub(super) fn carried(inner: &[u8], private: &[u8], to: IpAddr) -> Vec<u8> {
    let protocol = if inner[0] >> 4 == 4 { 4 } else { 41 };
    let words = u8::try_from(private.len() / 4).unwrap();
    let payload = udp(GUE, &[&[words, protocol, 0, 0], private, inner].concat());
    framed(&[], &ip(GATEWAY[usize::from(to.is_ipv6())], to, 17, &payload, 0))
}

/// The way of a frame: the nodes it came to, and what the last did with it.
pub(super) fn walk(members: &[Member], frame: &[u8]) -> (Vec<u8>, Verdict, Vec<u8>) {
    let (mut frame, mut way) = (frame.to_vec(), Vec::new());
    loop {
        let start = if frame[12..14] == [0x81, 0] { 18 } else { 14 };
        let v6 = frame[start] >> 4 == 6;
        assert!(v6 || sum(&frame[start..start + 20]) == 0xffff, "the outer header's checksum");
        let to = if v6 { &frame[start + 24..start + 40] } else { &frame[start + 16..start + 20] };
        let member = members.iter().find(|member| octets(node(member.number, v6)) == to).expect("a node");
        way.push(member.number);
        let mut buffer = [&[0; 8], &frame[..]].concat();
        let mut bytes = SliceFrame::new(&mut buffer, 8, INTERFACE);
        let verdict = process(&mut bytes, member);
        frame = bytes.bytes().to_vec();
        if !matches!(verdict, Verdict::Send(_)) || way.len() > 8 {
            return (way, verdict, frame);
        }
    }
}

fn tcp(family: Family, flags: impl Fn(etherparse::TcpHeader) -> etherparse::TcpHeader) -> (Vec<u8>, Flow) {
    let mut header = etherparse::TcpHeader::new(40_000, 443, 1, 1024);
    header = flags(header);
    let builder = match family {
        Family::V4 => PacketBuilder::ipv4([203, 0, 113, 7], [198, 51, 100, 10], 61),
        Family::V6 => PacketBuilder::ipv6([7; 16], [9; 16], 61),
    };
    let mut packet = Vec::new();
    builder.tcp_header(header).write(&mut packet, b"some data").unwrap();
    (packet, flow(family, 6))
}

fn flow(family: Family, protocol: u8) -> Flow {
    let (source, destination) = match family {
        Family::V4 => (IpAddr::from([203, 0, 113, 7]), IpAddr::from([198, 51, 100, 10])),
        Family::V6 => (IpAddr::from([7; 16]), IpAddr::from([9; 16])),
    };
    Flow {
        family,
        source: source.into(),
        destination: destination.into(),
        source_port: NetworkU16::new(40_000),
        destination_port: NetworkU16::new(443),
        protocol,
    }
}

pub(super) fn middle(family: Family) -> (Vec<u8>, Flow) {
    tcp(family, |header| etherparse::TcpHeader { ack: true, ..header })
}

#[test]
fn whoever_has_the_connection_takes_the_packet() {
    for (owner, family, v6) in (1..=3).flat_map(|owner| {
        FAMILIES.into_iter().flat_map(move |family| [(owner, family, false), (owner, family, true)])
    }) {
        for vlan in [0, 5] {
            let (packet, flow) = middle(family);
            let mut members = [1, 2, 3].map(Member::new);
            members.iter_mut().for_each(|member| member.vlan = vlan);
            members[owner - 1].sockets.push(OwnedKey::of(&flow));
            let (way, verdict, frame) = walk(&members, &sent(&packet, &[1, 2, 3], v6));
            assert_eq!(way, [1, 2, 3][..owner], "{family:?} {v6}");
            assert_eq!(verdict, Verdict::Pass);
            assert_eq!(&frame[frame.len() - packet.len()..], packet);
            let sent_on: usize = members.iter().map(|member| member.reasons.borrow().len()).sum();
            assert_eq!(sent_on, owner - 1);
        }
    }
}

#[test]
fn what_nobody_has_comes_back_to_the_first_and_is_taken() {
    use ReceiverReason::{NobodysTaken, SentBack, SentOn};
    for (others, v6) in [(1, false), (2, false), (1, true), (2, true)] {
        let (packet, _) = middle(Family::V4);
        let members = [1, 2, 3].map(Member::new);
        let (way, verdict, frame) = walk(&members, &sent(&packet, &[1, 2, 3][..=others], v6));
        assert_eq!((&way[..], verdict), (&[&[1, 2, 3][..=others], &[1]].concat()[..], Verdict::Pass));
        assert_eq!(&frame[14..], packet);
        assert_eq!(*members[0].reasons.borrow(), [SentOn, NobodysTaken]);
        assert_eq!(*members[others].reasons.borrow(), [SentBack]);
    }
}

#[test]
fn a_frame_that_is_sent_on_is_right_in_all_its_headers() {
    let (packet, _) = middle(Family::V4);
    for v6 in [false, true] {
        let member = Member::new(1);
        let mut buffer = [&[0; 8], &sent(&packet, &[1, 2, 3], v6)[..]].concat();
        let mut frame = SliceFrame::new(&mut buffer, 8, INTERFACE);
        assert_eq!(process(&mut frame, &member), Verdict::Send(INTERFACE));
        let private = [&[1, 2, 1, 0], &octets(node(1, v6))[..], &octets(node(3, v6))].concat();
        let mut expected = carried(&packet, &private, node(2, v6));
        let own = octets(node(1, v6));
        let source = if v6 { 14 + 8 } else { 14 + 12 };
        expected[source..source + own.len()].copy_from_slice(&own);
        expected[..12].copy_from_slice(&[HOP, MAC].concat());
        if !v6 {
            set(&mut expected[14..], 0);
        }
        assert_eq!(frame.bytes(), expected, "{v6}");
    }
}

#[test]
fn what_begins_is_taken_and_what_has_no_ports_too() {
    let members = || [1, 2, 3].map(Member::that_remembers);
    let (syn, _) = tcp(Family::V4, |header| etherparse::TcpHeader { syn: true, ..header });
    let (mut fragment, _) = middle(Family::V4);
    fragment[6..8].copy_from_slice(&[0, 9]);
    set(&mut fragment, 0);
    for packet in [syn, fragment] {
        let members = members();
        let (way, verdict, _) = walk(&members, &sent(&packet, &[1, 2], false));
        assert_eq!((way, verdict), (std::vec![1], Verdict::Pass));
        assert!(members[0].owned.borrow().is_empty(), "a flood of them would be remembered too");
    }
}

#[test]
fn what_is_about_a_connection_goes_where_it_is() {
    let (_, flow) = middle(Family::V4);
    let mut quoted = Vec::new();
    let reply = PacketBuilder::ipv4([198, 51, 100, 10], [203, 0, 113, 7], 61).tcp(443, 40_000, 1, 1024);
    reply.write(&mut quoted, b"data").unwrap();
    let header = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let mut packet = Vec::new();
    let about = PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 10], 61);
    about.icmpv4(Icmpv4Type::DestinationUnreachable(header)).write(&mut packet, &quoted).unwrap();
    let mut members = [1, 2, 3].map(Member::that_remembers);
    members[1].sockets.push(OwnedKey::of(&flow));
    assert_eq!(walk(&members, &sent(&packet, &[1, 2, 3], false)).0, [1, 2]);
    assert!(members[1].owned.borrow().is_empty(), "it is none of its packets");
}

#[test]
fn flows_are_remembered_where_sockets_tell_nothing() {
    let mut datagram = Vec::new();
    let builder = PacketBuilder::ipv4([203, 0, 113, 7], [198, 51, 100, 10], 61).udp(40_000, 443);
    builder.write(&mut datagram, b"data").unwrap();
    let (middle, tcp_flow) = middle(Family::V4);
    for (packet, flow) in [(datagram, flow(Family::V4, 17)), (middle, tcp_flow)] {
        let members = [1, 2, 3].map(Member::that_remembers);
        // Before the row moved nobody else travels with it.
        assert_eq!(walk(&members, &sent(&packet, &[2], false)).0, [2]);
        assert!(members[1].owns(&flow, 0));
        assert_eq!(walk(&members, &sent(&packet, &[1, 2, 3], false)).0, [1, 2]);
        // Another, which nobody knows, is known once it was taken.
        let fresh = [1, 2, 3].map(Member::that_remembers);
        assert_eq!(walk(&fresh, &sent(&packet, &[1, 2, 3], false)).0, [1, 2, 3, 1]);
        assert_eq!(walk(&fresh, &sent(&packet, &[1, 2, 3], false)).0, [1]);
        let forgetful = [1, 2].map(Member::new);
        assert_eq!(walk(&forgetful, &sent(&packet, &[1, 2], false)).0, [1, 2, 1]);
        assert_eq!(walk(&forgetful, &sent(&packet, &[1, 2], false)).0, [1, 2, 1]);
    }
}

#[test]
fn what_ended_is_still_its_owners_and_another_from_its_port_is_not() {
    let segment = |sequence, fin| {
        let at = |header| etherparse::TcpHeader { ack: true, fin, sequence_number: sequence, ..header };
        tcp(Family::V4, at).0
    };
    let members = [1, 2, 3].map(Member::that_remembers);
    for (sequence, fin) in [(1000, false), (5000, true)] {
        assert_eq!(walk(&members, &sent(&segment(sequence, fin), &[2], false)).0, [2]);
    }
    // Its row has moved. What was lost comes again, and the end is acknowledged.
    for sequence in [1000, 5000, 5001] {
        assert_eq!(walk(&members, &sent(&segment(sequence, false), &[1, 2, 3], false)).0, [1, 2]);
    }
    // Another from the same port, begun at the new owner.
    assert_eq!(walk(&members, &sent(&segment(5000 + (1 << 20), false), &[1, 2, 3], false)).0, [1, 2, 3, 1]);
}

#[test]
fn without_a_way_to_the_next_the_packet_is_dropped() {
    let world = World::new();
    let (packet, _) = middle(Family::V4);
    let frame = carried(&packet, &[&[1, 1, 0, 0], &[10, 0, 0, 12][..]].concat(), NODE[0]);
    assert_eq!(run(&world, &frame), (Verdict::Drop, frame));
    assert_eq!(*world.reasons.borrow(), [ReceiverReason::NoNextHop]);
}

#[test]
fn private_data_that_is_not_ours_is_refused() {
    let (packet, _) = middle(Family::V4);
    for private in [
        &[2, 1, 0, 0, 10, 0, 1, 2][..],
        &[1, 2, 0, 0, 10, 0, 1, 2],
        &[1, 0, 0, 0],
        &[1, 1, 0, 0, 10, 0, 1, 2, 0, 0, 0, 0],
        &[1, 4, 0, 0, 10, 0, 1, 2, 10, 0, 1, 3, 10, 0, 1, 4, 10, 0, 1, 5],
    ] {
        let world = World::new();
        assert_eq!(run(&world, &carried(&packet, private, NODE[0])).0, Verdict::Drop, "{private:?}");
        assert_eq!(*world.reasons.borrow(), [ReceiverReason::BadTunnel], "{private:?}");
    }
}

proptest! {
    /// Whatever stands in the list.
    #[test]
    fn no_packet_goes_round_for_ever(
        nodes in vec(1_u8..=3, 2..=4), asked in 0_u8..=3, last in any::<bool>(), v6 in any::<bool>(),
    ) {
        let count = u8::try_from(nodes.len() - 1).unwrap();
        prop_assume!(asked <= count);
        let (packet, _) = middle(Family::V4);
        let others: Vec<u8> = nodes[1..].iter().flat_map(|number| octets(node(*number, v6))).collect();
        let private = [&[1, count, asked, u8::from(last)], &others[..]].concat();
        let (way, verdict, frame) = walk(&[1, 2, 3].map(Member::new), &carried(&packet, &private, node(nodes[0], v6)));
        prop_assert!(way.len() <= 5, "{:?}", way);
        prop_assert_eq!(verdict, Verdict::Pass);
        prop_assert_eq!(&frame[14..], packet);
    }
}
