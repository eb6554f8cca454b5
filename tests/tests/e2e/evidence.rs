//! What clients' own packets say about nodes, where checks see nothing.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{Load, Node, Outcome, TwoClusters, VIP_V4, firewall, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{ONE_RETRY, address, balanced, none_failed, silence, targets};

const SENDERS: u16 = 32;
/// Requests per second.
const RATE: u32 = 400;
/// Longer than it takes until a SYN comes again.
const WARM_UP: Duration = Duration::from_secs(2);
/// As long as rates are measured.
const OVER: Duration = Duration::from_secs(4);
/// Longer than a request has begun before its handshake is complete.
const HANDSHAKE: Duration = Duration::from_millis(200);
/// A node that takes a SYN for the VIP only when it comes again, a second later.
const LATE: &str = "table inet late {
    set seen { type inet_service; flags dynamic, timeout; timeout 3s; size 65536; }
    chain input {
        type filter hook input priority filter;
        tcp dport 80 tcp flags & (syn | ack) == syn tcp sport != @seen add @seen { tcp sport } drop
    }
}";

/// The lab's clusters behind a gateway that follows every flow.
fn stage(adjust: impl FnOnce(&mut Value)) -> Result<(TwoClusters, Gateway)> {
    balanced(|file| {
        file["gateway"] = json!({"evidence": {"oneIn": 1}});
        adjust(file);
    })
}

fn number(rates: &Value, key: &str) -> f64 {
    rates[key].as_f64().unwrap_or(-1.0)
}

#[test]
fn a_node_that_drops_syns_is_told_from_those_that_answer() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, gateway) = stage(|_| ())?;
    // It answers its check, which does not ask for the VIP.
    silence(&lab.nodes[0])?;
    let silent = address(&lab.nodes[0]).to_string();
    let [target, _] = targets();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    thread::sleep(WARM_UP);
    let asked = SystemTime::now();
    let rates = gateway.ask(&["rates", "--over", "4"])?;
    let told = SystemTime::now();
    let outcomes = load.finish();

    let backends = rates["backends"].as_array().context("backends")?;
    assert_eq!(backends.len(), lab.nodes.len());
    let mut completed = 0.0;
    for backend in backends {
        let (failed, seen) = (number(backend, "failedHandshakes"), number(backend, "handshakes"));
        println!("{}: {failed} of {seen} handshakes failed", backend["address"]);
        assert!(seen >= 8.0, "{backend}");
        if backend["address"] == silent {
            assert!((failed - 1.0).abs() < f64::EPSILON, "{backend}");
            assert!(backend["medianHandshakeMs"].is_null(), "{backend}");
        } else {
            assert!(failed.abs() < f64::EPSILON, "{backend}");
            assert!((0.0..500.0).contains(&number(backend, "medianHandshakeMs")), "{backend}");
            completed += seen;
        }
    }
    // Each request is a connection of its own; somewhere between the question and the answer lie the four seconds.
    let answered = |since: SystemTime, until: SystemTime| {
        let between = outcomes.iter().filter(|one| one.is_ok() && (since..until).contains(&one.started));
        u32::try_from(between.count()).map(f64::from)
    };
    let least = answered(told - OVER, asked + OVER - HANDSHAKE)?;
    let most = answered(asked - HANDSHAKE, told)?;
    assert!(least > 0.0 && (least..=most).contains(&completed), "{completed} of {least} to {most}");
    let clusters = rates["clusters"].as_array().context("clusters")?;
    let begun: f64 = clusters.iter().map(|cluster| number(cluster, "newFlowsPerSec")).sum();
    assert!(begun * 4.0 >= completed, "{begun} flows a second began");
    assert!(in_state(&gateway, &lab.nodes[0], "up").is_some(), "its check passes");
    Ok(())
}

/// As the stage of evidence, where three in a row are enough.
fn with_outlier_detection() -> Result<(TwoClusters, Gateway)> {
    let rules =
        json!({"consecutiveFailures": 3, "interval": "2s", "baseEjection": "10s", "maxEjectionPercent": 50});
    stage(|file| {
        let pools = file["pools"].as_array_mut().into_iter().flatten();
        pools.for_each(|pool| pool["outlier"] = rules.clone());
    })
}

/// A node as `spillway backends` has it, if it is in this state.
fn in_state(gateway: &Gateway, node: &Node, wanted: &str) -> Option<Value> {
    let (backends, address) = (gateway.ask(&["backends"]).ok()?, address(node).to_string());
    let mut all = backends.as_array()?.iter();
    all.find(|one| one["address"] == address && one["state"] == wanted).cloned()
}

/// Waits until the node is ejected by what its clients' handshakes say, and the tables have followed.
fn is_ejected(gateway: &mut Gateway, node: &Node) -> Result<()> {
    let ejected = gateway.until("its ejection", |gateway| {
        in_state(gateway, node, "ejected").filter(|backend| backend["rows"] == 0)
    })?;
    let reason = ejected["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("ejected: ") && reason.ends_with("handshakes in a row failed"), "{reason}");
    assert_eq!(ejected["serving"], true, "what it has it keeps");
    Ok(())
}

/// Waits until it takes flows again, and sees that it answers some and nobody fails.
fn answers_again(gateway: &mut Gateway, node: &Node, load: Load) -> Result<()> {
    let back =
        |gateway: &Gateway| in_state(gateway, node, "up").or_else(|| in_state(gateway, node, "unknown"));
    gateway.until("its return", |gateway| back(gateway))?;
    let since = SystemTime::now();
    thread::sleep(WARM_UP);
    let outcomes = load.finish();
    none_failed(&outcomes, since);
    let mut again = outcomes.iter().filter(|outcome| outcome.started > since);
    assert!(again.any(|outcome| outcome.answer.as_ref() == Ok(&node.name)), "it answers again");
    Ok(())
}

#[test]
fn a_node_that_drops_syns_is_ejected_and_comes_back() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = with_outlier_detection()?;
    let node = &lab.nodes[0];
    silence(node)?;
    let [target, _] = targets();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    is_ejected(&mut gateway, node)?;
    let clusters = gateway.ask(&["clusters"])?;
    assert_eq!((&clusters[0]["ejected"], &clusters[0]["healthy"]), (&json!(1), &json!(1)));

    // Nobody meets it now; those who were under way to it have given up.
    thread::sleep(ONE_RETRY);
    let since = SystemTime::now();
    // An heir goes on where the agent ended.
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    thread::sleep(WARM_UP);
    none_failed(&load.outcomes(), since);
    assert!(in_state(&gateway, node, "ejected").is_some(), "the heir knows of it");

    node.namespace.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
    answers_again(&mut gateway, node, load)
}

#[test]
fn a_node_that_answers_late_is_ejected_though_nobody_fails() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    if let Some(obstacle) = firewall::obstacle(LATE)? {
        println!("SKIP: no node can be late here: {obstacle}");
        return Ok(());
    }
    let (lab, mut gateway) = with_outlier_detection()?;
    let node = &lab.nodes[0];
    firewall::load(&node.namespace, LATE)?;
    let [target, _] = targets();
    let since = SystemTime::now();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    is_ejected(&mut gateway, node)?;
    let late = |outcome: &&Outcome| outcome.answer.as_ref() == Ok(&node.name);
    let outcomes = load.outcomes();
    println!("{} of {} requests were answered late", outcomes.iter().filter(late).count(), outcomes.len());
    // Those who were under way to it have their answers, and nobody meets it now.
    thread::sleep(ONE_RETRY);
    let before = load.count();
    thread::sleep(WARM_UP);
    let outcomes = load.outcomes();
    assert!(outcomes.len() > before && !outcomes[before..].iter().any(|one| late(&one)), "nobody meets it");

    firewall::load(&node.namespace, "delete table inet late")?;
    answers_again(&mut gateway, node, load)?;
    none_failed(&outcomes, since);
    Ok(())
}
