//! Whether packets, with their outer headers, fit the way to the nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::GatewayFacts;
use crate::config::model::{Cluster, Encap, Pool, Tracking, Via};
use crate::datapath::nexthop::{NextHop, Resolution};
use crate::doctor::facts::{hop_count, kind_name, overhead};
use crate::doctor::finding::{Finding, Severity, Topic};

/// Every IPv6 packet may be this long (RFC 8200, section 5), and every IPv4 host takes 576 bytes (RFC 791).
const LEAST_V6: u32 = 1280;
const LEAST_V4: u32 = 576;

/// A way as far as lengths go: cluster, egress, its MTU, bytes of outer headers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    cluster: String,
    encap: &'static str,
    configured: Option<u32>,
    egress: String,
    mtu: u32,
    overhead: u32,
}

/// One finding for each way that differs.
pub(super) fn path(facts: &GatewayFacts) -> Vec<Finding> {
    let Some(longest) = longest(facts) else { return Vec::new() };
    let clusters = facts.config.clusters.iter();
    let paths: BTreeSet<Path> = clusters.flat_map(|cluster| of_cluster(cluster, facts)).collect();
    let least = if has_v6(facts) { LEAST_V6 } else { LEAST_V4 };
    paths.iter().map(|path| judged(path, longest, least)).collect()
}

/// The longest packet that can come in, bytes.
fn longest(facts: &GatewayFacts) -> Option<u32> {
    facts.interfaces.iter().filter_map(|ingress| ingress.link.as_ref()).map(|link| link.mtu).max()
}

fn has_v6(facts: &GatewayFacts) -> bool {
    facts.config.services.iter().flat_map(|service| &service.vips).any(IpAddr::is_ipv6)
}

fn of_cluster(cluster: &Cluster, facts: &GatewayFacts) -> Vec<Path> {
    let pools = facts.config.pools.iter().filter(|pool| pool.cluster == cluster.name);
    let of_pool = |pool: &Pool| -> Vec<Path> {
        let is_chained = is_chained(pool, facts);
        let endpoints = pool.endpoints.iter().map(|endpoint| endpoint.address);
        let hops = endpoints.filter_map(|address| Some((address, hop(address, facts)?)));
        hops.map(|(address, hop)| of_endpoint(cluster, address, hop, is_chained)).collect()
    };
    pools.flat_map(of_pool).collect()
}

/// Whether the addresses of other nodes may travel with packets to a pool's.
fn is_chained(pool: &Pool, facts: &GatewayFacts) -> bool {
    let mut services = facts.config.services.iter().filter(|service| service.tracking == Tracking::Chain);
    services.any(|service| service.pools.contains(&pool.name))
}

fn hop(address: IpAddr, facts: &GatewayFacts) -> Option<&NextHop> {
    match &facts.ways.as_ref().ok()?.get(&address)?.resolution {
        Resolution::Via(hop) => Some(hop),
        _ => None,
    }
}

fn of_endpoint(cluster: &Cluster, address: IpAddr, hop: &NextHop, is_chained: bool) -> Path {
    let Encap { kind, mtu } = cluster.encap;
    Path {
        cluster: cluster.name.clone(),
        encap: kind_name(kind),
        configured: mtu.map(u32::from),
        egress: hop.interface_name.clone(),
        mtu: hop.mtu,
        overhead: overhead(kind, address, is_chained)
            + if cluster.via == Via::Gateway { hop_count() } else { 0 },
    }
}

fn judged(path: &Path, longest: u32, least: u32) -> Finding {
    let Path { cluster, encap, egress, mtu, overhead, .. } = path;
    let topic = Topic::new("mtu", format!("{cluster} by {egress}"));
    if let Some(configured) = path.configured.filter(|configured| configured > mtu) {
        return topic.error(
            format!("encap.mtu is {configured}, the way out only {mtu}: packets that the gateway takes to fit are lost there"),
            format!("lower encap.mtu of cluster {cluster} to {mtu} or less, or raise the MTU of {egress}"),
        );
    }
    let mtu = path.configured.unwrap_or(*mtu);
    let room = mtu.saturating_sub(*overhead);
    if room >= longest {
        return topic.ok(format!("packets of {longest} bytes fit {mtu} with {overhead} of {encap}"));
    }
    let severity = if room < least { Severity::Error } else { Severity::Warning };
    topic.at(
        severity,
        format!("packets longer than {room} bytes do not fit: the path takes {mtu}, {encap} adds {overhead}, and up to {longest} come in"),
        format!(
            "raise the MTU of {egress}, and of every link up to the nodes, to {}; or lower the MSS that the nodes announce (`advmss`, docs/network.md)",
            longest + overhead
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::stage::{ENDPOINT, gateway, hop, link, severities, with};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Ok as Fine, Warning};

    fn by(mut facts: GatewayFacts, mtu: u32) -> GatewayFacts {
        let resolution = Resolution::Via(NextHop { mtu, ..hop() });
        facts.ways.as_mut().unwrap().get_mut(&ENDPOINT).unwrap().resolution = resolution;
        facts
    }

    #[test]
    fn room_for_the_outer_header_is_needed() {
        assert_eq!(severities(&path(&by(gateway(), 1520))), [Fine]);
        assert_eq!(severities(&path(&by(gateway(), 1519))), [Warning]);
        assert_eq!(severities(&path(&by(gateway(), 595))), [Error]);
        let finding = &path(&by(gateway(), 1500))[0];
        assert_eq!(finding.subject, "eu by eth0");
        assert_eq!(
            finding.says,
            "packets longer than 1480 bytes do not fit: the path takes 1500, ipip adds 20, and up to 1500 come in"
        );
        assert!(finding.mend.as_ref().unwrap().contains("to 1520;"));
        let mut facts = by(gateway(), 1519);
        link(&mut facts).mtu = 1400;
        assert_eq!(severities(&path(&facts)), [Fine]);
    }

    #[test]
    fn each_encapsulation_has_its_length() {
        for (kind, needed) in [("gue", 1532), ("vxlan", 1550)] {
            let encap = format!("name: eu, encap: {{kind: {kind}}}");
            let encap =
                if kind == "vxlan" { encap.replace("vxlan}", "vxlan, vxlan: {vni: 7}}") } else { encap };
            let facts = || with(&[("name: eu", &encap)]);
            assert_eq!(severities(&path(&by(facts(), needed))), [Fine]);
            assert_eq!(severities(&path(&by(facts(), needed - 1))), [Warning]);
        }
    }

    #[test]
    fn what_may_travel_with_packets_has_its_room() {
        let chain = [
            ("name: eu}", "name: eu, encap: {kind: gue}}"),
            ("pools: [web]}", "pools: [web], tracking: chain}"),
        ];
        assert_eq!(severities(&path(&by(with(&chain), 1548))), [Fine]);
        assert_eq!(severities(&path(&by(with(&chain), 1547))), [Warning]);
        assert_eq!(severities(&path(&by(with(&chain[..1]), 1532))), [Fine]);
    }

    #[test]
    fn a_configured_mtu_is_not_larger_than_the_way_out() {
        let facts = || with(&[("name: eu", "name: eu, encap: {mtu: 1520}")]);
        assert_eq!(severities(&path(&by(facts(), 9000))), [Fine]);
        let findings = path(&by(facts(), 1500));
        assert_eq!(severities(&findings), [Error]);
        assert!(findings[0].mend.as_ref().unwrap().contains("of cluster eu to 1500"));
    }
}
