//! Interfaces that packets come in by, at either end of the tunnel: there, up, and with nothing that takes parts of
//! packets away before a program sees them.

use super::facts::{Ingress, Link, Seen};
use super::finding::{Finding, Topic, few};

/// Joins TCP segments into packets larger than the MTU, for good.
const LRO: &str = "rx-lro";
/// The same by the card, with headers that allow to take them apart.
const GRO_HW: &str = "rx-gro-hw";
/// Takes VLAN tags off.
const VLAN: &str = "rx-vlan-hw-parse";

/// Whether each interface is there and can receive.
pub(super) fn interfaces(
    check: &'static str,
    interfaces: &[Ingress],
    links: &Seen<Vec<Link>>,
) -> Vec<Finding> {
    let about = |ingress: &Ingress| {
        let topic = Topic::new(check, &ingress.name);
        match (links, &ingress.link) {
            (Err(why), _) => topic.unseen(why),
            (Ok(links), None) => absent(&topic, links),
            (Ok(_), Some(link)) => present(&topic, link),
        }
    };
    interfaces.iter().map(about).collect()
}

fn absent(topic: &Topic, links: &[Link]) -> Finding {
    let names: Vec<_> = links.iter().map(|link| &link.name).collect();
    topic.error(
        "there is no interface of this name",
        format!(
            "name one of this machine's: {}; or run it in the network namespace that has it",
            few(&names)
        ),
    )
}

fn present(topic: &Topic, link: &Link) -> Finding {
    let name = &link.name;
    if !link.up {
        topic.error("is down", format!("`ip link set dev {name} up`"))
    } else if !link.carrier {
        topic.error(
            "has no carrier",
            "look at the cable, the switch's port, or what the other end of a veth is",
        )
    } else if !link.ethernet {
        topic.error("is not Ethernet", "name an Ethernet interface: the programs read Ethernet headers")
    } else {
        topic.ok(format!("is up, MTU {}", link.mtu))
    }
}

/// Offloads that change packets before a program sees them.
pub(super) fn offloads(interfaces: &[Ingress], links: &Seen<Vec<Link>>) -> Vec<Finding> {
    let present = interfaces.iter().filter_map(|ingress| Some((ingress, ingress.link.as_ref()?)));
    present.flat_map(|(ingress, link)| of_one(ingress, link, links)).collect()
}

fn of_one(ingress: &Ingress, link: &Link, links: &Seen<Vec<Link>>) -> Vec<Finding> {
    let topic = Topic::new("offloads", &link.name);
    let features = match &ingress.features {
        Err(why) => return vec![topic.unseen(why)],
        Ok(features) => features,
    };
    let name = &link.name;
    let mut findings = Vec::new();
    for (feature, word) in [(LRO, "lro"), (GRO_HW, "rx-gro-hw")] {
        if features.contains(feature) {
            findings.push(topic.warning(
                format!("{feature} is on: segments are joined into packets that fit no path, and drivers refuse native XDP with it"),
                format!("`ethtool -K {name} {word} off`"),
            ));
        }
    }
    let vlans = above(link, links);
    if features.contains(VLAN) && !vlans.is_empty() {
        findings.push(topic.warning(
            format!(
                "{VLAN} is on, and {} receives by it: tags are taken off before a program sees them, and what it sends back has none",
                few(&vlans)
            ),
            format!("`ethtool -K {name} rxvlan off`"),
        ));
    }
    findings.extend(veth(&topic, link));
    if findings.is_empty() {
        findings.push(topic.ok("nothing joins packets, and nothing takes tags from them that are used"));
    }
    findings
}

/// VLAN interfaces on top of it.
fn above<'l>(link: &Link, links: &'l Seen<Vec<Link>>) -> Vec<&'l String> {
    let vlans =
        links.iter().flatten().filter(|other| other.is_kind("vlan") && other.parent == Some(link.index));
    vlans.map(|vlan| &vlan.name).collect()
}

fn veth(topic: &Topic, link: &Link) -> Option<Finding> {
    link.is_kind("veth").then(|| {
        topic.hint(
            "is a veth: packets of its other end may have unfinished checksums, and what a program sends back out of it is lost unless that end has an XDP program too",
            "at the other end: `ethtool -K INTERFACE tx off`, and an XDP program that passes everything",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity::{self, Error, Hint, Ok as Fine, Warning};
    use super::*;

    fn link() -> Link {
        let base = Link { index: 2, name: "eth0".into(), mtu: 1500, ..Link::default() };
        Link { up: true, carrier: true, ethernet: true, ..base }
    }

    fn ingress(link: Option<Link>, features: &[&str]) -> Ingress {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Ingress { name: "eth0".into(), link, features: Ok(features) }
    }

    fn mends(findings: &[Finding]) -> Vec<(Severity, &str)> {
        findings.iter().map(|one| (one.severity, one.mend.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn an_interface_must_be_there_and_up() {
        let links = Ok(vec![Link { name: "ens3".into(), ..link() }]);
        let cases = [
            (None, Error, "ens3"),
            (Some(Link { up: false, ..link() }), Error, "`ip link set dev eth0 up`"),
            (Some(Link { carrier: false, ..link() }), Error, "cable"),
            (Some(Link { ethernet: false, ..link() }), Error, "Ethernet"),
            (Some(link()), Fine, ""),
        ];
        for (link, severity, mend) in cases {
            let findings = interfaces("interface", &[ingress(link, &[])], &links);
            assert_eq!(findings[0].severity, severity);
            assert!(mends(&findings)[0].1.contains(mend), "{findings:?}");
        }
        let unseen = interfaces("interface", &[ingress(None, &[])], &Err("netlink".into()));
        assert_eq!(unseen[0].severity, Warning);
    }

    #[test]
    fn offloads_that_hurt_are_to_be_turned_off() {
        let of = |features: &[&str], links| offloads(&[ingress(Some(link()), features)], &Ok(links));
        assert_eq!(mends(&of(&["rx-gro"], vec![link()])), [(Fine, "")]);
        assert_eq!(mends(&of(&[LRO], vec![])), [(Warning, "`ethtool -K eth0 lro off`")]);
        assert_eq!(mends(&of(&[GRO_HW], vec![])), [(Warning, "`ethtool -K eth0 rx-gro-hw off`")]);
        let vlan = Link { index: 9, kind: Some("vlan".into()), parent: Some(2), ..link() };
        assert_eq!(mends(&of(&[VLAN], vec![link()])), [(Fine, "")], "nobody has VLANs there");
        assert_eq!(mends(&of(&[VLAN], vec![vlan])), [(Warning, "`ethtool -K eth0 rxvlan off`")]);
    }

    #[test]
    fn what_cannot_be_asked_is_not_in_order() {
        let unseen = Ingress { features: Err("ioctl".into()), ..ingress(Some(link()), &[]) };
        assert_eq!(offloads(&[unseen], &Ok(vec![]))[0].severity, Warning);
        assert!(offloads(&[ingress(None, &[])], &Ok(vec![])).is_empty(), "told by the check of interfaces");
        let veth = Link { kind: Some("veth".into()), ..link() };
        assert_eq!(offloads(&[ingress(Some(veth), &[])], &Ok(vec![]))[0].severity, Hint);
    }
}
