//! From the view and the kernel's route answer to a resolution. Pure.
//!
//! 1. Anything but a unicast route is the answer already.
//! 2. The route's link must be known, Ethernet and running; a VLAN sub-interface is replaced by its
//!    parent and a tag.
//! 3. The neighbour (gateway, or the target itself) must have a MAC.
//! 4. Source and MTU come from the route, the MTU bounded by the links'.

use std::net::IpAddr;

use super::view::{Link, NeighbourKey, View};
use super::{NextHop, Resolution, RouteKind, Unresolved};

/// The kernel's answer to "where does a packet to this address go" (`RTM_GETROUTE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Unicast(Route),
    Local,
    NotUnicast(RouteKind),
    NoRoute,
    Failed(String),
}

/// A unicast route, as far as the next hop depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Egress interface index.
    pub(super) link: u32,
    /// `None` when the target is on the link. May be IPv6 for an IPv4 route (RFC 5549, `RTA_VIA`).
    pub(super) gateway: Option<IpAddr>,
    pub(super) source: Option<IpAddr>,
    /// Configured or learned path MTU, bytes.
    pub(super) mtu: Option<u32>,
    /// The route has a lightweight tunnel (`RTA_ENCAP`).
    pub(super) encapsulating: bool,
}

/// A resolution, and the neighbour to keep resolved for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) resolution: Resolution,
    pub(super) wants: Option<Want>,
}

/// A neighbour a target depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) neighbour: NeighbourKey,
    pub(super) known: bool,
}

impl From<Unresolved> for Decision {
    fn from(reason: Unresolved) -> Self {
        Self { resolution: Resolution::Unresolved(reason), wants: None }
    }
}

/// Where a packet to `target` leaves, given the kernel's answer about it.
pub(super) fn decide(view: &View, target: IpAddr, answer: &Answer) -> Decision {
    match answer {
        Answer::Unicast(route) => follow(view, target, route).unwrap_or_else(Decision::from),
        Answer::Local => Decision { resolution: Resolution::Local, wants: None },
        Answer::NotUnicast(kind) => Unresolved::NotUnicast(*kind).into(),
        Answer::NoRoute => Unresolved::NoRoute.into(),
        Answer::Failed(words) => Unresolved::NoAnswer(words.clone()).into(),
    }
}

fn follow(view: &View, target: IpAddr, route: &Route) -> Result<Decision, Unresolved> {
    let link = running(view, route.link)?;
    let interface = || link.name.clone();
    if route.encapsulating {
        return Err(Unresolved::Encapsulating { interface: interface() });
    }
    let source_mac = link.mac.ok_or_else(|| Unresolved::NotEthernet { interface: interface() })?;
    let (egress, vlan) = untag(view, link)?;
    let source = route.source.ok_or_else(|| Unresolved::NoSource { interface: interface() })?;

    let gateway = route.gateway.unwrap_or(target);
    let key = NeighbourKey { link: link.index, address: gateway };
    let neighbour = view.neighbour(key);
    let resolution = match neighbour {
        None => Resolution::Unresolved(Unresolved::NoNeighbour { interface: interface(), gateway }),
        Some(neighbour) => Resolution::Via(NextHop {
            interface_index: egress.index,
            interface_name: egress.name.clone(),
            source_mac,
            destination_mac: neighbour.mac,
            vlan,
            source,
            mtu: route.mtu.unwrap_or(u32::MAX).min(link.mtu).min(egress.mtu),
        }),
    };
    let expires = neighbour.is_none_or(|neighbour| !neighbour.fixed);
    let wants = expires.then_some(Want { neighbour: key, known: neighbour.is_some() });
    Ok(Decision { resolution, wants })
}

fn running(view: &View, index: u32) -> Result<&Link, Unresolved> {
    let link = view.link(index).ok_or(Unresolved::UnknownLink { index })?;
    if link.running { Ok(link) } else { Err(Unresolved::LinkDown { interface: link.name.clone() }) }
}

/// The link that really transmits, and the tag to push. Bonds and bridges transmit themselves.
fn untag<'view>(view: &'view View, link: &'view Link) -> Result<(&'view Link, Option<u16>), Unresolved> {
    let Some(vlan) = link.vlan else { return Ok((link, None)) };
    let unsupported = || Unresolved::UnsupportedVlan { interface: link.name.clone() };
    let parent = running(view, vlan.parent.ok_or_else(unsupported)?)?;
    if !vlan.dot1q || parent.vlan.is_some() {
        return Err(unsupported());
    }
    Ok((parent, Some(vlan.id)))
}

#[cfg(test)]
mod tests {
    use super::super::view::{Neighbour, Vlan};
    use super::*;

    const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(index: u32, name: &str) -> Link {
        Link { index, name: name.into(), running: true, mtu: 1500, mac: Some(OUR_MAC), vlan: None }
    }

    fn neighbour(link: u32, address: &str) -> (NeighbourKey, Neighbour) {
        let key = NeighbourKey { link, address: ip(address) };
        (key, Neighbour { mac: GATEWAY_MAC, fixed: false })
    }

    fn via(link: u32, gateway: &str) -> Route {
        let source = Some(ip("10.0.0.1"));
        Route { link, gateway: Some(ip(gateway)), source, mtu: None, encapsulating: false }
    }

    fn unicast(view: &View, route: Route) -> Resolution {
        decide(view, ip("192.0.2.9"), &Answer::Unicast(route)).resolution
    }

    fn eth2() -> NextHop {
        NextHop {
            interface_index: 2,
            interface_name: "eth0".into(),
            source_mac: OUR_MAC,
            destination_mac: GATEWAY_MAC,
            vlan: None,
            source: ip("10.0.0.1"),
            mtu: 1500,
        }
    }

    #[test]
    fn a_gateway_with_a_mac_is_a_next_hop_to_keep_alive() {
        let view = View::from_dumps([link(2, "eth0")], [neighbour(2, "10.0.0.254")]);
        let decision = decide(&view, ip("192.0.2.9"), &Answer::Unicast(via(2, "10.0.0.254")));
        assert_eq!(decision.resolution, Resolution::Via(eth2()));
        let (key, _) = neighbour(2, "10.0.0.254");
        assert_eq!(decision.wants, Some(Want { neighbour: key, known: true }));
    }

    #[test]
    fn on_link_the_target_is_the_neighbour_and_an_unknown_one_is_wanted() {
        let view = View::from_dumps([link(2, "eth0")], []);
        let route = Route { gateway: None, ..via(2, "10.0.0.254") };
        let decision = decide(&view, ip("10.0.0.9"), &Answer::Unicast(route));
        let gateway = ip("10.0.0.9");
        let reason = Unresolved::NoNeighbour { interface: "eth0".into(), gateway };
        assert_eq!(decision.resolution, Resolution::Unresolved(reason));
        let key = NeighbourKey { link: 2, address: gateway };
        assert_eq!(decision.wants, Some(Want { neighbour: key, known: false }));
    }

    #[test]
    fn a_fixed_neighbour_is_not_kept_alive() {
        let (key, dynamic) = neighbour(2, "10.0.0.254");
        let view = View::from_dumps([link(2, "eth0")], [(key, Neighbour { fixed: true, ..dynamic })]);
        let decision = decide(&view, ip("192.0.2.9"), &Answer::Unicast(via(2, "10.0.0.254")));
        assert_eq!(decision.wants, None);
        assert!(matches!(decision.resolution, Resolution::Via(_)));
    }

    #[test]
    fn the_route_mtu_counts_only_when_smaller() {
        let view = View::from_dumps([link(2, "eth0")], [neighbour(2, "10.0.0.254")]);
        for (route_mtu, expected) in [(Some(1400), 1400), (Some(9000), 1500), (None, 1500)] {
            let route = Route { mtu: route_mtu, ..via(2, "10.0.0.254") };
            assert_eq!(unicast(&view, route), Resolution::Via(NextHop { mtu: expected, ..eth2() }));
        }
    }

    #[test]
    fn an_ipv6_gateway_serves_an_ipv4_route() {
        let view = View::from_dumps([link(2, "eth0")], [neighbour(2, "fe80::fe")]);
        assert_eq!(unicast(&view, via(2, "fe80::fe")), Resolution::Via(eth2()));
    }

    fn tagged(vlan: Vlan) -> Link {
        Link { vlan: Some(vlan), mtu: 1400, mac: Some([2, 0, 0, 0, 0, 7]), ..link(5, "eth0.7") }
    }

    #[test]
    fn a_vlan_leaves_through_its_parent_with_its_own_mac_and_neighbours() {
        let vlan = tagged(Vlan { id: 7, dot1q: true, parent: Some(2) });
        let view = View::from_dumps([link(2, "eth0"), vlan], [neighbour(5, "10.0.0.254")]);
        let source_mac = [2, 0, 0, 0, 0, 7];
        let expected = NextHop { vlan: Some(7), mtu: 1400, source_mac, ..eth2() };
        assert_eq!(unicast(&view, via(5, "10.0.0.254")), Resolution::Via(expected));
    }

    #[test]
    fn tags_that_cannot_be_written_are_refused() {
        let (dot1q, parent) = (true, Some(2));
        let reason = || Resolution::Unresolved(Unresolved::UnsupportedVlan { interface: "eth0.7".into() });
        let elsewhere = tagged(Vlan { id: 7, dot1q, parent: None });
        let service = tagged(Vlan { id: 7, dot1q: false, parent });
        for vlan in [elsewhere, service] {
            let view = View::from_dumps([link(2, "eth0"), vlan], [neighbour(5, "10.0.0.254")]);
            assert_eq!(unicast(&view, via(5, "10.0.0.254")), reason());
        }
        let outer = Link { vlan: Some(Vlan { id: 9, dot1q, parent }), ..link(3, "eth0.9") };
        let stacked = tagged(Vlan { id: 7, dot1q, parent: Some(3) });
        let view = View::from_dumps([link(2, "eth0"), outer, stacked], [neighbour(5, "10.0.0.254")]);
        assert_eq!(unicast(&view, via(5, "10.0.0.254")), reason());
    }

    #[test]
    fn a_link_that_cannot_send_is_named() {
        let interface = || "eth0".to_owned();
        let neighbours = [neighbour(2, "10.0.0.254")];
        let cases = [
            (Link { running: false, ..link(2, "eth0") }, Unresolved::LinkDown { interface: interface() }),
            (Link { mac: None, ..link(2, "eth0") }, Unresolved::NotEthernet { interface: interface() }),
            (link(9, "eth9"), Unresolved::UnknownLink { index: 2 }),
        ];
        for (link, reason) in cases {
            let view = View::from_dumps([link], neighbours);
            assert_eq!(unicast(&view, via(2, "10.0.0.254")), Resolution::Unresolved(reason));
        }
    }

    #[test]
    fn a_vlan_is_down_with_its_parent() {
        let vlan = tagged(Vlan { id: 7, dot1q: true, parent: Some(2) });
        let parent = Link { running: false, ..link(2, "eth0") };
        let view = View::from_dumps([parent, vlan], [neighbour(5, "10.0.0.254")]);
        let reason = Unresolved::LinkDown { interface: "eth0".into() };
        assert_eq!(unicast(&view, via(5, "10.0.0.254")), Resolution::Unresolved(reason));
    }

    #[test]
    fn routes_that_need_more_than_a_mac_are_refused() {
        let view = View::from_dumps([link(2, "eth0")], [neighbour(2, "10.0.0.254")]);
        let interface = || "eth0".to_owned();
        let tunnel = Route { encapsulating: true, ..via(2, "10.0.0.254") };
        let reason = Unresolved::Encapsulating { interface: interface() };
        assert_eq!(unicast(&view, tunnel), Resolution::Unresolved(reason));
        let sourceless = Route { source: None, ..via(2, "10.0.0.254") };
        let reason = Unresolved::NoSource { interface: interface() };
        assert_eq!(unicast(&view, sourceless), Resolution::Unresolved(reason));
    }

    #[test]
    fn answers_that_are_no_route_pass_through() {
        let cases = [
            (Answer::Local, Resolution::Local),
            (Answer::NoRoute, Resolution::Unresolved(Unresolved::NoRoute)),
            (
                Answer::NotUnicast(RouteKind::Prohibit),
                Resolution::Unresolved(Unresolved::NotUnicast(RouteKind::Prohibit)),
            ),
            (Answer::Failed("x".into()), Resolution::Unresolved(Unresolved::NoAnswer("x".into()))),
        ];
        for (answer, resolution) in cases {
            let decision = decide(&View::default(), ip("10.0.0.9"), &answer);
            assert_eq!(decision, Decision { resolution, wants: None });
        }
    }
}
