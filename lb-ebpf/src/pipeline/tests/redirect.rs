//! Between clusters: what one gateway sends to another's goes on to that one's nodes, and never further.

use super::world::{INTERFACE, TUNNEL_PORT, backend};
use super::*;
use lb_common::abi::{BackendEntry, PoolEntry, Route, Selector, ServiceEntry, TableEntry};
use lb_common::net::NetworkU16;
use lb_common::row::{Mode, Row};

/// A gateway's address, by number.
fn gateway(number: u8) -> [u8; 4] {
    [192, 0, 2, 10 + number]
}

/// The address of a node of that gateway's cluster.
fn node(number: u8) -> [u8; 4] {
    [203, 0, 113, 20 + number]
}

/// Where a pool of a world leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leads {
    Nowhere,
    ToNode,
    /// To the gateway with this number.
    ToGateway(u8),
}

/// World number `own` of so many, which all know each other: what comes from clients, and what others send.
fn world(own: u8, many: u8, client: Leads, redirected: Leads) -> World {
    let mut world = World::new();
    let others: Vec<_> = (0..many).filter(|number| *number != own).map(gateway).collect();
    world.take_redirects(gateway(own), &others);
    let select = lead(&mut world, own, client);
    let local = lead(&mut world, own, redirected).single_pool().map(|pool| u16::try_from(pool).unwrap());
    let local = ServiceEntry::local(local);
    world.services[0] = ServiceEntry { select, local, ..ServiceEntry::default() };
    world
}

fn lead(world: &mut World, own: u8, leads: Leads) -> Selector {
    let entry = match leads {
        Leads::Nowhere => return Selector::NONE,
        Leads::ToNode => backend(gateway(own).into(), node(own).into()),
        Leads::ToGateway(number) => to_gateway(own, number),
    };
    add(world, entry)
}

fn to_gateway(own: u8, number: u8) -> BackendEntry {
    let base = backend(gateway(own).into(), gateway(number).into());
    let flags = base.route.flags.with(BackendFlags::GUE).with(BackendFlags::GATEWAY);
    BackendEntry { route: Route { flags, interface: INTERFACE }, port: NetworkU16::new(TUNNEL_PORT), ..base }
}

/// A pool of one backend.
fn add(world: &mut World, entry: BackendEntry) -> Selector {
    let index = |length: usize| u16::try_from(length).unwrap();
    let (backend, pool) = (index(world.backends.len()), index(world.pools.len()));
    let (slot, table) = (u32::from(index(world.slab.len())), u32::from(index(world.tables.len())));
    world.backends.push(entry);
    world.slab.push(bytemuck::cast([Row::new(backend, Mode::Clean); 4]));
    world.tables.push(TableEntry { current: slot * 4, log2_rows: 2, ..TableEntry::default() });
    world.pools.push(PoolEntry { table, ..PoolEntry::default() });
    Selector::pool(pool)
}

/// The outer destination of a frame that is sent.
fn destination(frame: &[u8]) -> [u8; 4] {
    frame[30..34].try_into().unwrap()
}

/// Carries a frame from gateway to gateway, up to ten times. How often it came to another, and its last end.
fn carry(worlds: &[World], frame: &[u8]) -> (usize, (Action, Vec<u8>, Vec<Count>)) {
    let (mut at, mut frame) = (0, frame.to_vec());
    for hops in 0..10 {
        let went = run(&worlds[at], &frame, HEADROOM);
        let many = u8::try_from(worlds.len()).unwrap();
        let next =
            (0..many).find(|number| went.0 == Action::Transmit && destination(&went.1) == gateway(*number));
        match next {
            Some(number) => (at, frame) = (usize::from(number), went.1),
            None => return (hops, went),
        }
    }
    (10, (Action::Drop, frame, Vec::new()))
}

fn leads(many: u8) -> impl Strategy<Value = Leads> {
    prop_oneof![Just(Leads::Nowhere), Just(Leads::ToNode), (0..many).prop_map(Leads::ToGateway),]
}

fn worlds(many: u8) -> impl Strategy<Value = Vec<(Leads, Leads)>> {
    vec((leads(many), leads(many)), usize::from(many))
}

proptest! {
    /// Whatever the maps say, also that what others send is to be sent to gateways.
    #[test]
    fn a_packet_comes_to_another_gateway_once_at_most(
        plans in prop_oneof![worlds(2), worlds(3)], tags in 0_usize..=2, to in vip(), payload in vec(any::<u8>(), 0..99),
    ) {
        let many = u8::try_from(plans.len()).unwrap();
        let build = |(own, (client, others)): (u8, &(Leads, Leads))| world(own, many, *client, *others);
        let worlds: Vec<_> = (0..).zip(&plans).map(build).collect();
        let (hops, (action, _, _)) = carry(&worlds, &framed(tags, &packet(to, 443, 0, &payload)));
        prop_assert!(hops <= 1, "{hops} hops, {plans:?}");
        let first = plans[0].0;
        match first {
            Leads::Nowhere => prop_assert_eq!((hops, action), (0, Action::Drop)),
            Leads::ToNode => prop_assert_eq!((hops, action), (0, Action::Transmit)),
            Leads::ToGateway(0) => prop_assert_eq!((hops, action), (1, Action::Drop), "not from itself"),
            Leads::ToGateway(next) => {
                let expected = if plans[usize::from(next)].1 == Leads::ToNode { Action::Transmit } else { Action::Drop };
                prop_assert_eq!((hops, action), (1, expected));
            }
        }
    }

    #[test]
    fn what_comes_to_the_node_is_what_the_client_sent(
        to in vip(), tags in 0_usize..=2, tos in any::<u8>(), payload in vec(any::<u8>(), 0..300),
    ) {
        let first = world(0, 2, Leads::ToGateway(1), Leads::Nowhere);
        let inner = packet(to, 443, tos, &payload);
        let (action, frame, _) = run(&first, &framed(tags, &inner), HEADROOM);
        prop_assert_eq!(action, Action::Transmit);
        let private = [&[1, number(&inner), 0, 0, 1, 0, 0, 4], &inner[..]].concat();
        prop_assert_eq!(&frame[14 + 20 + 8..], &private[..]);
        let retagged = [&frame[..12], &[0x81, 0, 0, 7].repeat(tags)[..], &frame[12..]].concat();
        let second = world(1, 2, Leads::ToGateway(0), Leads::ToNode);
        let (action, sent, counts) = run(&second, &retagged, 0);
        prop_assert_eq!(action, Action::Transmit);
        prop_assert_eq!((&sent[26..30], &sent[30..34]), (&gateway(1)[..], &node(1)[..]));
        prop_assert_eq!((sent[15], &sent[34..]), (tos, &inner[..]));
        prop_assert_eq!(counts, [Count::Sent(0, 3, u64::try_from(inner.len()).unwrap())]);
    }
}

/// A frame that the gateway with number 0 sent to number 1.
fn redirected(inner: &[u8]) -> Vec<u8> {
    let first = world(0, 2, Leads::ToGateway(1), Leads::Nowhere);
    run(&first, &framed(0, inner), HEADROOM).1
}

fn to_vip() -> Vec<u8> {
    packet(VIP_V4.into(), 443, 0, b"question")
}

/// The other end of [`redirected`].
fn second(local: Leads) -> World {
    world(1, 2, Leads::ToNode, local)
}

#[test]
fn a_stranger_redirects_nothing() {
    let mut frame = redirected(&to_vip());
    frame[29] = 99;
    let counts = [Count::Reason(Reason::UnknownGateway)].to_vec();
    assert_eq!(run(&second(Leads::ToNode), &frame, HEADROOM), (Action::Drop, frame, counts));
}

#[test]
fn what_has_not_the_header_is_the_kernels() {
    let whole = redirected(&to_vip());
    let changes: [(usize, &[u8]); 8] = [
        (36, &6080_u16.to_be_bytes()),
        (42, &[0]),
        (42, &[2]),
        (43, &[47]),
        (46, &[2]),
        (47, &[1]),
        (49, &[0]),
        (49, &[5]),
    ];
    for (at, bytes) in changes {
        let mut frame = whole.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        let expected = (Action::Pass, frame.clone(), Vec::new());
        assert_eq!(run(&second(Leads::ToNode), &frame, HEADROOM), expected, "{at} {bytes:?}");
    }
    // To another address of the machine, or a fragment.
    for (at, byte) in [(33, 99), (20, 0x20)] {
        let mut frame = whole.clone();
        frame[at] = byte;
        assert_eq!(run(&second(Leads::ToNode), &frame, HEADROOM).0, Action::Pass, "{at}");
    }
}

#[test]
fn without_the_feature_all_of_it_is_the_kernels() {
    let mut world = second(Leads::ToNode);
    world.features = Features::GUE;
    let frame = redirected(&to_vip());
    assert_eq!(run(&world, &frame, HEADROOM), (Action::Pass, frame, Vec::new()));
}

#[test]
fn what_is_not_for_a_service_here_is_dropped_and_counted() {
    let mut longer = redirected(&to_vip());
    longer[52] = 1;
    let mut other = redirected(&to_vip());
    other[50] = 0x65;
    let echo = |to| redirected(&super::unusual::echo(to, 1, 1, b"")[14..]);
    // Another VIP, which the first gateway has and the second has not.
    let mut stranger = redirected(&to_vip());
    stranger[50 + 19] = 99;
    for frame in [longer, other, stranger] {
        let counts = [Count::Reason(Reason::BadRedirect)].to_vec();
        let went = run(&second(Leads::ToNode), &frame, HEADROOM);
        assert_eq!(went, (Action::Drop, frame, counts));
    }
    // The first gateway answers echo requests: nothing was redirected.
    assert_eq!(&echo(VIP_V4.into())[34..36], [0, 0]);
}

#[test]
fn nobody_here_is_not_somebody_elsewhere() {
    let frame = redirected(&to_vip());
    let counts = [Count::Dropped(0), Count::Reason(Reason::NoBackend)].to_vec();
    for local in [Leads::Nowhere, Leads::ToGateway(0)] {
        assert_eq!(run(&second(local), &frame, HEADROOM), (Action::Drop, frame.clone(), counts.clone()));
    }
}

#[test]
fn this_machine_gets_it_without_outer_headers() {
    for tags in 0..=2 {
        let mut world = second(Leads::ToNode);
        let flags = &mut world.backends[3].route.flags;
        *flags = flags.with(BackendFlags::LOCAL);
        let (inner, frame) = (to_vip(), redirected(&to_vip()));
        let tags = [0x81, 0, 0, 7].repeat(tags);
        let tagged = [&frame[..12], &tags[..], &frame[12..]].concat();
        let bare = [&frame[..12], &tags[..], &[8, 0], &inner[..]].concat();
        let (action, bytes, counts) = run(&world, &tagged, HEADROOM);
        assert_eq!((action, bytes), (Action::Pass, bare));
        let sent = Count::Sent(0, 3, u64::try_from(inner.len()).unwrap());
        assert_eq!(counts, [sent, Count::Reason(Reason::LocalBackend)]);
    }
}

/// Congestion that was marked between the gateways is told further (RFC 6040): on the next outer header.
#[test]
fn congestion_between_gateways_is_marked_on() {
    for (outer, inner, expected) in
        [(3, 2, 3), (3, 1, 3), (1, 2, 1), (2, 1, 1), (0, 2, 2), (3, 0, 3), (0, 3, 3)]
    {
        let mut frame = redirected(&packet(VIP_V4.into(), 443, 0xb8 | inner, b"x"));
        frame[15] = outer;
        let (action, sent, _) = run(&second(Leads::ToNode), &frame, HEADROOM);
        assert_eq!((action, sent[15], sent[35]), (Action::Transmit, 0xb8 | expected, 0xb8 | inner));
    }
}

#[test]
fn fragments_and_errors_go_to_the_same_node() {
    let second = second(Leads::ToNode);
    let error = super::unusual::error_v4(3, 4, VIP_V4.octets(), 64);
    let mut first = to_vip();
    first[6] = 0x20;
    let mut later = to_vip();
    (later[6], later[7]) = (0, 4);
    for inner in [&error[14..], &first, &later] {
        // Its checksum is not looked at.
        let frame = wrapped(inner);
        let (action, sent, _) = run(&second, &frame, HEADROOM);
        assert_eq!((action, &sent[30..34], &sent[34..]), (Action::Transmit, &node(1)[..], inner));
    }
}

/// Any packet in the headers of one that is redirected.
fn wrapped(inner: &[u8]) -> Vec<u8> {
    let mut frame = redirected(&to_vip());
    frame.truncate(50);
    let length = u16::try_from(36 + inner.len()).unwrap();
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[43] = number(inner);
    frame.extend(inner);
    frame
}

/// The client is told what fits between this gateway and its node, as if it had sent the packet here.
#[test]
fn a_packet_that_does_not_fit_here_is_answered_to_its_client() {
    let world = second(Leads::ToNode);
    for (to, quote, header) in [(IpAddr::V4(VIP_V4), 544, 20), (IpAddr::V6(VIP_V6), 1232, 40)] {
        let mut inner = packet(to, 443, 0, &std::vec![0; 1460]);
        if to.is_ipv4() {
            inner[6] = 0x40;
        }
        let frame = wrapped(&inner);
        let (action, answer, counts) = run(&world, &frame, HEADROOM);
        let reason = Count::Reason(Reason::TooBigReported);
        assert_eq!((action, counts), (Action::Transmit, [Count::Dropped(0), reason].to_vec()));
        assert_eq!([&answer[6..12], &answer[..6]].concat(), frame[..12], "back to where it came from");
        assert_eq!(answer.len(), 14 + header + 8 + quote);
        assert_eq!(&answer[14 + header + 8..], &inner[..quote]);
        let addresses = if header == 20 { 12..16 } else { 8..24 };
        let from = &inner[if header == 20 { 16..20 } else { 24..40 }];
        assert_eq!(&answer[14 + addresses.start..14 + addresses.end], from);
        let mtu = if header == 20 { &answer[14 + 26..14 + 28] } else { &answer[14 + 46..14 + 48] };
        assert_eq!(mtu, 1480_u16.to_be_bytes());
    }
}

/// The longest packet that fits the path to another gateway: 20 bytes of IPv4, 12 of GUE, 4 of the hop count.
#[test]
fn the_first_gateway_leaves_room_for_the_hop_count() {
    let first = world(0, 2, Leads::ToGateway(1), Leads::Nowhere);
    let sized = |length| framed(0, &packet(VIP_V4.into(), 443, 0, &std::vec![0; length - 28]));
    let is_sent = |length| matches!(run(&first, &sized(length), HEADROOM).2[..], [Count::Sent(..)]);
    assert!(is_sent(usize::from(MTU) - 36) && !is_sent(usize::from(MTU) - 35));
}
