//! What keeps checks through tunnels from being carried out: their sockets send to the VIP by a route of this machine's,
//! and its answers come in from outside.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::GatewayFacts;
use crate::datapath::nexthop::{Resolution, Way};
use crate::doctor::finding::{Finding, Topic};
use crate::doctor::route;

const STRICT: u8 = 1;

/// The ways to the VIPs that are probed; nothing, if none is.
pub(super) fn vips(facts: &GatewayFacts) -> Vec<Finding> {
    match &facts.probed {
        Err(why) => vec![Topic::new("probe", "VIPs").unseen(why)],
        Ok(ways) => ways.iter().map(|(vip, way)| toward(*vip, way, facts)).collect(),
    }
}

fn toward(vip: IpAddr, way: &Way, facts: &GatewayFacts) -> Finding {
    let topic = Topic::new("probe", vip);
    let running = matches!(&facts.installed, Ok(Some(installed)) if installed.running);
    match &way.resolution {
        Resolution::Via(hop) if hop.vlan.is_some() => topic.error(
            "this machine's own route to it leads by a VLAN: it is not probed through tunnels",
            "let another interface lead there, or use a check that goes `via: direct`",
        ),
        Resolution::Via(hop) => topic.ok(format!(
            "is probed through tunnels; this machine's own route leads by {}",
            hop.interface_name
        )),
        Resolution::Local => topic.error(
            "is this machine's own address: it is not probed through tunnels",
            "remove the address, or use a check that goes `via: direct`",
        ),
        Resolution::Unresolved(reason) => route::unresolved(&topic, reason, way.silence, &[vip], running),
    }
}

/// The kernel's reverse-path filter, where answers of VIPs arrive: their source is the VIP. IPv4 alone has it.
pub(super) fn filters(facts: &GatewayFacts) -> Vec<Finding> {
    let ways = facts.probed.iter().flatten().filter(|(vip, _)| vip.is_ipv4());
    let out = ways.filter_map(|(_, way)| match &way.resolution {
        Resolution::Via(hop) => Some(hop.interface_name.as_str()),
        _ => None,
    });
    let out: BTreeSet<&str> = out.collect();
    if out.is_empty() {
        return Vec::new();
    }
    facts.reverse_path.iter().map(|(name, set)| filter(name, set, &out)).collect()
}

fn filter(name: &str, set: &Result<u8, String>, out: &BTreeSet<&str>) -> Finding {
    let topic = Topic::new("rp_filter", name);
    match set {
        Err(why) => topic.unseen(why),
        Ok(STRICT) if out.iter().all(|other| *other == name) => {
            topic.ok("is strict (1): answers to probes pass, for the route to their VIPs leads by it")
        }
        Ok(STRICT) => topic.warning(
            "is strict (1): answers to probes through tunnels that come by it are dropped, for the route to their VIPs leads elsewhere",
            format!(
                "`sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=0` (2 will do): the larger of the two counts"
            ),
        ),
        Ok(_) => topic.ok("lets answers to probes pass"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{VIP, gateway, hop, severities};
    use super::*;
    use crate::datapath::nexthop::{NextHop, Silence, Unresolved};
    use crate::doctor::finding::Severity::{Error, Ok as Fine, Warning};

    fn probed(resolution: Resolution) -> GatewayFacts {
        let way = Way { resolution, silence: Silence::NotAsked };
        GatewayFacts { probed: Ok([(VIP, way)].into()), ..gateway() }
    }

    #[test]
    fn without_such_checks_there_is_nothing_to_say() {
        assert_eq!((vips(&gateway()), filters(&gateway())), (vec![], vec![]));
        assert_eq!(severities(&vips(&GatewayFacts { probed: Err("x".into()), ..gateway() })), [Warning]);
    }

    #[test]
    fn a_vip_needs_a_way_of_this_machines() {
        let tagged = NextHop { vlan: Some(5), ..hop() };
        for (resolution, severity) in [
            (Resolution::Via(hop()), Fine),
            (Resolution::Via(tagged), Error),
            (Resolution::Local, Error),
            (Resolution::Unresolved(Unresolved::NoRoute), Error),
        ] {
            assert_eq!(severities(&vips(&probed(resolution.clone()))), [severity], "{resolution:?}");
        }
    }

    #[test]
    fn strict_filters_drop_what_comes_by_another_interface() {
        let mut facts = probed(Resolution::Via(hop()));
        let set = |value| Ok::<u8, String>(value);
        for (value, severities_are) in
            [(set(0), [Fine, Fine]), (set(1), [Fine, Warning]), (set(2), [Fine, Fine])]
        {
            facts.reverse_path = vec![(hop().interface_name, value.clone()), ("eth9".into(), value)];
            assert_eq!(severities(&filters(&facts)), severities_are);
        }
        assert!(filters(&facts).iter().all(|finding| finding.mend.is_none()));
        facts.reverse_path = vec![("eth9".into(), Ok(1)), ("eth8".into(), Err("x".into()))];
        assert_eq!(severities(&filters(&facts)), [Warning, Warning]);
        assert!(filters(&facts)[0].mend.as_ref().unwrap().contains("net.ipv4.conf.eth9.rp_filter=0"));
    }
}
