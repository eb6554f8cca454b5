//! What an operator drains takes nothing new, until told otherwise.

use lb_tests::lab::Agent;

use super::gateway_world::{Text, World, binary};

#[test]
fn a_drained_backend_loses_its_rows_until_undrained_also_over_a_restart() {
    let world = World::new(2);
    let config = world.config();
    let mut agent = world.start(&config);
    let first = config.endpoints[0];
    let name = format!("web/{first}");
    let (done, said) = world.tell(&["drain", "backend", &name]);
    assert!(done && said.contains("is draining: its rows go to others"), "{said}");
    // The answer comes once the tables say so.
    assert_eq!(world.view().unwrap().state(first), Some("draining"));
    assert_eq!(world.answers(32), ["node-2"]);
    let (done, said) = world.tell(&["drain", "backend", &name]);
    assert!(done && said.contains("already"), "{said}");
    agent.stop();
    drop(agent);
    let mut agent = Agent::start(&world.gateway, &binary(), &world.config_path()).unwrap();
    world.eventually("a new agent runs", &mut agent, |agent| {
        (world.view()?.published.agent.pid == agent.id()).then_some(())
    });
    assert_eq!(world.view().unwrap().state(first), Some("draining"));
    assert_eq!(world.answers(32), ["node-2"]);
    let (done, said) = world.tell(&["undrain", "backend", &name]);
    assert!(done && said.contains("takes its share again"), "{said}");
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
}

#[test]
fn a_drained_cluster_is_shown_and_the_last_one_goes_on_serving() {
    let world = World::new(1);
    let _agent = world.start(&world.config());
    let (done, said) = world.tell(&["drain", "cluster", "eu-1"]);
    assert!(done, "{said}");
    let view = world.view().unwrap();
    let state = serde_json::to_value(&view.published.record.clusters["eu-1"]).unwrap();
    assert_eq!(state["state"], "draining");
    assert!(view.published.drained.clusters.contains("eu-1"));
    assert_eq!(world.answers(4), ["node-1"]);
    let (done, said) = world.tell(&["undrain", "cluster", "eu-1"]);
    assert!(done, "{said}");
    assert!(world.view().unwrap().published.drained.clusters.is_empty());
}

/// One cluster alone has none to spare.
fn with_resilience(on_violation: &str, config: Text) -> Text {
    let policy = format!(
        "\nfailoverPolicies: [{{name: near, priorities: [[eu-1]], resilience: {{model: N+1, onViolation: {on_violation}}}}}]"
    );
    Text { service: ", failoverPolicy: near".into(), gateway: policy, ..config }
}

#[test]
fn a_drain_that_leaves_too_little_is_refused_where_the_policy_says_so() {
    let world = World::new(2);
    let config = with_resilience("refuse", world.config());
    let _agent = world.start(&config);
    let first = config.endpoints[0];
    let name = format!("web/{first}");
    let (done, said) = world.tell(&["drain", "backend", &name]);
    let reason = format!(
        "{name} is not drained, for with that N+1 of test/web does not hold: what is left can take 70 %"
    );
    assert!(!done && said.contains(&reason) && said.contains("--force"), "{said}");
    assert_eq!(world.view().unwrap().state(first), Some("up"));
    assert_eq!(world.answers(32), ["node-1", "node-2"]);
    let (done, said) = world.tell(&["drain", "--force", "backend", &name]);
    let warning =
        "is draining: its rows go to others; N+1 of test/web does not hold: what is left can take 70 %";
    assert!(done && said.contains(warning), "{said}");
    assert_eq!(world.view().unwrap().state(first), Some("draining"));
    assert_eq!(world.answers(32), ["node-2"]);
    assert!(world.tell(&["undrain", "backend", &name]).0);
}

#[test]
fn a_drain_that_leaves_too_little_is_done_with_a_warning_otherwise() {
    let world = World::new(1);
    let _agent = world.start(&with_resilience("warn", world.config()));
    let (done, said) = world.tell(&["drain", "cluster", "eu-1"]);
    assert!(
        done && said.contains("N+1 of test/web does not hold: nobody is left who takes new flows"),
        "{said}"
    );
    assert!(world.view().unwrap().published.drained.clusters.contains("eu-1"));
}

#[test]
fn names_that_are_not_known_are_refused_with_those_that_are() {
    let world = World::new(2);
    let _agent = world.start(&world.config());
    let cases: [(&[&str], &str); 4] = [
        (&["drain", "backend", "wep/10.50.1.2"], "there is no pool \"wep\"; did you mean \"web\"?"),
        (&["drain", "backend", "web/10.50.1.3"], "did you mean \"10.50.1.2\"?"),
        (&["undrain", "backend", "web/192.0.2.200"], "there is 10.50.1.2, 10.50.2.2"),
        (&["undrain", "cluster", "eu-2"], "there is no cluster \"eu-2\"; did you mean \"eu-1\"?"),
    ];
    for (words, expected) in cases {
        let (done, said) = world.tell(words);
        assert!(!done && said.contains(expected), "{words:?}: {said}");
    }
    assert_eq!(world.spillway(&["drain", "backend", "web"]).status.code(), Some(2));
}

#[test]
fn without_an_agent_it_says_so() {
    let world = World::new(0);
    let (done, said) = world.tell(&["drain", "cluster", "eu-1"]);
    assert!(!done && said.contains("no agent answers at unix://") && said.contains("--admin"), "{said}");
}

#[test]
fn what_is_no_longer_configured_is_not_drained_when_it_comes_back() {
    let world = World::new(2);
    let config = world.config();
    let mut agent = world.start(&config);
    let first = config.endpoints[0];
    assert!(world.tell(&["drain", "backend", &format!("web/{first}")]).0);
    world.write(&Text { endpoints: config.endpoints[1..].to_vec(), ..config.clone() }.yaml());
    world.eventually("it is gone", &mut agent, |_| world.view()?.state(first).is_none().then_some(()));
    world.write(&config.yaml());
    world.eventually("it is up again", &mut agent, |_| {
        (world.view()?.state(first) == Some("up")).then_some(())
    });
}

#[test]
fn a_second_agent_is_refused_on_the_same_pins_and_on_the_same_socket() {
    let world = World::new(1);
    let config = world.config();
    let _agent = world.start(&config);
    let elsewhere = world.work.path().join("other.sock");
    let (code, said) = world.run_to_its_end(&Text { socket: elsewhere.clone(), ..config.clone() });
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another agent runs on the maps at "), "{said}");
    assert!(!elsewhere.exists());
    let other_pins = Text { pin_path: world.work.bpf().join("other"), ..config.clone() };
    let (code, said) = world.run_to_its_end(&other_pins);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another agent answers at unix://"), "{said}");
    assert_eq!(world.answers(4), ["node-1"]);
    assert!(world.tell(&["undrain", "cluster", "eu-1"]).0, "the first one still answers");
}
