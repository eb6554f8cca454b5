//! Several interfaces: what goes in at one and out at another; all are balanced, or none.

use std::collections::BTreeSet;

use lb_tests::lab::{Attached, Objects, VIP_V4};

use super::gateway_view::View;
use super::gateway_world::World;

#[test]
fn nodes_behind_other_interfaces_are_reached() {
    let world = World::new(2);
    let config = world.config();
    let _agent = world.start(&config);
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
    let view = world.view().unwrap();
    assert_eq!(view.egresses(), BTreeSet::from([world.index("eth1"), world.index("eth2")]));
    for (node, interface) in world.nodes.iter().zip(["eth1", "eth2"]) {
        assert_eq!(view.entry(node.address.into()).route.interface, world.index(interface));
    }
}

#[test]
fn every_configured_interface_is_balanced() {
    let world = World::new(1);
    let mut config = world.config();
    config.interfaces = "eth0, {name: eth1, xdpMode: generic}".into();
    let mut agent = world.start(&config);
    let view = world.view().unwrap();
    assert_eq!(view.linked(), ["eth0", "eth1"]);
    assert!(world.has_program("eth0") && world.has_program("eth1"));
    let modes: Vec<_> = view.published.agent.interfaces.iter().map(|one| one.mode.as_str()).collect();
    assert_eq!(modes, ["native", "generic"]);
    agent.stop();
    assert!(world.has_program("eth0") && world.has_program("eth1"), "the agent ends, the links stay");
    assert_eq!(world.answers(4), ["node-1"]);
}

#[test]
fn an_interface_that_is_made_anew_is_balanced_again() {
    let mut world = World::new(1);
    let mut config = world.config();
    config.interfaces = "eth0, eth1".into();
    let mut agent = world.start(&config);
    let before = world.index("eth0");
    let balanced =
        |view: &View| view.published.agent.interfaces.iter().map(|one| one.name.clone()).collect::<Vec<_>>();

    world.gateway.ip("link del eth0").unwrap();
    world.eventually("it is missed", &mut agent, |_| {
        let view = world.view()?;
        let error = view.published.agent.last_error.clone().unwrap_or_default();
        (error.contains("interface eth0 is gone") && balanced(&view) == ["eth1"]).then_some(())
    });
    assert_eq!(world.view().unwrap().linked(), ["eth1"], "the link that led nowhere is not kept");
    assert!(world.has_program("eth1"));

    world.make_front();
    assert_ne!(world.index("eth0"), before);
    world.eventually("it is balanced again", &mut agent, |_| {
        let view = world.view()?;
        let whole = view.published.agent.last_error.is_none() && balanced(&view).len() == 2;
        (whole && world.has_program("eth0")).then_some(())
    });
    assert_eq!(world.answers(4), ["node-1"]);
}

#[test]
fn an_interface_that_is_not_there_leaves_nothing_attached() {
    let world = World::new(1);
    let mut config = world.config();
    config.interfaces = "eth0, eth9".into();
    let (code, said) = world.run_to_its_end(&config);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no interface eth9; this machine has lo, "), "{said}");
    assert!(!world.has_program("eth0"));
    assert!(world.view().is_none(), "no maps");
    assert!(!world.work.bpf().join("spillway/v1").exists(), "no pins");
    assert!(!world.socket().exists(), "no socket");
}

#[test]
fn a_socket_that_cannot_be_made_leaves_nothing_pinned() {
    let world = World::new(1);
    let mut config = world.config();
    config.socket = world.work.path().join("absent/admin.sock");
    let (code, said) = world.run_to_its_end(&config);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("absent/admin.sock cannot be made: No such file"), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "a cause is told once: {said}");
    assert!(!world.work.bpf().join("spillway/v1").exists(), "no pins");
}

#[test]
fn an_interface_with_another_program_is_not_taken() {
    let world = World::new(1);
    let _other = Attached::pass(&Objects::from_env().unwrap(), &world.gateway, "eth1").unwrap();
    let mut config = world.config();
    config.interfaces = "eth0, eth1".into();
    let (code, said) = world.run_to_its_end(&config);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another XDP program sits on eth1"), "{said}");
    assert!(!world.has_program("eth0") && world.has_program("eth1"));
}

#[test]
fn an_agent_that_takes_over_and_fails_leaves_what_was_balanced() {
    let world = World::new(1);
    world.start(&world.config()).stop();
    let mut config = world.config();
    config.interfaces = "eth0, eth9".into();
    let (code, _) = world.run_to_its_end(&config);
    assert_eq!(code, Some(1));
    assert!(world.has_program("eth0"));
    assert_eq!(world.answers(4), ["node-1"]);
}

#[test]
fn a_vip_of_this_machine_is_refused_unless_allowed() {
    let world = World::new(1);
    world.gateway.ip(&format!("address add {VIP_V4}/32 dev lo")).unwrap();
    let mut config = world.config();
    let (code, said) = world.run_to_its_end(&config);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("services[0].vips[0]: {VIP_V4} is an address of this machine")), "{said}");
    assert!(said.contains("mend: ") && said.contains("ended.yaml:"), "{said}");
    assert!(!config.pin_path.exists(), "nothing was pinned");
    config.service = ", allowLocal: true".into();
    // This gateway also routes the answers, whose source is its own address now.
    world.gateway.sysctl("net/ipv4/conf/all/accept_local", "1").unwrap();
    let _agent = world.start(&config);
    assert_eq!(world.answers(4), ["node-1"]);
}
