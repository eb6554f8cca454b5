//! Access policies and ranges of ports, as an agent puts them in force.

use std::net::SocketAddr;

use lb_common::abi::Features;
use lb_tests::lab::{Agent, VIP_PORT, VIP_V4, fetch};

use super::gateway_world::{Text, World};
use super::reload::{changed, configured};

/// The configuration with a policy on its service.
fn guarded(config: &Text, policy: &str) -> String {
    let text = Text { service: ", access: clients".into(), ..config.clone() };
    format!("{}accessPolicies:\n- {{name: clients, {policy}}}\n", text.yaml())
}

/// What `spillway` says of the pins.
fn said(world: &World, config: &Text, words: &[&str]) -> String {
    let pins = config.pin_path.display().to_string();
    let output = world.spillway(&[words, &["--pin-path", &pins]].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_policy_comes_changes_and_goes_while_the_agent_runs() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let follow = |agent: &mut Agent, text: &str| {
        let before = configured(&world);
        world.write(text);
        changed(&world, agent, before).published
    };
    let target = SocketAddr::from((VIP_V4, VIP_PORT));
    let destination = target.to_string();
    let question =
        ["explain", "--protocol", "tcp", "--source", "10.50.0.2:40000", "--destination", &destination];

    let published = follow(&mut agent, &guarded(&config, "deny: [10.50.0.0/24]"));
    assert_eq!(published.agent.features, Features::ADMISSION.bits());
    assert!(fetch(&world.client, target, "/").is_err());
    assert!(said(&world, &config, &question).contains("drop (denied)"));
    assert!(said(&world, &config, &["services"]).contains("clients"));
    let dump = said(&world, &config, &["maps", "dump", "access_prefixes"]);
    assert!(dump.contains("10.50.0.0/24") && dump.contains("deny"), "{dump}");

    follow(&mut agent, &guarded(&config, "deny: [10.50.0.0/24], allow: [10.50.0.2]"));
    assert_eq!(world.answers(4), ["node-1"]);
    assert!(said(&world, &config, &question).contains("current"));

    follow(&mut agent, &guarded(&config, "newFlowsPerSourcePerSec: 1"));
    let refused = (0..3).filter(|_| fetch(&world.client, target, "/").is_err()).count();
    let counted = said(&world, &config, &["maps", "dump", "reason_stats"]);
    assert!(refused > 0 || counted.contains("rate-limited"), "{counted}");
    world.eventually("the agent tells of it", &mut agent, |agent| {
        let log = agent.last_lines().join("\n");
        (log.contains("datapath") && log.contains("test/web") && log.contains("newFlowsPerSourcePerSec"))
            .then_some(())
    });

    let published = follow(&mut agent, &config.yaml());
    assert_eq!(published.agent.features, 0, "the program is without it again");
    assert_eq!(world.answers(4), ["node-1"]);
    assert_eq!(said(&world, &config, &["maps", "dump", "access_prefixes"]).trim(), "");
    assert_eq!(said(&world, &config, &["maps", "dump", "access_policies"]).trim(), "");
}

#[test]
fn a_range_of_ports_is_served() {
    let world = World::new(1);
    let config = world.config();
    let mut agent = world.start(&config);
    let before = configured(&world);
    let ports =
        |ports: &str| config.yaml().replace(&format!("{{port: {VIP_PORT}}}"), &format!("{{port: {ports}}}"));
    world.write(&ports("1-65535"));
    let view = changed(&world, &mut agent, before);
    assert_eq!(view.published.agent.features, Features::PORT_RANGES.bits());
    assert_eq!(world.answers(4), ["node-1"]);
    assert!(said(&world, &config, &["services"]).contains("1-65535/TCP"));
}
