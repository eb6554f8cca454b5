//! What clients' own packets say about nodes, where checks see nothing.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{Load, TwoClusters, VIP_V4, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{address, balanced, failures, targets};

const SENDERS: u16 = 32;
/// Requests per second.
const RATE: u32 = 400;
/// Until a SYN has come again, which takes a second, and not twice.
const PATIENCE: Duration = Duration::from_millis(1800);
/// Longer than it takes until a SYN comes again.
const WARM_UP: Duration = Duration::from_secs(2);

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
    lab.nodes[0].namespace.ip(&format!("address del {VIP_V4}/32 dev lo"))?;
    let silent = address(&lab.nodes[0]).to_string();
    let [target, _] = targets();
    let load = Load::patient(PATIENCE, &lab.client, target, SENDERS, RATE)?;
    thread::sleep(WARM_UP);
    let before = load.count();
    let rates = gateway.ask(&["rates", "--over", "4"])?;
    let answered = load.count() - before;
    load.finish();

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
    // Each request is a connection of its own. Both are counted over four seconds, and not quite the same ones.
    let requests = f64::from(u32::try_from(answered)?);
    assert!((0.7 * requests..1.3 * requests).contains(&completed), "{completed} handshakes of {requests}");
    let clusters = rates["clusters"].as_array().context("clusters")?;
    let begun: f64 = clusters.iter().map(|cluster| number(cluster, "newFlowsPerSec")).sum();
    assert!(begun * 4.0 >= completed, "{begun} flows a second began");
    let states = gateway.ask(&["backends"])?;
    let state = states.as_array().and_then(|all| all.iter().find(|one| one["address"] == silent));
    assert_eq!(state.map(|one| &one["state"]), Some(&json!("up")), "its check passes");
    Ok(())
}

#[test]
fn a_node_that_drops_syns_is_ejected_and_comes_back() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let rules =
        json!({"consecutiveFailures": 3, "interval": "2s", "baseEjection": "10s", "maxEjectionPercent": 50});
    let (lab, mut gateway) = stage(|file| {
        for pool in file["pools"].as_array_mut().into_iter().flatten() {
            pool["outlier"] = rules.clone();
        }
    })?;
    lab.nodes[0].namespace.ip(&format!("address del {VIP_V4}/32 dev lo"))?;
    let silent = address(&lab.nodes[0]).to_string();
    let state = |gateway: &Gateway, wanted: &str| {
        let backends = gateway.ask(&["backends"]).ok()?;
        let mut all = backends.as_array()?.iter();
        all.find(|one| one["address"] == silent && one["state"] == wanted).cloned()
    };
    let [target, _] = targets();
    let load = Load::patient(PATIENCE, &lab.client, target, SENDERS, RATE)?;
    let ejected = gateway.until("its ejection", |gateway| {
        // The tables follow upon what the record says.
        state(gateway, "ejected").filter(|backend| backend["rows"] == 0)
    })?;
    let reason = ejected["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("ejected: ") && reason.ends_with("handshakes in a row failed"), "{reason}");
    assert_eq!(ejected["serving"], true, "what it has it keeps");
    let clusters = gateway.ask(&["clusters"])?;
    assert_eq!((&clusters[0]["ejected"], &clusters[0]["healthy"]), (&json!(1), &json!(1)));

    // Nobody meets it now; those who were under way to it have given up.
    thread::sleep(PATIENCE);
    let since = SystemTime::now();
    // An heir goes on where the agent ended.
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    thread::sleep(WARM_UP);
    let failed = load.outcomes();
    let failed = failures(&failed, since);
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    assert!(state(&gateway, "ejected").is_some(), "the heir knows of it");

    lab.nodes[0].namespace.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
    gateway.until("its return", |gateway| state(gateway, "up").or_else(|| state(gateway, "unknown")))?;
    let since = SystemTime::now();
    thread::sleep(WARM_UP);
    let outcomes = load.finish();
    let failed = failures(&outcomes, since);
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    let name = &lab.nodes[0].name;
    let again = outcomes.iter().filter(|outcome| outcome.started > since);
    assert!(again.filter(|outcome| outcome.answer.as_ref() == Ok(name)).count() > 0, "it answers again");
    Ok(())
}
