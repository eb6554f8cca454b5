//! A changed file comes into force as a whole, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;

use lb_tests::lab::Agent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use time::OffsetDateTime;

use super::gateway_view::View;
use super::gateway_world::{Text, World, binary};

/// The view once the file that was just written is refused for the `count`th time.
fn refused(world: &World, agent: &mut Agent, count: u64) -> View {
    world.eventually("the file is refused", agent, |_| {
        world.view().filter(|view| view.published.agent.refused_configs == count)
    })
}

/// The view once the tables of another configuration than that `of` a time are in force.
pub(crate) fn changed(world: &World, agent: &mut Agent, of: OffsetDateTime) -> View {
    world.eventually("another configuration is in force", agent, |_| {
        world.view().filter(|view| view.published.agent.configured != of)
    })
}

/// When the configuration in force was put there.
pub(crate) fn configured(world: &World) -> OffsetDateTime {
    world.view().unwrap().published.agent.configured
}

fn digest(world: &World) -> String {
    world.view().unwrap().published.record.config_digest
}

#[test]
fn nodes_that_go_and_come_are_followed_and_the_rest_stays() {
    let world = World::new(2);
    let both = world.config();
    let mut agent = world.start(&both);
    let before = configured(&world);
    let one = Text { endpoints: both.endpoints[1..].to_vec(), ..both.clone() };
    world.write(&one.yaml());
    let view = changed(&world, &mut agent, before);
    assert_eq!(view.state(both.endpoints[0]), None);
    assert_eq!(world.answers(16), ["node-2"]);
    world.eventually("the way to the node that went is closed", &mut agent, |_| {
        (world.view()?.egresses() == BTreeSet::from([world.index("eth2")])).then_some(())
    });
    let before = configured(&world);
    world.write(&both.yaml());
    let view = changed(&world, &mut agent, before);
    // Its way was known before its first row.
    assert!(view.serves(both.endpoints[0]) && view.serves(both.endpoints[1]));
    assert_eq!(view.state(both.endpoints[1]), Some("up"), "the verdict of the one that stayed");
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
}

#[test]
fn a_bad_file_changes_nothing_and_is_told() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let before = digest(&world);
    world.write(&config.yaml().replace("cluster: eu-1", "cluster: eu-2").replace("fall: 2", "fell: 2"));
    let view = refused(&world, &mut agent, 1);
    let told = view.published.agent.last_error.clone().unwrap();
    for part in [
        "spillway.yaml:12:24: pools[0].cluster",
        "there is no cluster \"eu-2\"",
        "did you mean",
        "fell",
        "stays in force",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_eq!(view.published.record.config_digest, before);
    assert_eq!(world.answers(4), ["node-1"]);
    let log = agent.last_lines().join("\n");
    assert!(log.contains("there is no cluster") && log.contains("fell"), "{log}");
    let status = world.spillway(&["status", "--pin-path", &config.pin_path.display().to_string()]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("there is no cluster"), "{status:?}");
    world.write(&config.yaml());
    world.eventually("the error is gone with its cause", &mut agent, |_| {
        world.view()?.published.agent.last_error.is_none().then_some(())
    });
}

#[test]
fn what_needs_new_maps_is_refused_with_all_else_in_the_file() {
    let world = World::new(2);
    let config = world.config();
    let mut agent = world.start(&config);
    let before = digest(&world);
    let new = Text {
        gateway: "\n  limits: {backends: 64}".into(),
        pin_path: world.work.bpf().join("elsewhere"),
        endpoints: config.endpoints[1..].to_vec(),
        ..config.clone()
    };
    world.write(&new.yaml());
    let view = refused(&world, &mut agent, 1);
    let told = view.published.agent.last_error.clone().unwrap();
    assert!(told.contains("gateway.limits: ") && told.contains("gateway.pinPath: "), "{told}");
    assert!(told.contains("mend: ") && told.contains("spillway unload"), "{told}");
    assert_eq!(view.published.record.config_digest, before);
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
}

#[test]
fn interfaces_come_and_go_and_a_missing_one_changes_nothing() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let two = Text { interfaces: "eth0, eth1".into(), ..config.clone() };
    let missing = Text { interfaces: "eth1, eth9".into(), ..config.clone() };
    world.write(&missing.yaml());
    let view = refused(&world, &mut agent, 1);
    let told = view.published.agent.last_error.clone().unwrap();
    assert!(told.contains("there is no interface eth9"), "{told}");
    assert_eq!(view.linked(), ["eth0"]);
    assert!(world.has_program("eth0") && !world.has_program("eth1"));
    for (text, linked) in [(&two, &["eth0", "eth1"][..]), (&config, &["eth0"])] {
        world.write(&text.yaml());
        world.eventually("the interfaces are those of the file", &mut agent, |_| {
            (world.view()?.linked() == linked).then_some(())
        });
        assert_eq!(world.has_program("eth1"), linked.len() == 2);
        assert_eq!(world.answers(4), ["node-1"]);
    }
}

#[test]
fn another_secret_is_followed() {
    let world = World::new(1);
    let mut agent = world.start(&world.config());
    assert_eq!(world.view().unwrap().k0(), 0x0706_0504_0302_0100);
    world.write_secret("ff0102030405060708090a0b0c0d0e0f\n");
    world.eventually("the new key is in force", &mut agent, |_| {
        (world.view()?.k0() == 0x0706_0504_0302_01ff).then_some(())
    });
}

#[test]
fn a_config_map_that_is_exchanged_is_followed() {
    let world = World::new(2);
    let config = world.config();
    let at = |name: &str| world.work.path().join(name);
    let version = |name: &str, text: &Text| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("spillway.yaml"), text.yaml()).unwrap();
    };
    version("..1", &config);
    symlink("..1", at("..data")).unwrap();
    symlink("..data/spillway.yaml", at("spillway.yaml")).unwrap();
    let mut agent = Agent::start(&world.gateway, &binary(), &world.config_path()).unwrap();
    world.eventually("it runs", &mut agent, |_| world.view().filter(|view| !view.linked().is_empty()));
    let before = configured(&world);
    version("..2", &Text { endpoints: config.endpoints[1..].to_vec(), ..config.clone() });
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    fs::remove_dir_all(at("..1")).unwrap();
    let view = changed(&world, &mut agent, before);
    assert_eq!(view.state(config.endpoints[0]), None);
    // And once more: what is watched now is the directory that the link leads to now.
    let before = configured(&world);
    version("..3", &config);
    symlink("..3", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    let view = changed(&world, &mut agent, before);
    assert!(view.state(config.endpoints[0]).is_some());
}

#[test]
fn a_hangup_looks_again_at_what_depends_on_the_machine() {
    let world = World::new(1);
    let mut agent = world.start(&world.config());
    let config = world.config();
    let with_missing = Text { interfaces: "eth0, late0".into(), ..config };
    world.write(&with_missing.yaml());
    refused(&world, &mut agent, 1);
    world.gateway.ip("link add late0 type veth peer name late1").unwrap();
    world.gateway.ip("link set late0 up").unwrap();
    kill(Pid::from_raw(agent.id().cast_signed()), Signal::SIGHUP).unwrap();
    world.eventually("the late interface is balanced", &mut agent, |_| {
        let view = world.view()?;
        (view.linked() == ["eth0", "late0"] && view.published.agent.last_error.is_none()).then_some(())
    });
}

#[test]
fn a_vip_that_is_this_machines_is_refused_when_it_comes() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let own: IpAddr = "10.50.1.1".parse().unwrap();
    let vip = lb_tests::lab::VIP_V4;
    world.write(&config.yaml().replace(&format!("vips: [{vip}]"), &format!("vips: [{vip}, {own}]")));
    let view = refused(&world, &mut agent, 1);
    let told = view.published.agent.last_error.clone().unwrap();
    assert!(told.contains("services[0].vips[1]: 10.50.1.1 is an address of this machine"), "{told}");
    assert_eq!(world.answers(4), ["node-1"]);
}
