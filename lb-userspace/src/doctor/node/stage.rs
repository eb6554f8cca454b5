//! A node with which all is well, for tests to break one thing of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::facts::{DefaultRoute, NodeFacts, Settings, Task};
use crate::config::model::EncapKind;
use crate::datapath::nexthop::{NextHop, Resolution, Silence, Unresolved, Way};
use crate::doctor::facts::{Ingress, Link, LocalAddress, Place, Xdp};
use crate::doctor::finding::{Finding, Severity};

pub(super) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
pub(super) const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

/// With the kernel's tunnel device.
pub(super) fn node() -> NodeFacts {
    let eth0 = eth0();
    let quiet = Settings { arp_ignore: 1, arp_announce: 2, ..Settings::default() };
    let settings = [("all", quiet), ("eth0", Settings::default()), ("ipip0", Settings::default())];
    NodeFacts {
        task: Task {
            vips: vec![VIP],
            gateways: vec![GATEWAY],
            clients: Vec::new(),
            encap: EncapKind::Ipip,
            service_proxy: false,
        },
        interfaces: vec![Ingress {
            name: "eth0".into(),
            link: Some(eth0.clone()),
            features: Ok(BTreeSet::new()),
        }],
        links: Ok(vec![eth0, device("ipip", true)]),
        addresses: Ok(vec![address("192.0.2.21", 24, "eth0"), address("198.51.100.10", 32, "lo")]),
        ways: Ok(BTreeMap::from([(GATEWAY, via("eth0"))])),
        defaults: Ok(vec![DefaultRoute {
            v6: false,
            interface: "eth0".into(),
            via: Some(ROUTER),
            mtu: None,
            advmss: Some(1440),
        }]),
        settings: settings.map(|(name, settings)| (name.to_owned(), Ok(settings))).into(),
    }
}

/// With the receiver.
pub(super) fn receiver() -> NodeFacts {
    let mut facts = node();
    let program = Xdp { id: 7, place: Place::Native, name: Some("receiver".into()) };
    facts.interfaces[0].link.as_mut().unwrap().xdp = Some(program);
    facts
}

fn eth0() -> Link {
    let base = Link { index: 2, name: "eth0".into(), mtu: 1500, ..Link::default() };
    Link { up: true, carrier: true, ethernet: true, clamps: Some(false), ..base }
}

pub(super) fn device(kind: &str, up: bool) -> Link {
    Link { index: 9, name: format!("{kind}0"), kind: Some(kind.into()), up, mtu: 1480, ..Link::default() }
}

pub(super) fn address(address: &str, length: u8, interface: &str) -> LocalAddress {
    LocalAddress { address: address.parse().unwrap(), length, interface: interface.into() }
}

pub(super) fn set(facts: &mut NodeFacts, interface: &str, settings: Settings) {
    let (_, held) = facts.settings.iter_mut().find(|(name, _)| name == interface).unwrap();
    *held = Ok(settings);
}

pub(super) fn via(interface: &str) -> Way {
    let hop = NextHop {
        interface_index: 2,
        interface_name: interface.into(),
        source_mac: [2; 6],
        destination_mac: [4; 6],
        vlan: None,
        source: [192, 0, 2, 21].into(),
        mtu: 1500,
    };
    Way { resolution: Resolution::Via(hop), silence: Silence::NotAsked }
}

pub(super) fn lost(reason: Unresolved) -> Way {
    Way { resolution: Resolution::Unresolved(reason), silence: Silence::NotAsked }
}

pub(super) fn severities(findings: &[Finding]) -> Vec<Severity> {
    findings.iter().map(|finding| finding.severity).collect()
}

#[test]
fn nothing_is_said_against_it_but_what_cannot_be_seen() {
    for facts in [node(), receiver()] {
        let findings = super::examine(&facts);
        let said: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Ok).collect();
        let checks: Vec<_> = said.iter().map(|finding| finding.check).collect();
        assert_eq!(checks, ["urpf", "firewall"], "{said:#?}");
        let all: BTreeSet<_> = findings.iter().map(|finding| finding.check).collect();
        assert_eq!(all.len(), 11, "each check has said something: {all:?}");
    }
}

#[test]
fn offloads_matter_to_a_program_alone() {
    for (mut facts, severity) in [(node(), Severity::Ok), (receiver(), Severity::Warning)] {
        facts.interfaces[0].features = Ok(BTreeSet::from(["rx-lro".to_owned()]));
        let findings = super::examine(&facts);
        let finding = findings.iter().find(|finding| finding.check == "offloads").unwrap();
        assert_eq!(finding.severity, severity);
    }
}

#[test]
fn without_a_way_to_a_gateway_the_interface_must_be_named() {
    let facts = NodeFacts { interfaces: Vec::new(), ..node() };
    let findings = super::examine(&facts);
    let finding = findings.iter().find(|finding| finding.check == "interface").unwrap();
    assert_eq!(finding.mend.as_deref(), Some("name it with --interface"));
}
