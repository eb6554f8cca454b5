//! A gateway with which all is well, for tests to break one thing of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::facts::{Backend, Count, GatewayFacts, Installed, Machine, Traffic};
use crate::config;
use crate::datapath::nexthop::{NextHop, Resolution, Silence, Unresolved, Way};
use crate::doctor::facts::{Ingress, Link, LocalAddress, Place, Xdp};
use crate::doctor::finding::{Finding, Severity};
use crate::observe::published::Reports;

pub(super) const ENDPOINT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 21));
pub(super) const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));

const FILE: &str = "apiVersion: spillway/v1
clusterSet: {id: test, self: eu, secretFile: hash.key}
gateway: {interfaces: [eth0]}
clusters: [{name: eu}]
services: [{name: test/web, vips: [198.51.100.10], ports: [{port: 80}], pools: [web]}]
pools: [{name: web, cluster: eu, rows: 256, endpoints: [{address: 192.0.2.21}]}]
";

pub(super) fn gateway() -> GatewayFacts {
    let link = eth0();
    GatewayFacts {
        config: read(FILE),
        machine: Machine {
            release: "6.18.0".into(),
            lacking: Ok(Vec::new()),
            unsupported: Ok(Vec::new()),
            pin_path: "/sys/fs/bpf/spillway".into(),
            on_bpf_file_system: true,
        },
        interfaces: vec![Ingress {
            name: link.name.clone(),
            link: Some(link.clone()),
            features: Ok(BTreeSet::new()),
        }],
        links: Ok(vec![link]),
        addresses: Ok(vec![address("192.0.2.1", 24, "eth0")]),
        ways: Ok(BTreeMap::from([(ENDPOINT, Way { resolution: via(), silence: Silence::NotAsked })])),
        probed: Ok(BTreeMap::new()),
        reverse_path: Vec::new(),
        installed: Ok(Some(installed())),
    }
}

/// What a file says; changes of it are replacements in its text.
pub(super) fn with(changes: &[(&str, &str)]) -> GatewayFacts {
    let text = changes.iter().fold(FILE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    GatewayFacts { config: read(&text), ..gateway() }
}

fn read(text: &str) -> config::Config {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("hash.key");
    std::fs::write(&secret, "000102030405060708090a0b0c0d0e0f\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = config::parse(text, "gateway.yaml", Path::new(directory.path())).unwrap();
    config.digest = "d1".into();
    config
}

fn eth0() -> Link {
    Link {
        index: 2,
        name: "eth0".into(),
        up: true,
        carrier: true,
        ethernet: true,
        mtu: 1500,
        xdp: Some(Xdp { id: 55, place: Place::Native, name: Some("gateway".into()) }),
        ..Link::default()
    }
}

/// The one interface.
pub(super) fn link(facts: &mut GatewayFacts) -> &mut Link {
    facts.interfaces[0].link.as_mut().unwrap()
}

pub(super) fn address(address: &str, length: u8, interface: &str) -> LocalAddress {
    LocalAddress { address: address.parse().unwrap(), length, interface: interface.into() }
}

fn via() -> Resolution {
    Resolution::Via(hop())
}

pub(super) fn hop() -> NextHop {
    NextHop {
        interface_index: 2,
        interface_name: "eth0".into(),
        source_mac: [2; 6],
        destination_mac: [4; 6],
        vlan: None,
        source: [192, 0, 2, 1].into(),
        mtu: 1520,
    }
}

/// The way to the endpoint is another.
pub(super) fn lost(reason: Unresolved, silence: Silence) -> GatewayFacts {
    let way = Way { resolution: Resolution::Unresolved(reason), silence };
    GatewayFacts { ways: Ok(BTreeMap::from([(ENDPOINT, way)])), ..gateway() }
}

/// What the agent has put into the kernel.
pub(super) fn held(facts: &mut GatewayFacts) -> &mut Installed {
    facts.installed.as_mut().unwrap().as_mut().unwrap()
}

fn installed() -> Installed {
    let count = |total, grown| Count { total, grown };
    Installed {
        pid: 42,
        running: true,
        version: "0.1.0".into(),
        generation: 7,
        age: 90,
        digest: "d1".into(),
        last_error: None,
        attached: vec![("eth0".into(), 55)],
        linked: vec!["eth0".into()],
        backends: vec![Backend { pool: "web".into(), address: ENDPOINT, serving: true, reason: None }],
        reports: Some(Reports { asked: 1, reporting: 1, ..Reports::default() }),
        watched: 1,
        traffic: vec![Traffic { service: "test/web".into(), sent: count(900, 9), dropped: count(0, 0) }],
        reasons: Vec::new(),
    }
}

pub(super) fn severities(findings: &[Finding]) -> Vec<Severity> {
    findings.iter().map(|finding| finding.severity).collect()
}

#[test]
fn nothing_is_said_against_it() {
    let findings = super::examine(&gateway());
    let bad: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let checks: BTreeSet<_> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks.len(), 17, "each check has said something: {checks:?}");
}
