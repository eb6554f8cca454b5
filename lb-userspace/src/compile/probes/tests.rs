//! Over the maps that a file comes to.

use super::*;
use crate::config;
use crate::explain::offline::imagine;
use std::os::unix::fs::PermissionsExt as _;

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 10));
const FILE: &str = "apiVersion: spillway/v1
clusterSet: {id: test, secretFile: hash.key}
gateway: {interfaces: [eth0]}
clusters: [{name: eu, encap: {kind: gue}}, {name: us}]
services:
- {name: test/any, vips: [198.51.100.9], ports: [{port: 53, protocol: UDP}], pools: [other]}
- {name: test/web, vips: [\"2001:db8::10\", 198.51.100.10], ports: [{port: 53, protocol: UDP}, {port: 8000-8999}, {port: 443}], pools: [web, other]}
- {name: test/late, vips: [198.51.100.11], ports: [{port: 80}], pools: [web]}
pools:
- {name: web, cluster: eu, rows: 256, health: through, endpoints: [{address: 192.0.2.21}, {address: \"2001:db8::21\"}]}
- {name: other, cluster: us, rows: 256, health: straight, endpoints: [{address: 192.0.2.21}]}
healthChecks:
- {name: through, type: tcp, via: tunnel}
- {name: straight, type: tcp, port: 80}
";

fn read(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("hash.key");
    std::fs::write(&secret, "000102030405060708090a0b0c0d0e0f\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    config::parse(text, "gateway.yaml", directory.path()).unwrap()
}

fn hop(interface: u32, vlan: u16, mtu: u16) -> NextHop {
    NextHop { interface, vlan, destination_mac: [2; 6], source_mac: [4; 6], source: None, mtu }
}

fn known(config: &Config, way: &Result<NextHop, String>) -> VipWays {
    probed_vips(config).into_iter().map(|vip| (vip, way.clone())).collect()
}

/// The probes of a file, its backends behind interface 7 by a path of 1,500 bytes, unless `change` says otherwise.
fn all(config: &Config, way: &Result<NextHop, String>, change: impl Fn(&mut BackendEntry)) -> Vec<Probe> {
    let (mut image, record) = imagine(config).unwrap();
    for entry in image.backends.values_mut() {
        (entry.route.interface, entry.mtu) = (7, 1500);
        change(entry);
    }
    probes(config, &record, &image, &known(config, way))
}

#[test]
fn a_check_takes_the_first_service_and_its_first_vip_of_the_family_and_port_of_tcp() {
    let config = read(FILE);
    let probes = all(&config, &Ok(hop(2, 0, 1500)), |_| {});
    let vips: Vec<_> = probes.iter().map(|probe| probe.vip.to_string()).collect();
    assert_eq!(vips, ["198.51.100.10:8000", "[2001:db8::10]:8000"], "the other pool is checked straight");
    let named = read(&FILE.replace("type: tcp, via: tunnel", "type: tcp, via: tunnel, port: 9"));
    assert_eq!(all(&named, &Ok(hop(2, 0, 1500)), |_| {})[0].vip.port(), 9);
    assert_eq!(probed_vips(&read(&FILE.replace("health: through", "health: straight"))), BTreeSet::new());
}

#[test]
fn a_mark_names_the_entry_and_the_way_is_the_vips() {
    let config = read(FILE);
    let probes = all(&config, &Ok(hop(2, 0, 1400)), |_| {});
    let way = *probes[0].way.as_ref().unwrap();
    assert_eq!(ProbeMark::of(way.entry.backend), probes[0].mark);
    assert_eq!((way.entry.interface, IpAddr::from(way.entry.destination)), (2, probes[0].address));
    // Of 1,400 bytes 20, 8 and 4 are outer headers over IPv4, 20 more over IPv6; and the packet's own.
    assert_eq!(way.segment, 1400 - 32 - 40);
    assert_eq!(probes[1].way.as_ref().unwrap().segment, 1400 - 52 - 60);
    let wide = all(&config, &Ok(hop(2, 0, 9000)), |_| {});
    assert_eq!(wide[0].way.as_ref().unwrap().segment, 1500 - 32 - 40, "the path to the node counts too");
}

#[test]
fn what_is_in_the_way_is_said_and_what_is_not_known_is_not() {
    let config = read(FILE);
    let first = |way: &Result<NextHop, String>, change: fn(&mut BackendEntry)| {
        all(&config, way, change).first().map(|probe| probe.way.clone())
    };
    let fine = Ok(hop(2, 0, 1500));
    assert_eq!(first(&fine, |entry| entry.route.interface = 0), None);
    assert_eq!(first(&fine, |entry| entry.route.flags = BackendFlags::LOCAL), Some(Err(Obstacle::Local)));
    assert_eq!(first(&fine, |entry| entry.destination_mac.number = 5), Some(Err(Obstacle::Vlan)));
    assert_eq!(first(&Ok(hop(2, 5, 1500)), |_| {}), Some(Err(Obstacle::Vlan)));
    let lost = first(&Err("no route".into()), |_| {}).unwrap().unwrap_err();
    assert_eq!(lost, Obstacle::Vip { vip: VIP, reason: "no route".into() });
    let (image, record) = imagine(&config).unwrap();
    assert_eq!(probes(&config, &record, &image, &VipWays::new()), [], "nobody was asked yet");
}
