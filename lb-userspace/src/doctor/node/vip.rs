//! Whether the node takes packets for the VIPs.

use std::net::IpAddr;

use super::NodeFacts;
use crate::datapath::nexthop::Resolution;
use crate::doctor::facts::LocalAddress;
use crate::doctor::finding::{Finding, Topic};

/// Each VIP is an address of the node, or somebody rewrites it.
pub(super) fn present(facts: &NodeFacts) -> Vec<Finding> {
    facts.task.vips.iter().map(|vip| one(*vip, facts)).collect()
}

fn one(vip: IpAddr, facts: &NodeFacts) -> Finding {
    let topic = Topic::new("vip", vip);
    let addresses = match &facts.addresses {
        Err(why) => return topic.unseen(why),
        Ok(addresses) => addresses,
    };
    match addresses.iter().find(|own| own.address == vip) {
        Some(own) => owned(&topic, own),
        None if has_local_route(vip, facts) => topic.ok("is the node's by a local route"),
        None => absent(&topic, vip, facts.task.service_proxy),
    }
}

fn owned(topic: &Topic, own: &LocalAddress) -> Finding {
    let LocalAddress { address, length, interface } = own;
    let whole = whole(*address);
    if *length == whole {
        return topic.ok(format!("is on {interface}"));
    }
    topic.warning(
        format!("is on {interface} with a prefix of {length} bits: the node takes the rest of that subnet for its own or its link's"),
        format!("`ip address del {address}/{length} dev {interface}`, `ip address add {address}/{whole} dev lo`"),
    )
}

fn absent(topic: &Topic, vip: IpAddr, service_proxy: bool) -> Finding {
    if service_proxy {
        return topic.hint(
            "is on no interface; whether the service proxy rewrites it is not seen from here",
            "in Kubernetes: a Service with the VIP under externalIPs; look for it in `nft list ruleset` or `iptables-save -t nat`",
        );
    }
    topic.error(
        "is on no interface: the node drops or forwards what comes for it",
        format!(
            "`ip address add {vip}/{} dev lo`; if a service proxy rewrites it, say --service-proxy",
            whole(vip)
        ),
    )
}

/// As `ip route add local` makes one.
fn has_local_route(vip: IpAddr, facts: &NodeFacts) -> bool {
    let way = facts.ways.as_ref().ok().and_then(|ways| ways.get(&vip));
    way.is_some_and(|way| way.resolution == Resolution::Local)
}

/// Bits of an address.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{VIP, address, node, severities};
    use super::*;
    use crate::datapath::nexthop::{Silence, Way};
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    #[test]
    fn a_vip_is_an_address_of_the_node() {
        let mut facts = node();
        assert_eq!(severities(&present(&facts)), [Fine]);
        facts.addresses = Ok(vec![address("198.51.100.10", 24, "lo")]);
        assert_eq!(severities(&present(&facts)), [Warning]);
        facts.addresses = Ok(Vec::new());
        let findings = present(&facts);
        assert_eq!(severities(&findings), [Error]);
        assert!(findings[0].mend.as_ref().unwrap().starts_with("`ip address add 198.51.100.10/32 dev lo`"));
        facts.addresses = Err("x".into());
        assert_eq!(severities(&present(&facts)), [Warning]);
    }

    #[test]
    fn a_route_or_a_proxy_will_do() {
        let mut facts = node();
        facts.addresses = Ok(Vec::new());
        let local = Way { resolution: Resolution::Local, silence: Silence::NotAsked };
        facts.ways.as_mut().unwrap().insert(VIP, local);
        assert_eq!(severities(&present(&facts)), [Fine]);
        facts.ways = Ok([].into());
        facts.task.service_proxy = true;
        assert_eq!(severities(&present(&facts)), [Hint]);
    }
}
