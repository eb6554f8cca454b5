//! The ways to other nodes: whose are looked for, and what was found. Pure: the time is an argument.
//!
//! Known beforehand is the way to all others of a family, that of its default route. The program names the nodes for
//! which it had no other; the way to these is looked for, if they are peers: nobody can make this machine ask for
//! arbitrary addresses. It stays known until room is needed, or until nobody has answered and no packet has wanted it
//! for [`PATIENCE`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use lb_common::abi::{LinkAddress, NodeHop, PEERS};

use crate::config::model::Prefix;
use crate::datapath::nexthop::{NextHopEvent, Resolution};

/// In the place of a node: all others of a family.
const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
/// The kernel is asked the way to addresses, not for a default route. To these, which are reserved and unassigned, only
/// a route leads that leads to everybody.
const NOBODY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(255, 255, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xfffe)),
];
/// The map has room for so many beside [`ANY`].
const MOST: usize = PEERS as usize - ANY.len();
/// How long a node that nobody wants is asked for in vain.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is known of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    /// Nothing yet: what the program goes by stays.
    Undecided,
    /// There is none.
    Lost,
    Via(NodeHop),
}

#[derive(Debug, Clone, Copy)]
struct Way {
    hop: Hop,
    /// When a packet last wanted it.
    wanted: Instant,
}

/// All ways that are looked for.
#[derive(Debug)]
pub(super) struct Hops {
    peers: Vec<Prefix>,
    any: [Hop; 2],
    nodes: BTreeMap<IpAddr, Way>,
}

impl Hops {
    /// `held`: what the program goes by, from an agent before.
    pub(super) fn new(peers: &[Prefix], held: impl IntoIterator<Item = IpAddr>, now: Instant) -> Self {
        let mut hops = Self { peers: peers.to_vec(), any: [Hop::Undecided; 2], nodes: BTreeMap::new() };
        hops.want(held, now);
        hops
    }

    /// Others may be nodes from now on.
    pub(super) fn set_peers(&mut self, peers: &[Prefix]) {
        self.peers = peers.to_vec();
        self.nodes.retain(|node, _| is_peer(peers, *node));
    }

    /// Packets wanted the way to these.
    pub(super) fn want(&mut self, nodes: impl IntoIterator<Item = IpAddr>, now: Instant) {
        for node in nodes {
            if is_peer(&self.peers, node) {
                self.nodes.entry(node).or_insert(Way { hop: Hop::Undecided, wanted: now }).wanted = now;
            }
        }
        while self.nodes.len() > MOST {
            let oldest = self.nodes.iter().min_by_key(|(_, way)| way.wanted).map(|(node, _)| *node);
            oldest.map(|node| self.nodes.remove(&node));
        }
    }

    /// Gives up those that are wanted in vain.
    pub(super) fn forget(&mut self, now: Instant) {
        self.nodes.retain(|_, way| way.hop != Hop::Lost || now.duration_since(way.wanted) <= PATIENCE);
    }

    /// Addresses to ask the kernel about.
    pub(super) fn targets(&self) -> BTreeSet<IpAddr> {
        NOBODY.into_iter().chain(self.nodes.keys().copied()).collect()
    }

    /// What the kernel says of one of them.
    pub(super) fn learn(&mut self, event: &NextHopEvent) {
        let hop = hop(&event.resolution);
        if let Some(family) = NOBODY.iter().position(|nobody| *nobody == event.address) {
            self.any[family] = hop;
        } else if let Some(way) = self.nodes.get_mut(&event.address) {
            way.hop = hop;
        }
    }

    /// What is to be changed in what the program goes by; `None`: the entry is to go.
    pub(super) fn changes(&self, held: &BTreeMap<IpAddr, NodeHop>) -> Vec<(IpAddr, Option<NodeHop>)> {
        let nodes = self.nodes.iter().map(|(node, way)| (*node, way.hop));
        let all: BTreeMap<_, _> = ANY.into_iter().zip(self.any).chain(nodes).collect();
        let gone = held.keys().filter(|node| matches!(all.get(node), None | Some(Hop::Lost)));
        let new = all.iter().filter_map(|(node, hop)| match hop {
            Hop::Via(via) if held.get(node) != Some(via) => Some((*node, Some(*via))),
            _ => None,
        });
        gone.map(|node| (*node, None)).chain(new).collect()
    }
}

fn is_peer(peers: &[Prefix], node: IpAddr) -> bool {
    !ANY.contains(&node) && !NOBODY.contains(&node) && peers.iter().any(|peer| peer.holds(node))
}

/// This very machine is no other node.
fn hop(resolution: &Resolution) -> Hop {
    let Resolution::Via(via) = resolution else { return Hop::Lost };
    Hop::Via(NodeHop {
        interface: via.interface_index,
        destination_mac: LinkAddress::new(via.destination_mac, via.vlan.unwrap_or(0)),
        source_mac: LinkAddress::new(via.source_mac, 0),
        ..NodeHop::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::nexthop::{NextHop, Unresolved};
    use lb_common::net::Address;

    const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

    fn peers(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| Prefix::parse(text).unwrap()).collect()
    }

    fn hops(now: Instant) -> Hops {
        Hops::new(&peers(&["10.0.0.0/16", "2001:db8::/64"]), [], now)
    }

    fn via(address: IpAddr, last: u8) -> NextHopEvent {
        let hop = NextHop {
            interface_index: 3,
            interface_name: "eth0".into(),
            source_mac: [2, 0, 0, 0, 0, 1],
            destination_mac: [2, 0, 0, 0, 0, last],
            vlan: Some(7),
            source: NODE,
            mtu: 1500,
        };
        NextHopEvent { address, resolution: Resolution::Via(hop) }
    }

    fn lost(address: IpAddr) -> NextHopEvent {
        NextHopEvent { address, resolution: Resolution::Unresolved(Unresolved::NoRoute) }
    }

    fn entry(last: u8) -> NodeHop {
        NodeHop {
            interface: 3,
            destination_mac: LinkAddress::new([2, 0, 0, 0, 0, last], 7),
            source_mac: LinkAddress::new([2, 0, 0, 0, 0, 1], 0),
            ..NodeHop::default()
        }
    }

    #[test]
    fn the_default_routes_stand_for_all_others() {
        let mut hops = hops(Instant::now());
        assert_eq!(hops.targets(), NOBODY.into());
        hops.learn(&via(NOBODY[0], 9));
        hops.learn(&lost(NOBODY[1]));
        assert_eq!(hops.changes(&BTreeMap::new()), [(ANY[0], Some(entry(9)))]);
        let held = BTreeMap::from([(ANY[0], entry(8)), (ANY[1], entry(8))]);
        assert_eq!(hops.changes(&held), [(ANY[1], None), (ANY[0], Some(entry(9)))]);
        assert_eq!([0, 1].map(|family| Address::from(ANY[family])), [NodeHop::ANY_V4, NodeHop::ANY_V6]);
    }

    #[test]
    fn only_peers_are_looked_for() {
        let mut hops = hops(Instant::now());
        let others = ["10.1.0.1", "192.0.2.1", "2001:db8:0:1::1", "::"];
        let others = others.map(|text| text.parse::<IpAddr>().unwrap());
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        hops.want(others.into_iter().chain([NODE, v6]), Instant::now());
        assert_eq!(hops.targets(), NOBODY.into_iter().chain([NODE, v6]).collect());
        hops.set_peers(&peers(&["2001:db8::/64"]));
        assert_eq!(hops.targets(), NOBODY.into_iter().chain([v6]).collect());
        hops.set_peers(&peers(&["0.0.0.0/0", "::/0"]));
        hops.want(NOBODY.into_iter().chain(ANY), Instant::now());
        assert_eq!(
            hops.targets(),
            NOBODY.into_iter().chain([v6]).collect(),
            "these stand for something else"
        );
    }

    #[test]
    fn what_was_held_stays_until_more_is_known() {
        let now = Instant::now();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        let held = BTreeMap::from([(ANY[0], entry(1)), (NODE, entry(2)), (other, entry(3))]);
        let mut hops = Hops::new(&peers(&["10.0.0.0/16"]), held.keys().copied(), now);
        assert_eq!(hops.changes(&held), [(other, None)], "no peer any more");
        hops.learn(&via(NODE, 2));
        assert_eq!(hops.changes(&held), [(other, None)]);
        hops.learn(&via(NODE, 4));
        assert_eq!(hops.changes(&held), [(other, None), (NODE, Some(entry(4)))]);
        hops.learn(&NextHopEvent { address: NODE, resolution: Resolution::Local });
        assert_eq!(hops.changes(&held), [(NODE, None), (other, None)]);
    }

    #[test]
    fn nobody_is_asked_for_in_vain_for_ever() {
        let start = Instant::now();
        let other: IpAddr = "10.0.0.8".parse().unwrap();
        let mut hops = hops(start);
        hops.want([NODE, other], start);
        hops.learn(&lost(NODE));
        hops.learn(&via(other, 1));
        hops.want([NODE], start + PATIENCE);
        hops.forget(start + PATIENCE * 2);
        assert!(hops.targets().contains(&NODE));
        hops.forget(start + PATIENCE * 2 + Duration::from_secs(1));
        assert_eq!(hops.targets(), NOBODY.into_iter().chain([other]).collect());
    }

    #[test]
    fn there_is_room_for_those_that_were_wanted_last() {
        let start = Instant::now();
        let mut hops = hops(start);
        let node = |number: usize| {
            let [.., high, low] = number.to_be_bytes();
            IpAddr::from([10, 0, high, low])
        };
        hops.want([node(1)], start + Duration::from_secs(2));
        hops.want([node(0)], start);
        hops.want((2..=MOST).map(node), start + Duration::from_secs(1));
        assert_eq!(hops.nodes.len(), MOST);
        assert!(hops.nodes.contains_key(&node(1)) && !hops.nodes.contains_key(&node(0)));
    }
}
