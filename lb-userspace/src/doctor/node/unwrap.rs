//! Who takes the outer headers off: the receiver's program, or the kernel's tunnel devices.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::NodeFacts;
use super::facts::RECEIVER;
use crate::config::model::EncapKind;
use crate::doctor::facts::{Link, Place, Xdp, kind_name};
use crate::doctor::finding::{Finding, Topic};

/// The programs on the interfaces; where none is the receiver, a device for each kind of tunnel that is used.
pub(super) fn unwrapped(facts: &NodeFacts) -> Vec<Finding> {
    let links = facts.interfaces.iter().filter_map(|ingress| ingress.link.as_ref());
    let programs: Vec<_> = links.filter_map(|link| Some(program(link, link.xdp.as_ref()?))).collect();
    let devices = if facts.has_receiver() { Vec::new() } else { devices(facts) };
    [programs, devices].concat()
}

fn program(link: &Link, xdp: &Xdp) -> Finding {
    let topic = Topic::new("receiver", &link.name);
    match (xdp.name.as_deref(), xdp.place) {
        (Some(RECEIVER), Place::Generic) => topic.hint(
            "the receiver runs in generic mode, which works and is slower: the driver refused the native one",
            "a driver that has native XDP refuses it with LRO on, with too large an MTU or with too few queues",
        ),
        (Some(RECEIVER), _) => topic.ok("the receiver's program is on it"),
        (None, _) => topic.unseen(&format!("program {} is on it; what it is called is told to root", xdp.id)),
        (Some(name), _) => topic.warning(
            format!("XDP program {} ({name}) sees packets before tunnel devices do, and is not the receiver", xdp.id),
            format!("see that it passes tunnel packets; or detach it: `ip link set dev {} xdp off`", link.name),
        ),
    }
}

/// A finding for each kind of device that is needed.
fn devices(facts: &NodeFacts) -> Vec<Finding> {
    if let Err(why) = &facts.links {
        return vec![Topic::new("receiver", "tunnel devices").unseen(why)];
    }
    let mut findings: Vec<_> = needed(facts).iter().map(|device| device.judged(facts)).collect();
    if let EncapKind::Gue { port, .. } = facts.task.encap {
        findings.push(Topic::new("receiver", "fou").hint(
            format!("whether the kernel listens for GUE on UDP port {port} is not seen from here"),
            format!(
                "`ip fou show`; if it is missing: `ip fou add port {port} gue`, and with -6 for IPv6 nodes"
            ),
        ));
    }
    findings
}

/// A tunnel device that a node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Device {
    kind: &'static str,
    name: &'static str,
    options: &'static str,
}

/// By the families of gateways and VIPs, as `docs/network.md` has it.
fn needed(facts: &NodeFacts) -> BTreeSet<Device> {
    let task = &facts.task;
    let pairs = task.gateways.iter().flat_map(|gateway| task.vips.iter().map(move |vip| (gateway, vip)));
    pairs.map(|(gateway, vip)| device(task.encap, *gateway, *vip)).collect()
}

fn device(encap: EncapKind, outer: IpAddr, inner: IpAddr) -> Device {
    let device = |kind, name, options| Device { kind, name, options };
    match (encap, outer, inner) {
        (EncapKind::Vxlan { .. }, IpAddr::V4(_), _) => {
            device("vxlan", "spillvx4", " id VNI dstport 4789 nolearning")
        }
        (EncapKind::Vxlan { .. }, IpAddr::V6(_), _) => {
            device("vxlan", "spillvx6", " id VNI dstport 4789 nolearning udp6zerocsumrx")
        }
        (_, IpAddr::V6(_), _) => device("ip6tnl", "spill6", " mode any"),
        (_, IpAddr::V4(_), IpAddr::V4(_)) => device("ipip", "spill4", ""),
        (_, IpAddr::V4(_), IpAddr::V6(_)) => device("sit", "spill46", ""),
    }
}

impl Device {
    fn judged(self, facts: &NodeFacts) -> Finding {
        let Self { kind, name, options } = self;
        let topic = Topic::new("receiver", kind);
        let devices = facts.tunnels(kind);
        if let Some(device) = devices.iter().find(|device| device.up) {
            return topic.ok(format!("{} takes {} off", device.name, kind_name(facts.task.encap)));
        }
        let add = format!(
            "`ip link add {name} type {kind}{options} local ADDRESS`, `ip link set {name} up` (docs/network.md)"
        );
        match devices.first() {
            Some(device) => topic.error(
                format!("{} is down: nothing takes outer headers off", device.name),
                format!("`ip link set dev {} up`", device.name),
            ),
            None => topic.error(
                "no receiver is attached, and there is no such device: nothing takes outer headers off",
                add,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{device, node, severities};
    use super::*;
    use crate::doctor::finding::Severity::{Error, Hint, Ok as Fine, Warning};

    fn with_program(name: Option<&str>, place: Place) -> NodeFacts {
        let mut facts = node();
        let xdp = Xdp { id: 7, place, name: name.map(str::to_owned) };
        facts.interfaces[0].link.as_mut().unwrap().xdp = Some(xdp);
        facts
    }

    #[test]
    fn the_receiver_is_known_by_its_name() {
        let cases = [
            (Some("receiver"), Place::Native, Fine),
            (Some("receiver"), Place::Generic, Hint),
            (None, Place::Native, Warning),
        ];
        for (name, place, severity) in cases {
            assert_eq!(severities(&unwrapped(&with_program(name, place))), [severity], "{name:?}");
        }
        let other = with_program(Some("xdp_pass"), Place::Native);
        assert_eq!(severities(&unwrapped(&other)), [Warning, Fine], "the devices are looked at too");
    }

    #[test]
    fn without_it_a_device_is_needed() {
        let mut facts = node();
        facts.links = Ok(vec![device("ipip", true)]);
        assert_eq!(severities(&unwrapped(&facts)), [Fine]);
        facts.links = Ok(vec![device("ipip", false)]);
        let findings = unwrapped(&facts);
        assert_eq!(severities(&findings), [Error]);
        assert_eq!(findings[0].mend.as_deref(), Some("`ip link set dev ipip0 up`"));
        facts.links = Ok(Vec::new());
        let findings = unwrapped(&facts);
        assert!(findings[0].mend.as_ref().unwrap().starts_with("`ip link add spill4 type ipip local"));
        facts.links = Err("x".into());
        assert_eq!(severities(&unwrapped(&facts)), [Warning]);
    }

    #[test]
    fn each_pair_of_families_has_its_device() {
        let mut facts = node();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        facts.task.vips.push(v6);
        let kinds = |facts: &NodeFacts| needed(facts).iter().map(|one| one.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&facts), ["ipip", "sit"]);
        facts.task.gateways.push(v6);
        assert_eq!(kinds(&facts), ["ip6tnl", "ipip", "sit"]);
        facts.task.encap = EncapKind::Vxlan { port: 4789, vni: 7, mac: [2; 6] };
        assert_eq!(kinds(&facts), ["vxlan", "vxlan"]);
        facts.task.encap = EncapKind::Gue { port: 6080, tag: false };
        facts.links = Ok(vec![device("ipip", true), device("sit", true), device("ip6tnl", true)]);
        assert_eq!(severities(&unwrapped(&facts)), [Fine, Fine, Fine, Hint]);
    }
}
