//! That the node does not answer ARP for a VIP, nor asks as one, where others on its link would take it for the
//! gateway's.

use std::net::IpAddr;

use super::NodeFacts;
use super::facts::Settings;
use crate::doctor::finding::{Finding, Severity, Topic};

/// Each interface that tunnel packets arrive by. IPv6 does not answer for addresses of `lo`.
pub(super) fn ignored(facts: &NodeFacts) -> Vec<Finding> {
    if !facts.has_v4_vip() || facts.task.service_proxy {
        return Vec::new();
    }
    facts.ingress_names().iter().map(|name| on(name, facts)).collect()
}

fn on(name: &str, facts: &NodeFacts) -> Finding {
    let topic = Topic::new("arp", name);
    let settings = match facts.effective(name) {
        Err(why) => return topic.unseen(&why),
        Ok(settings) => settings,
    };
    let shared =
        facts.task.vips.iter().filter(|vip| vip.is_ipv4()).find(|vip| is_on_link(**vip, name, facts));
    match (settings, shared) {
        (Settings { arp_ignore: 1.., arp_announce: 2.., .. }, _) => topic.ok("the VIP is neither answered for nor asked with"),
        (Settings { arp_ignore: 1.., .. }, Some(vip)) => topic.warning(
            format!("arp_announce is below 2: the node asks with {vip} as sender, and its link takes the VIP for the node's"),
            mend(),
        ),
        (_, Some(vip)) => topic.error(
            format!("arp_ignore is 0 and {vip} is in the subnet of {name}: the node answers ARP for it, and draws packets past the gateways"),
            mend(),
        ),
        (_, None) => topic.at(
            Severity::Hint,
            "arp_ignore or arp_announce would let the VIP be asked for; no VIP is in the subnet of this link, so nobody should",
            mend(),
        ),
    }
}

fn is_on_link(vip: IpAddr, interface: &str, facts: &NodeFacts) -> bool {
    facts.addresses.iter().flatten().any(|own| own.interface == interface && own.is_near(vip))
}

fn mend() -> &'static str {
    "`sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2`"
}

#[cfg(test)]
mod tests {
    use super::super::stage::{address, node, set, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    #[test]
    fn on_a_shared_link_it_must_be_silent() {
        let quiet = Settings { arp_ignore: 1, arp_announce: 2, ..Settings::default() };
        let half = Settings { arp_announce: 0, ..quiet };
        for (settings, apart, shared) in
            [(quiet, Fine, Fine), (half, Hint, Warning), (Settings::default(), Hint, Error)]
        {
            let mut facts = node();
            set(&mut facts, "all", settings);
            assert_eq!(severities(&ignored(&facts)), [apart]);
            facts.addresses.as_mut().unwrap().push(address("198.51.100.99", 24, "eth0"));
            assert_eq!(severities(&ignored(&facts)), [shared]);
        }
    }

    #[test]
    fn nobody_asks_for_what_is_not_there() {
        let mut facts = node();
        facts.task.service_proxy = true;
        assert!(ignored(&facts).is_empty());
        facts.task.service_proxy = false;
        facts.settings.clear();
        assert_eq!(severities(&ignored(&facts)), [Warning]);
    }
}
