//! The checks of a gateway, in the order in which one thing rests on another. Pure.

mod agent;
mod facts;
mod machine;
mod mtu;
mod probes;
mod reasons;
mod refused;
#[cfg(test)]
mod stage;
mod traffic;
mod vip;
mod way;
mod xdp;

pub use facts::{Backend, Count, GatewayFacts, Installed, Machine, Traffic};

use super::finding::Finding;
use super::link;

/// Everything that can be said of a gateway.
pub fn examine(facts: &GatewayFacts) -> Vec<Finding> {
    let checks: [fn(&GatewayFacts) -> Vec<Finding>; 17] = [
        machine::privileges,
        machine::kernel,
        machine::file_system,
        |facts| link::interfaces("interface", &facts.interfaces, &facts.links),
        xdp::program,
        |facts| link::offloads(&facts.interfaces, &facts.links),
        vip::local,
        vip::source,
        way::next_hops,
        way::egress,
        probes::vips,
        probes::filters,
        mtu::path,
        agent::agent,
        agent::configuration,
        refused::refused,
        |facts| [traffic::pools(facts), traffic::services(facts), reasons::reasons(facts)].concat(),
    ];
    checks.iter().flat_map(|check| check(facts)).collect()
}
