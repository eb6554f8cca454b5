//! The ways to the endpoints.

use std::net::IpAddr;

use super::GatewayFacts;
use crate::datapath::nexthop::{Resolution, Way};
use crate::doctor::facts::Place;
use crate::doctor::finding::{Finding, Topic, few};
use crate::doctor::route;

/// Whether each endpoint has a next hop. Endpoints with the same trouble share a finding.
pub(super) fn next_hops(facts: &GatewayFacts) -> Vec<Finding> {
    let ways = match &facts.ways {
        Err(why) => return vec![Topic::new("next-hop", "endpoints").unseen(why)],
        Ok(ways) => ways,
    };
    let known = ways.values().filter(|way| matches!(way.resolution, Resolution::Via(_))).count();
    let mut findings = Vec::new();
    if known > 0 {
        let says = format!("{known} of {} have a route and a neighbour", ways.len());
        findings.push(Topic::new("next-hop", "endpoints").ok(says));
    }
    let mut groups: Vec<(&Way, Vec<IpAddr>)> = Vec::new();
    for (address, way) in ways.iter().filter(|(_, way)| !matches!(way.resolution, Resolution::Via(_))) {
        match groups.iter_mut().find(|(known, _)| *known == way) {
            Some((_, addresses)) => addresses.push(*address),
            None => groups.push((way, vec![*address])),
        }
    }
    findings.extend(groups.iter().map(|(way, addresses)| without(way, addresses, facts)));
    findings
}

fn without(way: &Way, addresses: &[IpAddr], facts: &GatewayFacts) -> Finding {
    let topic = Topic::new("next-hop", few(addresses));
    let running = matches!(&facts.installed, Ok(Some(installed)) if installed.running);
    match &way.resolution {
        Resolution::Unresolved(reason) => route::unresolved(&topic, reason, way.silence, addresses, running),
        _ => topic.hint(
            "is this very machine: its packets are passed to the kernel as they are",
            "correct the endpoint's address if that is not meant",
        ),
    }
}

/// Interfaces that packets are redirected out of, since they came in by others.
pub(super) fn egress(facts: &GatewayFacts) -> Vec<Finding> {
    let ways = facts.ways.iter().flat_map(|ways| ways.values());
    let hops = ways.filter_map(|way| match &way.resolution {
        Resolution::Via(hop) => Some((hop.interface_index, hop.interface_name.as_str())),
        _ => None,
    });
    let mut egresses: Vec<_> = hops.collect();
    egresses.sort_unstable();
    egresses.dedup();
    let balanced = |index| facts.interfaces.iter().any(|ingress| ingress.index() == Some(index));
    egresses.retain(|(index, _)| !balanced(*index));
    if egresses.is_empty() {
        return vec![
            Topic::new("egress", "all").ok("every endpoint is reached by an interface that is balanced"),
        ];
    }
    egresses.into_iter().map(|(index, name)| redirected(index, name, facts)).collect()
}

fn redirected(index: u32, name: &str, facts: &GatewayFacts) -> Finding {
    let topic = Topic::new("egress", name);
    let link = facts.links.iter().flatten().find(|link| link.index == index);
    let mend = if link.is_some_and(|link| link.is_kind("veth")) {
        "a veth does so only if its other end has an XDP program, or GRO on (`ethtool -K INTERFACE gro on`)"
    } else {
        "some drivers do so only with a program of their own: list it under gateway.interfaces; losses are counted by the tracepoint xdp:xdp_devmap_xmit"
    };
    match link.and_then(|link| link.driver) {
        Some(driver) if driver.transmits => topic.ok("its driver transmits the packets that are redirected to it"),
        Some(_) if is_generic(facts) => topic.ok("any driver will do, for the program runs in generic mode"),
        Some(_) => topic.error(
            "packets are redirected out of it and lost there: its driver does not transmit them (ndo_xdp_xmit)",
            mend,
        ),
        None => topic.hint(
            "packets are redirected out of it, which its driver must be able to do (ndo_xdp_xmit); this kernel does not say whether it is",
            mend,
        ),
    }
}

/// Whether all programs run in generic mode, which redirects by socket buffers.
fn is_generic(facts: &GatewayFacts) -> bool {
    let mut links = facts.interfaces.iter().filter_map(|ingress| ingress.link.as_ref());
    links.all(|link| link.xdp.as_ref().is_some_and(|xdp| xdp.place == Place::Generic))
}

#[cfg(test)]
mod tests {
    use super::super::stage::{ENDPOINT, gateway, hop, link, lost, severities};
    use super::*;
    use crate::datapath::nexthop::{NextHop, Silence, Unresolved};
    use crate::doctor::facts::{Driver, Link};
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    #[test]
    fn trouble_that_is_shared_is_told_once() {
        let mut facts = lost(Unresolved::NoRoute, Silence::NotAsked);
        let way = facts.ways.as_ref().unwrap()[&ENDPOINT].clone();
        for last in 1..=9 {
            facts.ways.as_mut().unwrap().insert([203, 0, 113, last].into(), way.clone());
        }
        let findings = next_hops(&facts);
        assert_eq!(severities(&findings), [Error]);
        assert_eq!(findings[0].subject, "192.0.2.21, 203.0.113.1, 203.0.113.2 and 7 more");
        assert_eq!(severities(&next_hops(&GatewayFacts { ways: Err("x".into()), ..facts })), [Warning]);
    }

    #[test]
    fn an_endpoint_may_be_this_machine() {
        let mut facts = gateway();
        let local = Way { resolution: Resolution::Local, silence: Silence::NotAsked };
        facts.ways = Ok([(ENDPOINT, local)].into());
        assert_eq!(severities(&next_hops(&facts)), [Hint]);
    }

    #[test]
    fn another_egress_must_be_able_to() {
        assert_eq!(severities(&egress(&gateway())), [Fine]);
        let mut facts = gateway();
        let other = NextHop { interface_index: 3, interface_name: "eth1".into(), ..hop() };
        facts.ways.as_mut().unwrap().get_mut(&ENDPOINT).unwrap().resolution = Resolution::Via(other);
        let findings = egress(&facts);
        assert_eq!((severities(&findings), findings[0].subject.as_str()), (vec![Hint], "eth1"));
        assert!(findings[0].mend.as_ref().unwrap().contains("gateway.interfaces"));
        let veth = Link { index: 3, kind: Some("veth".into()), ..Link::default() };
        facts.links.as_mut().unwrap().push(veth);
        assert!(egress(&facts)[0].mend.as_ref().unwrap().contains("gro on"));
        let driver = |transmits| Some(Driver { native: true, transmits });
        facts.links.as_mut().unwrap()[1].driver = driver(true);
        assert_eq!(severities(&egress(&facts)), [Fine]);
        facts.links.as_mut().unwrap()[1].driver = driver(false);
        assert_eq!(severities(&egress(&facts)), [Error]);
        link(&mut facts).xdp.as_mut().unwrap().place = Place::Generic;
        assert_eq!(severities(&egress(&facts)), [Fine]);
    }
}
