//! How long packets the node lets its clients send, against what fits between gateway and node. The gateway never
//! sees the node's SYN-ACK: what it announces counts. Where the receiver clamps that, it fits.

use std::net::IpAddr;

use super::NodeFacts;
use super::facts::DefaultRoute;
use crate::doctor::facts::{Link, kind_name, overhead};
use crate::doctor::finding::{Finding, Topic};

/// For each family of VIPs that has a default route.
pub(super) fn announced(facts: &NodeFacts) -> Vec<Finding> {
    let defaults = facts.defaults.iter().flatten();
    let used = defaults.filter(|route| facts.task.vips.iter().any(|vip| vip.is_ipv6() == route.v6));
    used.filter_map(|route| of_route(route, facts)).collect()
}

fn of_route(route: &DefaultRoute, facts: &NodeFacts) -> Option<Finding> {
    let egress = facts.links.as_ref().ok()?.iter().find(|link| link.name == route.interface)?;
    let ingress =
        facts.interfaces.iter().filter_map(|ingress| ingress.link.as_ref()).min_by_key(|link| link.mtu)?;
    let kind = facts.task.encap;
    let outer = facts.task.gateways.iter().map(|gateway| overhead(kind, *gateway, false)).max()?;
    if egress.clamps == Some(true) {
        return Some(topic(route).ok(format!(
            "clients are told no more than fits: the receiver's `clamp` is on what {} sends",
            egress.name
        )));
    }
    let mut finding = judged(route, egress, ingress, outer, kind_name(kind));
    if facts.has_receiver() {
        finding.mend = finding.mend.map(|mend| format!("{mend}; or let the receiver clamp it (`clampMss`)"));
    }
    Some(finding)
}

fn topic(route: &DefaultRoute) -> Topic {
    Topic::new("mss", format!("default route by {}", route.interface))
}

fn judged(route: &DefaultRoute, egress: &Link, ingress: &Link, outer: u32, kind: &str) -> Finding {
    let headers = headers(route.v6);
    let topic = topic(route);
    let mtu = route.mtu.unwrap_or(egress.mtu).min(egress.mtu);
    let mss = route.advmss.unwrap_or_else(|| mtu.saturating_sub(headers));
    let wrapped = mss + headers + outer;
    if wrapped <= ingress.mtu {
        return topic.ok(format!(
            "clients are told an MSS of {mss}: {wrapped} bytes with {kind}, {} fit",
            ingress.mtu
        ));
    }
    let fitting = ingress.mtu.saturating_sub(outer + headers);
    let unless = if egress.clamps.is_none() {
        "; unless the receiver's `clamp` is there, which is told to root"
    } else {
        ""
    };
    topic.warning(
        format!(
            "clients are told an MSS of {mss}: with {outer} bytes of {kind} their packets are {wrapped}, and {} takes {}{unless}",
            ingress.name, ingress.mtu
        ),
        format!("`{}`; or raise the MTU between gateway and node to {wrapped}", change(route, fitting)),
    )
}

fn change(route: &DefaultRoute, advmss: u32) -> String {
    let option = if route.v6 { "-6 " } else { "" };
    let via = route.via.map_or_else(String::new, |via: IpAddr| format!("via {via} "));
    format!("ip {option}route change default {via}dev {} advmss {advmss}", route.interface)
}

/// Of IP and TCP, without options.
const fn headers(v6: bool) -> u32 {
    if v6 { 60 } else { 40 }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{node, receiver, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Ok as Fine, Warning};

    fn with(advmss: Option<u32>, mtu: Option<u32>) -> Vec<Finding> {
        let mut facts = node();
        let route = &mut facts.defaults.as_mut().unwrap()[0];
        (route.advmss, route.mtu) = (advmss, mtu);
        announced(&facts)
    }

    #[test]
    fn an_mss_leaves_room_for_the_outer_header() {
        assert_eq!(severities(&with(Some(1440), None)), [Fine]);
        assert_eq!(severities(&with(None, Some(1480))), [Fine]);
        assert_eq!(severities(&with(Some(1441), None)), [Warning]);
        let findings = with(None, None);
        assert_eq!(
            findings[0].says,
            "clients are told an MSS of 1460: with 20 bytes of ipip their packets are 1520, and eth0 takes 1500"
        );
        assert_eq!(
            findings[0].mend.as_deref(),
            Some(
                "`ip route change default via 192.0.2.254 dev eth0 advmss 1440`; or raise the MTU between gateway and node to 1520"
            )
        );
    }

    #[test]
    fn a_receiver_that_clamps_cures_it() {
        let found = |clamps| {
            let mut facts = receiver();
            facts.links.as_mut().unwrap()[0].clamps = clamps;
            facts.defaults.as_mut().unwrap()[0].advmss = None;
            announced(&facts)
        };
        let clamped = found(Some(true));
        assert!(severities(&clamped) == [Fine] && clamped[0].says.contains("on what eth0 sends"));
        let without = found(Some(false));
        assert!(without[0].mend.as_deref().unwrap().ends_with("or let the receiver clamp it (`clampMss`)"));
        assert!(severities(&without) == [Warning] && without[0].says.ends_with("takes 1500"));
        assert!(found(None)[0].says.ends_with("told to root"));
    }

    #[test]
    fn a_family_without_vips_does_not_matter() {
        let mut facts = node();
        facts.defaults.as_mut().unwrap()[0].v6 = true;
        assert!(announced(&facts).is_empty());
    }
}
