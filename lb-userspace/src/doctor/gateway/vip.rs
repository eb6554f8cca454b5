//! Addresses that must be this machine's, and those that must not.

use std::net::IpAddr;

use super::GatewayFacts;
use crate::doctor::facts::LocalAddress;
use crate::doctor::finding::{Finding, Topic};

/// A VIP that is this machine's own is answered by its kernel wherever the program passes a packet.
pub(super) fn local(facts: &GatewayFacts) -> Vec<Finding> {
    let guarded = facts.config.services.iter().filter(|service| !service.allow_local);
    let mut vips: Vec<_> = guarded.flat_map(|service| service.vips.iter().copied()).collect();
    vips.sort_unstable();
    vips.dedup();
    let addresses = match &facts.addresses {
        Err(why) => return vec![Topic::new("vip", "addresses").unseen(why)],
        Ok(addresses) => addresses,
    };
    let own = |vip: &IpAddr| addresses.iter().find(|own| own.address == *vip);
    let found: Vec<_> = vips.iter().filter_map(own).map(owned).collect();
    if found.is_empty() {
        return vec![Topic::new("vip", "all").ok("none is an address of this machine")];
    }
    found
}

fn owned(own: &LocalAddress) -> Finding {
    let LocalAddress { address, length, interface } = own;
    Topic::new("vip", address).error(
        format!("is an address of this machine, on {interface}: the agent refuses it"),
        format!(
            "`ip address del {address}/{length} dev {interface}`, or set `allowLocal: true` on the service"
        ),
    )
}

/// The outer source, where the file names one.
pub(super) fn source(facts: &GatewayFacts) -> Vec<Finding> {
    let gateway = &facts.config.gateway;
    let named = [gateway.source_v4.map(IpAddr::V4), gateway.source_v6.map(IpAddr::V6)];
    let named: Vec<_> = named.into_iter().flatten().collect();
    if named.is_empty() {
        return vec![Topic::new("source", "outer header").ok("is what each route prefers")];
    }
    named.into_iter().map(|source| sourced(source, facts)).collect()
}

fn sourced(source: IpAddr, facts: &GatewayFacts) -> Finding {
    let topic = Topic::new("source", source);
    match &facts.addresses {
        Err(why) => topic.unseen(why),
        Ok(addresses) if addresses.iter().any(|own| own.address == source) => {
            topic.ok("is an address of this machine")
        }
        Ok(_) => topic.warning(
            "is the source of outer headers and no address of this machine: networks that check sources drop them, and errors about them go elsewhere",
            "add it to an interface, or correct gateway.source",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{VIP, address, gateway, severities, with};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Ok as Fine, Warning};

    #[test]
    fn a_vip_is_not_the_gateways() {
        let own = address(&VIP.to_string(), 32, "lo");
        let facts = GatewayFacts { addresses: Ok(vec![own.clone()]), ..gateway() };
        let findings = local(&facts);
        assert_eq!((severities(&findings), findings[0].subject.as_str()), (vec![Error], "198.51.100.10"));
        assert_eq!(
            findings[0].mend.as_deref().unwrap(),
            "`ip address del 198.51.100.10/32 dev lo`, or set `allowLocal: true` on the service"
        );
        let allowed = with(&[("pools: [web]}", "pools: [web], allowLocal: true}")]);
        let facts = GatewayFacts { addresses: Ok(vec![own]), ..allowed };
        assert_eq!(severities(&local(&facts)), [Fine]);
        assert_eq!(severities(&local(&GatewayFacts { addresses: Err("x".into()), ..facts })), [Warning]);
    }

    #[test]
    fn an_outer_source_is_the_gateways() {
        let of = |address: &str| with(&[("[eth0]", &format!("[eth0], source: {{v4: {address}}}"))]);
        assert_eq!(severities(&source(&of("192.0.2.1"))), [Fine]);
        assert_eq!(severities(&source(&of("192.0.2.2"))), [Warning]);
        assert_eq!(severities(&source(&gateway())), [Fine]);
    }
}
