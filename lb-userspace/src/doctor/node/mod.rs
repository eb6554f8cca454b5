//! The checks of a backend node, in the order of a packet's walk: in by an interface, out of the tunnel, up to the
//! VIP, and back to the client. Pure.

mod arp;
mod back;
mod facts;
mod mss;
mod outside;
mod reverse_path;
#[cfg(test)]
mod stage;
mod unwrap;
mod vip;

pub use facts::{ALL, DefaultRoute, NodeFacts, Settings, Task};

use super::finding::{Finding, Topic};
use super::link;

/// Everything that can be said of a node.
pub fn examine(facts: &NodeFacts) -> Vec<Finding> {
    let checks: [fn(&NodeFacts) -> Vec<Finding>; 11] = [
        interfaces,
        offloads,
        unwrap::unwrapped,
        reverse_path::filters,
        vip::present,
        arp::ignored,
        back::gateways,
        back::clients,
        mss::announced,
        outside::source_checks,
        outside::firewall,
    ];
    checks.iter().flat_map(|check| check(facts)).collect()
}

/// What the kernel's own devices take apart may be joined before.
fn offloads(facts: &NodeFacts) -> Vec<Finding> {
    if facts.has_program() {
        return link::offloads(&facts.interfaces, &facts.links);
    }
    let names = facts.ingress_names();
    names
        .iter()
        .map(|name| Topic::new("offloads", name).ok("do no harm: no program looks at packets here"))
        .collect()
}

fn interfaces(facts: &NodeFacts) -> Vec<Finding> {
    if facts.interfaces.is_empty() {
        let topic = Topic::new("interface", "ingress");
        return vec![topic.warning(
            "no route leads to a gateway, so that nobody knows by which interface its packets arrive",
            "name it with --interface",
        )];
    }
    link::interfaces("interface", &facts.interfaces, &facts.links)
}
