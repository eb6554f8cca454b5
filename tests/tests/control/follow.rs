//! The agent follows the kernel: MACs, links, and what is this machine itself.

use std::net::IpAddr;
use std::time::SystemTime;

use lb_common::abi::{BackendFlags, LinkAddress};
use lb_tests::lab::{EventKind, HEALTH_PORT, Server, VIP_PORT, VIP_V4};

use super::gateway_world::World;

#[test]
fn a_changed_mac_reaches_the_program() {
    let world = World::new(1);
    let mut agent = world.start(&world.config());
    let address = IpAddr::from(world.nodes[0].address);
    let mac = |last| LinkAddress::new([2, 0, 0, 50, 1, last], 0);
    assert_eq!(world.view().unwrap().entry(address).destination_mac, mac(2));
    world.nodes[0].namespace.ip("link set eth0 address 02:00:00:32:01:77").unwrap();
    // The gateway learns it from the next packet that it sends or receives.
    world.gateway.ip("neigh flush dev eth1").unwrap();
    world.eventually("the entry has the new MAC", &mut agent, |_| {
        (world.view()?.entry(address).destination_mac == mac(0x77)).then_some(())
    });
    assert_eq!(world.answers(4), ["node-1"]);
}

#[test]
fn a_link_that_goes_down_takes_its_node_out_and_back() {
    let world = World::new(2);
    let mut agent = world.start(&world.config());
    let address = IpAddr::from(world.nodes[0].address);
    world.gateway.ip("link set eth1 down").unwrap();
    world.eventually("the node does not serve", &mut agent, |_| {
        let view = world.view()?;
        (!view.serves(address) && view.egresses() == [world.index("eth2")].into()).then_some(())
    });
    assert_eq!(world.answers(16), ["node-2"]);
    world.gateway.ip("link set eth1 up").unwrap();
    world.eventually("it serves again", &mut agent, |_| {
        let view = world.view()?;
        (view.serves(address) && view.state(address) == Some("up")).then_some(())
    });
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
}

#[test]
fn a_backend_that_is_this_machine_gets_its_packets_from_the_stack() {
    let world = World::new(1);
    world.gateway.ip(&format!("address add {VIP_V4}/32 dev lo")).unwrap();
    let _servers =
        [VIP_PORT, HEALTH_PORT].map(|port| Server::start(&world.gateway, "gateway", port).unwrap());
    let mut config = world.config();
    config.service = ", allowLocal: true".into();
    let own: IpAddr = "10.50.0.1".parse().unwrap();
    config.endpoints = vec![own];
    let _agent = world.start(&config);
    assert!(world.view().unwrap().entry(own).route.flags.has(BackendFlags::LOCAL));
    assert_eq!(world.answers(4), ["gateway"]);
}

#[test]
fn tables_follow_a_verdict_soon() {
    let world = World::new(2);
    let mut agent = world.start(&world.config());
    let address = IpAddr::from(world.nodes[0].address);
    let since = SystemTime::now();
    // The link stays up and the neighbour known: only the check notices.
    world.nodes[0].namespace.ip("address del 10.50.1.2/24 dev eth0").unwrap();
    let down = EventKind::Health { address, up: false };
    let (verdict, applied) = world.eventually("the verdict and the tables", &mut agent, |agent| {
        let events = agent.events();
        let verdict = events.iter().find(|event| event.at >= since && event.kind == down)?.at;
        let applied = events.iter().filter(|event| event.kind == EventKind::Applied);
        Some((verdict, applied.map(|event| event.at).find(|at| *at >= verdict)?))
    });
    let took = applied.duration_since(verdict).unwrap();
    println!("from the verdict to the last change in the tables: {took:?}");
    assert!(took.as_millis() < 1000, "{took:?}");
}
