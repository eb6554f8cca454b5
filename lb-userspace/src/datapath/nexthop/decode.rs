//! Netlink messages → notices and answers. Pure.
//!
//! Messages that say nothing of use here (bridge forwarding entries, wireless events, proxies) are
//! `None`: a missing notice is mended by the periodic resync, a wrong one would not be.

use std::net::IpAddr;

use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo};
use netlink_packet_route::link::{LinkLayerType, LinkMessage, VlanProtocol};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags};
use netlink_packet_route::neighbour::{NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType};
use netlink_packet_route::route::{RouteFlags, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::RouteKind;
use super::decide::{Answer, Route};
use super::view::{Link, Neighbour, NeighbourKey, Notice, Prefix, Vlan};

/// What a multicast message says, if it is anything to us.
pub(super) fn notice(message: &RouteNetlinkMessage) -> Option<Notice> {
    match message {
        RouteNetlinkMessage::NewLink(message) => link(message).map(Notice::Link),
        // A port leaving a bridge is told as a deleted link of family AF_BRIDGE.
        RouteNetlinkMessage::DelLink(message) => {
            let whole = message.header.interface_family == AddressFamily::Unspec;
            whole.then_some(Notice::LinkGone(message.header.index))
        }
        RouteNetlinkMessage::NewNeighbour(message) => {
            let (key, neighbour) = neighbour(message)?;
            Some(Notice::Neighbour(key, neighbour))
        }
        RouteNetlinkMessage::DelNeighbour(message) => {
            let (key, _) = neighbour(message)?;
            Some(Notice::Neighbour(key, None))
        }
        RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => prefix(message),
        RouteNetlinkMessage::NewAddress(_)
        | RouteNetlinkMessage::DelAddress(_)
        | RouteNetlinkMessage::NewRule(_)
        | RouteNetlinkMessage::DelRule(_) => Some(Notice::Routing),
        _ => None,
    }
}

/// A link; `None` for messages that describe only a part of one.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    let header = &message.header;
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Address(bytes) => mac(bytes),
        _ => None,
    });
    Some(Link {
        index: header.index,
        name: message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?,
        running: header.flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp),
        mtu: message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Mtu(mtu) => Some(*mtu),
            _ => None,
        })?,
        mac: address.filter(|_| ethernet),
        vlan: vlan(&message.attributes),
    })
}

fn vlan(attributes: &[LinkAttribute]) -> Option<Vlan> {
    let infos = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Vlan)) => Some(infos),
        _ => None,
    })?;
    let details = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(details)) => Some(details),
        _ => None,
    })?;
    let id = details.iter().find_map(|detail| match detail {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let dot1q = !details.contains(&InfoVlan::Protocol(VlanProtocol::Ieee8021Ad));
    // An index is meaningless in another namespace than its own.
    let foreign = attributes.iter().any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_)));
    let parent = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) if !foreign => Some(*index),
        _ => None,
    });
    Some(Vlan { id, dot1q, parent })
}

/// A neighbour entry, and its MAC when the state says it may be used.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Option<Neighbour>)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    let key = NeighbourKey { link: message.header.ifindex, address };
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => mac(bytes),
        _ => None,
    });
    let fixed = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            false
        }
        NeighbourState::Permanent | NeighbourState::Noarp => true,
        _ => return Some((key, None)),
    };
    Some((key, mac.map(|mac| Neighbour { mac, fixed })))
}

/// Six bytes that are somebody's address.
fn mac(bytes: &[u8]) -> Option<[u8; 6]> {
    <[u8; 6]>::try_from(bytes).ok().filter(|mac| *mac != [0; 6])
}

fn prefix(message: &RouteMessage) -> Option<Notice> {
    if message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let destination = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let length = message.header.destination_prefix_length;
    Some(Notice::Route(Prefix { address: destination.unwrap_or(any), length }))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// The answer to `RTM_GETROUTE`.
pub(super) fn answer(message: &RouteMessage) -> Answer {
    match message.header.kind {
        // An IPv6 anycast answer is a unicast route to a subnet-router address.
        RouteType::Unicast | RouteType::Anycast => unicast(message),
        RouteType::Local => Answer::Local,
        RouteType::BlackHole => Answer::NotUnicast(RouteKind::Blackhole),
        RouteType::Unreachable => Answer::NotUnicast(RouteKind::Unreachable),
        RouteType::Prohibit => Answer::NotUnicast(RouteKind::Prohibit),
        RouteType::Broadcast => Answer::NotUnicast(RouteKind::Broadcast),
        RouteType::Multicast => Answer::NotUnicast(RouteKind::Multicast),
        other => Answer::NotUnicast(RouteKind::Other(other.into())),
    }
}

fn unicast(message: &RouteMessage) -> Answer {
    let mut route = Route { link: 0, gateway: None, source: None, mtu: None, encapsulating: false };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => route.link = *index,
            RouteAttribute::Gateway(address) => route.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => route.gateway = Some((*address).into()),
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(metrics),
            RouteAttribute::EncapType(_) | RouteAttribute::Encap(_) => route.encapsulating = true,
            _ => {}
        }
    }
    if route.link == 0 {
        return Answer::Failed("its answer names no interface".into());
    }
    Answer::Unicast(route)
}

fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
        _ => None,
    })
}

/// The answer when the kernel returned an error instead of a route. `errno` is positive.
pub(super) fn refusal(errno: i32) -> Answer {
    match errno {
        libc::ENETUNREACH => Answer::NoRoute,
        libc::EHOSTUNREACH => Answer::NotUnicast(RouteKind::Unreachable),
        libc::EACCES => Answer::NotUnicast(RouteKind::Prohibit),
        libc::EINVAL => Answer::NotUnicast(RouteKind::Blackhole),
        other => Answer::Failed(std::io::Error::from_raw_os_error(other).to_string()),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
