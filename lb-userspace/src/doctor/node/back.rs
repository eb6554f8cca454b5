//! The ways from the node: to the gateways, whose probes it answers, and to the clients.

use std::net::IpAddr;

use super::NodeFacts;
use crate::datapath::nexthop::Resolution;
use crate::doctor::finding::{Finding, Topic};
use crate::doctor::route;

/// Whether probes of the gateways can be answered.
pub(super) fn gateways(facts: &NodeFacts) -> Vec<Finding> {
    facts.task.gateways.iter().map(|gateway| way("gateway", *gateway, facts)).collect()
}

/// Whether clients can be answered: those that were named, otherwise whoever a default route leads to.
pub(super) fn clients(facts: &NodeFacts) -> Vec<Finding> {
    if !facts.task.clients.is_empty() {
        return facts.task.clients.iter().map(|client| way("return", *client, facts)).collect();
    }
    let families =
        [false, true].into_iter().filter(|v6| facts.task.vips.iter().any(|vip| vip.is_ipv6() == *v6));
    families.map(|v6| by_default(v6, facts)).collect()
}

fn way(check: &'static str, address: IpAddr, facts: &NodeFacts) -> Finding {
    let topic = Topic::new(check, address);
    let way = match &facts.ways {
        Err(why) => return topic.unseen(why),
        Ok(ways) => ways.get(&address),
    };
    match way.map(|way| (&way.resolution, way.silence)) {
        None => topic.unseen("it was not asked about"),
        Some((Resolution::Via(hop), _)) => topic.ok(format!("is reached by {}", hop.interface_name)),
        Some((Resolution::Local, _)) => {
            topic.error("is this very machine", "name the other machine's address")
        }
        Some((Resolution::Unresolved(reason), silence)) => {
            route::unresolved(&topic, reason, silence, &[address], false)
        }
    }
}

fn by_default(v6: bool, facts: &NodeFacts) -> Finding {
    let (family, option) = if v6 { ("IPv6", "-6 ") } else { ("IPv4", "") };
    let topic = Topic::new("return", format!("{family} clients"));
    match &facts.defaults {
        Err(why) => topic.unseen(why),
        Ok(routes) => match routes.iter().find(|route| route.v6 == v6) {
            Some(route) => topic.ok(format!("are reached by the default route, through {}", route.interface)),
            None => topic.warning(
                format!("there is no default route of {family}: only clients with a route of their own are answered"),
                format!("`ip {option}route add default via ROUTER`; or name a client with --client to see its way"),
            ),
        },
    }
}

impl NodeFacts {
    /// Whether the way back to IPv4 clients is an interface; `None`: that is not known.
    pub(super) fn leaves_by(&self, interface: &str) -> Option<bool> {
        let named: Vec<_> = self.task.clients.iter().filter(|client| client.is_ipv4()).collect();
        if named.is_empty() {
            let routes = self.defaults.as_ref().ok()?;
            return Some(routes.iter().find(|route| !route.v6)?.interface == interface);
        }
        let ways = self.ways.as_ref().ok()?;
        let egresses: Option<Vec<_>> = named
            .iter()
            .map(|client| match &ways.get(client)?.resolution {
                Resolution::Via(hop) => Some(hop.interface_name.as_str()),
                _ => None,
            })
            .collect();
        Some(egresses?.iter().all(|egress| *egress == interface))
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{GATEWAY, lost, node, severities, via};
    use super::*;
    use crate::datapath::nexthop::Unresolved;
    use crate::doctor::finding::Severity::{Error, Ok as Fine, Warning};

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

    #[test]
    fn gateways_are_answered() {
        let mut facts = node();
        assert_eq!(severities(&gateways(&facts)), [Fine]);
        facts.ways.as_mut().unwrap().insert(GATEWAY, lost(Unresolved::NoRoute));
        let findings = gateways(&facts);
        assert_eq!((severities(&findings), findings[0].check), (vec![Error], "gateway"));
        facts.ways = Err("x".into());
        assert_eq!(severities(&gateways(&facts)), [Warning]);
    }

    #[test]
    fn clients_are_answered_by_default() {
        let mut facts = node();
        assert_eq!(severities(&clients(&facts)), [Fine]);
        facts.task.vips.push("2001:db8:1::10".parse().unwrap());
        let findings = clients(&facts);
        assert_eq!(severities(&findings), [Fine, Warning]);
        assert!(findings[1].mend.as_ref().unwrap().starts_with("`ip -6 route add default"));
    }

    #[test]
    fn a_client_that_is_named_is_asked_about() {
        let mut facts = node();
        facts.task.clients = vec![CLIENT];
        assert_eq!(severities(&clients(&facts)), [Warning], "not asked about");
        assert_eq!(facts.leaves_by("eth0"), None);
        facts.ways.as_mut().unwrap().insert(CLIENT, via("eth1"));
        assert_eq!(severities(&clients(&facts)), [Fine]);
        assert_eq!((facts.leaves_by("eth0"), facts.leaves_by("eth1")), (Some(false), Some(true)));
    }
}
