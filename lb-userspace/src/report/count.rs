//! What there is to be told, from what was found; pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_common::abi::{Owned, OwnedKey, RefusedKey};

use crate::config::model::Protocol;
use crate::policy::is_reachable;
use crate::policy::observed::{PortCounts, VipPort};

/// A remembered flow of UDP that was silent for longer is none. A connection of TCP may be silent for days.
pub const FLOW_IDLE: Duration = Duration::from_mins(5);

/// A TCP connection of the node's own sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket {
    /// This end, a VIP perhaps.
    pub local: SocketAddr,
    /// The client's.
    pub remote: SocketAddr,
}

/// What was found on a node.
#[derive(Debug, Default)]
pub struct Counted {
    /// How often what was refused.
    pub refused: Vec<(RefusedKey, u64)>,
    /// Its connections.
    pub sockets: Vec<Socket>,
    /// The flows that its receiver remembers.
    pub flows: Vec<(OwnedKey, Owned)>,
    /// Its own addresses.
    pub own: BTreeSet<IpAddr>,
    /// The present by the clock that flows are stamped with, in nanoseconds.
    pub clock: u64,
}

/// By port of a VIP. A VIP is what is no address of the node's own, nor means something on this machine or one link
/// alone. A remembered flow that is a socket's too counts once.
pub fn count(found: &Counted) -> BTreeMap<VipPort, PortCounts> {
    let mut ports = BTreeMap::<VipPort, PortCounts>::new();
    let is_vip = |address: &IpAddr| !found.own.contains(address) && is_reachable(address);
    for (key, refused) in &found.refused {
        if let Some(at) = place(key.address.into(), key.port.get(), key.protocol) {
            ports.entry(at).or_default().refused += refused;
        }
    }
    let sockets: HashSet<&Socket> = found.sockets.iter().collect();
    for socket in &sockets {
        let at = VipPort { address: socket.local.ip(), protocol: Protocol::Tcp, port: socket.local.port() };
        ports.entry(at).or_default().connections += 1;
    }
    for (key, owned) in &found.flows {
        let at = place(key.destination.into(), key.ports[1].get(), key.protocol);
        let Some(at) = at.filter(|at| lives(at.protocol, *owned, found.clock)) else { continue };
        if at.protocol == Protocol::Udp || !sockets.contains(&socket(key)) {
            ports.entry(at).or_default().connections += 1;
        }
    }
    ports.retain(|at, _| is_vip(&at.address));
    ports
}

fn place(address: IpAddr, port: u16, protocol: u32) -> Option<VipPort> {
    let protocol = match protocol {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    Some(VipPort { address, protocol, port })
}

fn lives(protocol: Protocol, owned: Owned, clock: u64) -> bool {
    let may_be_silent = protocol == Protocol::Tcp;
    !owned.has_ended() && (may_be_silent || u128::from(owned.age(clock)) <= FLOW_IDLE.as_nanos())
}

/// The socket that would have this flow.
fn socket(key: &OwnedKey) -> Socket {
    let [remote, local] = [(key.source, key.ports[0]), (key.destination, key.ports[1])]
        .map(|(address, port)| SocketAddr::new(address.into(), port.get()));
    Socket { local, remote }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::net::NetworkU16;

    const VIP: &str = "198.51.100.10";
    const NOW: u64 = 1 << 50;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refused(address: &str, port: u16, count: u64) -> (RefusedKey, u64) {
        (RefusedKey::new(ip(address).into(), NetworkU16::new(port), 6), count)
    }

    fn connection(local: &str, client: u16) -> Socket {
        Socket { local: SocketAddr::new(ip(local), 443), remote: SocketAddr::new(ip("203.0.113.7"), client) }
    }

    /// A flow from that port, whose last packet came so many seconds ago.
    fn flow(protocol: u32, client: u16, ago: u64, ends: bool) -> (OwnedKey, Owned) {
        let key = OwnedKey {
            source: ip("203.0.113.7").into(),
            destination: ip(VIP).into(),
            ports: [client, 443].map(NetworkU16::new),
            protocol,
        };
        (key, Owned::default().seen(NOW - ago * 1_000_000_000, 7, ends))
    }

    fn counts(found: Counted) -> Vec<(String, u64, u64)> {
        let found = Counted { clock: NOW, own: [ip("10.0.0.11")].into(), ..found };
        count(&found)
            .iter()
            .map(|(at, counts)| (at.to_string(), counts.refused, counts.connections))
            .collect()
    }

    #[test]
    fn vips_alone_are_counted() {
        let found = Counted {
            refused: vec![refused(VIP, 443, 3), refused("10.0.0.11", 443, 5), refused("2001:db8::10", 80, 1)],
            sockets: ["10.0.0.11", "127.0.0.1", "::1", "fe80::1", "169.254.0.1", VIP]
                .map(|local| connection(local, 1000))
                .into(),
            ..Counted::default()
        };
        let expected = [("198.51.100.10:443/tcp", 3, 1), ("[2001:db8::10]:80/tcp", 1, 0)];
        assert_eq!(counts(found), expected.map(|(at, refused, has)| (at.to_owned(), refused, has)));
    }

    #[test]
    fn a_connection_that_both_know_counts_once() {
        let found = Counted {
            sockets: vec![connection(VIP, 1), connection(VIP, 2), connection(VIP, 2)],
            flows: vec![flow(6, 2, 1, false), flow(6, 3, 1, false), flow(17, 2, 1, false)],
            ..Counted::default()
        };
        let expected = [("198.51.100.10:443/tcp", 0, 3), ("198.51.100.10:443/udp", 0, 1)];
        assert_eq!(counts(found), expected.map(|(at, refused, has)| (at.to_owned(), refused, has)));
    }

    #[test]
    fn flows_that_ended_are_none_and_those_of_udp_that_are_long_silent() {
        let found = Counted {
            flows: vec![
                flow(17, 1, 299, false),
                flow(17, 2, 301, false),
                flow(6, 3, 1, true),
                flow(6, 5, 1_000_000, false),
                flow(1, 4, 1, false),
            ],
            ..Counted::default()
        };
        let expected = [("198.51.100.10:443/tcp", 0, 1), ("198.51.100.10:443/udp", 0, 1)];
        assert_eq!(counts(found), expected.map(|(at, refused, has)| (at.to_owned(), refused, has)));
    }
}
