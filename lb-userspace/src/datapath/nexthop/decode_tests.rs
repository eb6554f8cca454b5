//! Messages built by hand, and what they mean.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_packet_route::address::AddressMessage;

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn link_message(extra: impl IntoIterator<Item = LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 4;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".into()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Address(MAC.to_vec()),
    ];
    message.attributes.extend(extra);
    message
}

fn vlan_attributes(protocol: VlanProtocol) -> [LinkAttribute; 2] {
    let details = vec![InfoVlan::Protocol(protocol), InfoVlan::Id(7)];
    let infos = vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(details))];
    [LinkAttribute::Link(2), LinkAttribute::LinkInfo(infos)]
}

#[test]
fn a_link_without_carrier_is_not_running() {
    let mut message = link_message([]);
    assert_eq!(
        link(&message),
        Some(Link { index: 4, name: "eth0".into(), running: true, mtu: 1500, mac: Some(MAC), vlan: None })
    );
    message.header.flags = LinkFlags::Up;
    assert!(!link(&message).unwrap().running);
}

#[test]
fn a_link_that_is_not_ethernet_has_no_mac() {
    let mut message = link_message([]);
    message.header.link_layer_type = LinkLayerType::Tunnel;
    assert_eq!(link(&message).unwrap().mac, None);
}

#[test]
fn a_vlan_knows_its_tag_and_parent() {
    let vlan = |message| link(&message).unwrap().vlan;
    let dot1q = vlan(link_message(vlan_attributes(VlanProtocol::Ieee8021Q)));
    assert_eq!(dot1q, Some(Vlan { id: 7, dot1q: true, parent: Some(2) }));
    let dot1ad = vlan(link_message(vlan_attributes(VlanProtocol::Ieee8021Ad)));
    assert_eq!(dot1ad, Some(Vlan { id: 7, dot1q: false, parent: Some(2) }));
    let mut moved = link_message(vlan_attributes(VlanProtocol::Ieee8021Q));
    moved.attributes.push(LinkAttribute::LinkNetNsId(0));
    assert_eq!(vlan(moved), Some(Vlan { id: 7, dot1q: true, parent: None }));
}

#[test]
fn a_bridge_port_notice_is_not_the_link() {
    let mut message = link_message([]);
    message.header.interface_family = AddressFamily::Bridge;
    assert_eq!(notice(&RouteNetlinkMessage::NewLink(message.clone())), None);
    assert_eq!(notice(&RouteNetlinkMessage::DelLink(message.clone())), None);
    message.header.interface_family = AddressFamily::Unspec;
    assert_eq!(notice(&RouteNetlinkMessage::DelLink(message)), Some(Notice::LinkGone(4)));
}

#[test]
fn a_partial_link_message_is_passed_over() {
    let mut message = link_message([]);
    message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::Mtu(_)));
    assert_eq!(link(&message), None);
}

fn neighbour_message(state: NeighbourState) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = 4;
    message.header.state = state;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(Ipv4Addr::new(10, 0, 0, 9))),
        NeighbourAttribute::LinkLayerAddress(MAC.to_vec()),
    ];
    message
}

#[test]
fn the_state_says_whether_the_mac_is_used() {
    let mac = |fixed| Some(Neighbour { mac: MAC, fixed });
    let cases = [
        (NeighbourState::Reachable, mac(false)),
        (NeighbourState::Stale, mac(false)),
        (NeighbourState::Delay, mac(false)),
        (NeighbourState::Probe, mac(false)),
        (NeighbourState::Permanent, mac(true)),
        (NeighbourState::Noarp, mac(true)),
        (NeighbourState::Incomplete, None),
        (NeighbourState::Failed, None),
        (NeighbourState::None, None),
    ];
    let key = NeighbourKey { link: 4, address: [10, 0, 0, 9].into() };
    for (state, expected) in cases {
        let message = neighbour_message(state);
        assert_eq!(neighbour(&message), Some((key, expected)), "{state}");
        let gone = RouteNetlinkMessage::DelNeighbour(message);
        assert_eq!(notice(&gone), Some(Notice::Neighbour(key, None)), "{state}");
    }
}

#[test]
fn a_proxy_entry_or_an_empty_mac_is_no_neighbour() {
    let mut proxy = neighbour_message(NeighbourState::Permanent);
    proxy.header.flags = NeighbourFlags::Proxy;
    assert_eq!(neighbour(&proxy), None);
    let mut empty = neighbour_message(NeighbourState::Noarp);
    empty.attributes[1] = NeighbourAttribute::LinkLayerAddress(vec![0; 6]);
    assert_eq!(neighbour(&empty).unwrap().1, None);
}

fn route_message(kind: RouteType, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = kind;
    message.attributes = attributes;
    message
}

#[test]
fn a_route_notice_names_its_prefix() {
    let mut message = route_message(
        RouteType::Unicast,
        vec![RouteAttribute::Destination(RouteAddress::Inet(Ipv4Addr::new(10, 9, 0, 0)))],
    );
    message.header.destination_prefix_length = 16;
    let expected = Notice::Route(Prefix { address: [10, 9, 0, 0].into(), length: 16 });
    assert_eq!(notice(&RouteNetlinkMessage::DelRoute(message.clone())), Some(expected));
    message.attributes.clear();
    message.header.destination_prefix_length = 0;
    let default = Notice::Route(Prefix { address: [0; 4].into(), length: 0 });
    assert_eq!(notice(&RouteNetlinkMessage::NewRoute(message)), Some(default));
    let address = RouteNetlinkMessage::NewAddress(AddressMessage::default());
    assert_eq!(notice(&address), Some(Notice::Routing));
}

#[test]
fn an_answer_carries_gateway_source_and_mtu() {
    let gateway: Ipv6Addr = "fe80::1".parse().unwrap();
    let message = route_message(
        RouteType::Unicast,
        vec![
            RouteAttribute::Oif(4),
            RouteAttribute::Via(RouteVia::Inet6(gateway)),
            RouteAttribute::PrefSource(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, 1))),
            RouteAttribute::Metrics(vec![RouteMetric::Lock(0), RouteMetric::Mtu(1400)]),
        ],
    );
    let expected = Route {
        link: 4,
        gateway: Some(gateway.into()),
        source: Some([10, 0, 0, 1].into()),
        mtu: Some(1400),
        encapsulating: false,
    };
    assert_eq!(answer(&message), Answer::Unicast(expected));
}

#[test]
fn an_answer_without_an_interface_is_a_failure() {
    assert!(matches!(answer(&route_message(RouteType::Unicast, Vec::new())), Answer::Failed(_)));
}

#[test]
fn route_types_and_errors_that_send_nothing_are_told_apart() {
    let kind = |kind| answer(&route_message(kind, Vec::new()));
    assert_eq!(kind(RouteType::Local), Answer::Local);
    assert_eq!(kind(RouteType::BlackHole), Answer::NotUnicast(RouteKind::Blackhole));
    assert_eq!(kind(RouteType::Broadcast), Answer::NotUnicast(RouteKind::Broadcast));
    assert_eq!(kind(RouteType::Throw), Answer::NotUnicast(RouteKind::Other(9)));
    assert_eq!(refusal(libc::ENETUNREACH), Answer::NoRoute);
    assert_eq!(refusal(libc::EHOSTUNREACH), Answer::NotUnicast(RouteKind::Unreachable));
    assert_eq!(refusal(libc::EACCES), Answer::NotUnicast(RouteKind::Prohibit));
    assert_eq!(refusal(libc::EINVAL), Answer::NotUnicast(RouteKind::Blackhole));
    assert!(matches!(refusal(libc::ENOMEM), Answer::Failed(_)));
}
