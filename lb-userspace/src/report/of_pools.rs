//! What nodes said, by pools and their endpoints; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::model::{Config, Service};
use crate::observe::published::Reported;
use crate::policy::observed::{NodeReport, VipPort};

/// By pool and endpoint, the sums over the ports of the services that use the pool. A node without a report is left out.
pub fn of_pools(
    config: &Config,
    reports: &BTreeMap<IpAddr, NodeReport>,
) -> BTreeMap<String, BTreeMap<IpAddr, Reported>> {
    let mut pools = BTreeMap::new();
    for pool in &config.pools {
        let services: Vec<_> = services(config, &pool.name).collect();
        let reported = |address: IpAddr| Some((address, sum(&services, reports.get(&address)?)));
        let endpoints = pool.endpoints.iter().filter_map(|endpoint| reported(endpoint.address));
        let endpoints: BTreeMap<_, _> = endpoints.collect();
        if !endpoints.is_empty() {
            pools.insert(pool.name.clone(), endpoints);
        }
    }
    pools
}

/// What a node refused between two reports, of what it is sent.
pub fn growth(config: &Config, node: IpAddr, before: &NodeReport, now: &NodeReport) -> Vec<(VipPort, u64)> {
    let pools =
        config.pools.iter().filter(|pool| pool.endpoints.iter().any(|endpoint| endpoint.address == node));
    let services: Vec<_> = pools.flat_map(|pool| services(config, &pool.name)).collect();
    let had = |at: &VipPort| match before.services.get(at) {
        Some(counts) if before.since_ms == now.since_ms => counts.refused,
        _ => 0,
    };
    let grown = ports(&services, now).into_iter().map(|at| {
        let refused = now.services.get(&at).map_or(0, |counts| counts.refused);
        // What the node had to forget begins anew.
        (at, refused.checked_sub(had(&at)).unwrap_or(refused))
    });
    grown.filter(|(_, refused)| *refused > 0).collect()
}

/// The pools of a node that have connections there, by this report.
pub fn busy(config: &Config, node: IpAddr, report: &NodeReport) -> BTreeSet<String> {
    that(config, node, |services| sum(services, report).connections > 0)
}

/// The pools of a node that have no connections there: neither by this report nor by the one before, both of all its
/// ports.
pub fn idle(config: &Config, node: IpAddr, before: &NodeReport, now: &NodeReport) -> BTreeSet<String> {
    that(config, node, |services| {
        [before, now].iter().all(|report| report.complete && sum(services, report).connections == 0)
    })
}

/// The pools of a node of whose services this holds.
fn that(config: &Config, node: IpAddr, holds: impl Fn(&[&Service]) -> bool) -> BTreeSet<String> {
    let pools =
        config.pools.iter().filter(|pool| pool.endpoints.iter().any(|endpoint| endpoint.address == node));
    let found = pools.filter(|pool| holds(&services(config, &pool.name).collect::<Vec<_>>()));
    found.map(|pool| pool.name.clone()).collect()
}

fn services<'c>(config: &'c Config, pool: &str) -> impl Iterator<Item = &'c Service> {
    config.services.iter().filter(move |service| service.pools.iter().any(|name| name == pool))
}

fn sum(services: &[&Service], report: &NodeReport) -> Reported {
    let mut reported = Reported::default();
    for counts in ports(services, report).iter().filter_map(|at| report.services.get(at)) {
        reported.refused = reported.refused.saturating_add(counts.refused);
        reported.connections = reported.connections.saturating_add(counts.connections);
    }
    reported
}

/// The ports in a report that are one of these services', each once.
fn ports(services: &[&Service], report: &NodeReport) -> BTreeSet<VipPort> {
    let mut ports = BTreeSet::new();
    for service in services {
        for (address, port) in
            service.vips.iter().flat_map(|vip| service.ports.iter().map(move |p| (*vip, p)))
        {
            let at = |port_number| VipPort { address, protocol: port.protocol, port: port_number };
            let last = if port.port == 0 { u16::MAX } else { port.last.unwrap_or(port.port) };
            ports.extend(report.services.range(at(port.port)..=at(last)).map(|(at, _)| *at));
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::model::Protocol::{self, Tcp, Udp};
    use crate::policy::observed::PortCounts;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const NODE: &str = "192.0.2.21";

    /// Two pools with the node in both, and services of every kind of port.
    fn config() -> Config {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("hash.key");
        fs::write(&key, "000102030405060708090a0b0c0d0e0f").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let text = "apiVersion: spillway/v1
clusterSet: {id: test, secretFile: hash.key}
gateway: {interfaces: [eth0]}
clusters: [{name: eu, report: {port: 6082, interval: 2s}}, {name: us}]
services:
- {name: a/web, vips: [198.51.100.1, '2001:db8::1'], ports: [{port: 80}, {port: 8000-8002}], pools: [one]}
- {name: a/dns, vips: [198.51.100.2], ports: [{port: 0, protocol: UDP}], pools: [two]}
- {name: a/both, vips: [198.51.100.3], ports: [{port: 443}], pools: [one, two]}
pools:
- {name: one, cluster: eu, endpoints: [{address: 192.0.2.21}, {address: 192.0.2.22}]}
- {name: two, cluster: us, endpoints: [{address: 192.0.2.21}]}
";
        config::parse(text, "x.yaml", directory.path()).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn report(since_ms: u64, ports: &[(&str, u16, Protocol, u64)]) -> NodeReport {
        let port = |&(address, port, protocol, refused)| {
            let at = VipPort { address: ip(address), protocol, port };
            (at, PortCounts { refused, connections: refused * 10 })
        };
        NodeReport { taken_ms: 0, since_ms, complete: true, services: ports.iter().map(port).collect() }
    }

    fn ports() -> Vec<(&'static str, u16, Protocol, u64)> {
        vec![
            ("198.51.100.1", 80, Tcp, 1),
            ("198.51.100.1", 80, Udp, 2),
            ("198.51.100.1", 8002, Tcp, 4),
            ("198.51.100.1", 8003, Tcp, 8),
            ("2001:db8::1", 8000, Tcp, 16),
            ("198.51.100.2", 0, Udp, 32),
            ("198.51.100.2", 65_535, Udp, 64),
            ("198.51.100.2", 53, Tcp, 128),
            ("198.51.100.3", 443, Tcp, 256),
            ("10.244.0.7", 443, Tcp, 512),
        ]
    }

    #[test]
    fn each_pool_has_what_its_services_have() {
        let config = config();
        let pools = of_pools(&config, &[(ip(NODE), report(0, &ports()))].into());
        let of =
            |name: &str| pools[name].iter().map(|(at, one)| (*at, one.refused, one.connections)).collect();
        let one: Vec<_> = of("one");
        assert_eq!(one, [(ip(NODE), 1 + 4 + 16 + 256, 2770)], "the other endpoint does not report");
        let two: Vec<_> = of("two");
        assert_eq!(two, [(ip(NODE), 32 + 64 + 256, 3520)]);
        assert!(of_pools(&config, &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_pool_is_idle_at_a_node_that_twice_had_no_connections_for_it() {
        let config = config();
        let full = report(0, &ports());
        let idle = |before: &NodeReport, now: &NodeReport| -> Vec<String> {
            super::idle(&config, ip(NODE), before, now).into_iter().collect()
        };
        assert_eq!(idle(&full, &full), Vec::<String>::new());
        // Only what is one's own port alone, and what is no service's.
        let two = report(0, &[("198.51.100.2", 53, Udp, 1), ("10.244.0.7", 443, Tcp, 1)]);
        assert_eq!((idle(&two, &two), idle(&full, &two)), (vec!["one".to_owned()], vec![]));
        let none = report(0, &[]);
        assert_eq!(idle(&none, &none), ["one", "two"]);
        assert_eq!(idle(&none, &NodeReport { complete: false, ..none.clone() }), Vec::<String>::new());
        assert!(super::idle(&config, ip("192.0.2.99"), &none, &none).is_empty());
        assert_eq!(busy(&config, ip(NODE), &two).into_iter().collect::<Vec<_>>(), ["two"]);
    }

    #[test]
    fn what_grew_is_told_once_and_a_node_that_began_anew_from_nothing() {
        let config = config();
        let mut later = ports();
        later[0].3 += 5;
        later[8].3 += 1;
        later[9].3 += 1;
        let grown = |before: &NodeReport, now: &NodeReport| {
            let grown = growth(&config, ip(NODE), before, now).into_iter();
            grown.map(|(at, refused)| (at.to_string(), refused)).collect::<Vec<_>>()
        };
        let expected = [("198.51.100.1:80/tcp".to_owned(), 5), ("198.51.100.3:443/tcp".to_owned(), 1)];
        let before = report(7, &ports());
        assert_eq!(grown(&before, &report(7, &later)), expected, "what no service has is left out");
        assert_eq!(grown(&before, &before), []);
        let anew = report(8, &[("198.51.100.1", 80, Tcp, 1)]);
        assert_eq!(grown(&before, &anew), [("198.51.100.1:80/tcp".to_owned(), 1)]);
        let forgotten = report(7, &[("198.51.100.3", 443, Tcp, 2), ("198.51.100.1", 80, Tcp, 0)]);
        assert_eq!(grown(&before, &forgotten), [("198.51.100.3:443/tcp".to_owned(), 2)]);
    }

    #[test]
    fn the_nodes_of_clusters_that_say_so_are_asked() {
        let asked = super::super::nodes(&config());
        let report =
            crate::config::model::ClusterReport { port: 6082, interval: std::time::Duration::from_secs(2) };
        assert_eq!(asked, [(ip(NODE), report), (ip("192.0.2.22"), report)].into());
    }
}
