//! Failback, with real requests and connections: a cluster that was lost comes back in steps, or when it is told to.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use lb_tests::lab::{Echo, Load, Talks, VIP_V4, is_root};
use serde_json::{Value, json};

use crate::failover::Stage;
use crate::http::{none_failed, targets};

/// Port of the service with long connections.
const PORT: u16 = 7;
const TALKS: usize = 40;
const PACE: Duration = Duration::from_millis(250);
const SENDERS: u16 = 8;
/// Requests per second.
const RATE: u32 = 200;

/// The lab with a policy's `failback`, and a service for long connections beside the other.
fn stage(failback: &Value) -> Result<Stage> {
    let mut stage = Stage::with(|file| {
        file["failoverPolicies"][0]["failback"] = failback.clone();
        let mut echo = file["services"][0].clone();
        (echo["name"], echo["ports"]) = (json!("test/echo"), json!([{"port": PORT}]));
        file["services"].as_array_mut().expect("a list").push(echo);
    })?;
    stage.settles([100, 0])?;
    Ok(stage)
}

/// eu-1 is lost, and found again.
fn lose_and_find(stage: &mut Stage) -> Result<()> {
    (0..2).try_for_each(|node| stage.kill(node))?;
    stage.settles([0, 100])?;
    (0..2).try_for_each(|node| stage.lab.nodes[node].revive())
}

/// The share of eu-1 in percent.
fn share(pools: &[Value; 2]) -> f64 {
    (pools[0]["share"].as_f64().unwrap_or(-1.0) * 100.0).round()
}

/// Adds the shares of eu-1 that are seen, each once, until one is at least this.
fn follow(stage: &mut Stage, until: f64, seen: &mut Vec<f64>) -> Result<()> {
    stage.gateway.until("the next step", |gateway| {
        let share = share(&Stage::pools(gateway)?);
        if seen.last() != Some(&share) {
            seen.push(share);
        }
        (share >= until).then_some(())
    })
}

#[test]
fn a_lost_cluster_comes_back_in_steps_and_a_restart_skips_none() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = stage(&json!({"holdDown": "2s", "stepPercent": 25}))?;
    let servers = stage.lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, PORT));
    let _servers = servers.collect::<Result<Vec<_>>>()?;
    (0..2).try_for_each(|node| stage.kill(node))?;
    stage.settles([0, 100])?;
    let talks = Talks::start(&stage.lab.client, &[SocketAddr::new(VIP_V4.into(), PORT)], TALKS, PACE)?;
    let heard = || talks.all().iter().all(|talk| talk.answers > 0).then_some(());
    stage.gateway.until("answers", |_| heard())?;
    let (started, [target, _]) = (SystemTime::now(), targets());
    let load = Load::start(&stage.lab.client, target, SENDERS, RATE)?;

    (0..2).try_for_each(|node| stage.lab.nodes[node].revive())?;
    // One node is found up before the other.
    let held = stage.gateway.until("eu-1 being held", |gateway| {
        Some(Stage::pools(gateway)?[0]["held"].clone()).filter(|held| held["health"] == 100)
    })?;
    assert_eq!(held["perceived"], 0);
    assert!(held["nextStep"].as_u64().is_some_and(|left| left <= 2), "{held}");
    let mut seen = vec![0.0];
    follow(&mut stage, 50.0, &mut seen)?;
    stage.gateway.kill()?;
    stage.gateway.start(&stage.lab.gateway)?;
    assert_eq!(stage.gateway.ask(&["status"])?["adopted"], true);
    follow(&mut stage, 100.0, &mut seen)?;
    assert_eq!(seen, [0.0, 25.0, 50.0, 75.0, 100.0]);
    assert!(stage.divides([100, 0])?.iter().all(|pool| pool["held"].is_null()));

    let outcomes = load.finish();
    none_failed(&outcomes, started);
    let clusters = |name: &str| {
        let answers = outcomes.iter().filter_map(|outcome| outcome.answer.as_deref().ok());
        answers.filter(|answer| answer.starts_with(name)).count()
    };
    println!("{} requests in eu-1, {} in us-1", clusters("eu-1"), clusters("us-1"));
    assert!(clusters("eu-1") > 0 && clusters("us-1") > 0);
    let talks = talks.finish();
    let whole = talks.iter().filter(|talk| talk.broken.is_none() && talk.node.starts_with("us-1"));
    assert_eq!(whole.count(), TALKS, "connections stay where they are: {talks:?}");
    Ok(())
}

#[test]
fn by_hand_a_cluster_comes_back_when_it_is_told_or_needed() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = stage(&json!({"mode": "manual"}))?;
    let is_held =
        |pools: &[Value; 2]| pools[0]["held"] == json!({"health": 100, "perceived": 0, "nextStep": null});
    let waits = |stage: &mut Stage| {
        stage.gateway.until("eu-1 waiting", |gateway| Stage::pools(gateway).filter(is_held))
    };
    lose_and_find(&mut stage)?;
    let pools = waits(&mut stage)?;
    assert!(share(&pools) < 1.0, "{pools:?}");
    assert_eq!(stage.gateway.ask(&["clusters"])?[0]["held"]["nextStep"], json!(null));
    assert!(stage.gateway.tell(&["failback", "cluster", "eu-2"]).is_err(), "there is no such cluster");
    stage.gateway.tell(&["failback", "cluster", "eu-1"])?;
    assert!(stage.settles([100, 0])?.iter().all(|pool| pool["held"].is_null()));

    lose_and_find(&mut stage)?;
    waits(&mut stage)?;
    (2..4).try_for_each(|node| stage.kill(node))?;
    let pools = stage.settles([100, 0])?;
    assert!(is_held(&pools), "needed, not released: {pools:?}");
    Ok(())
}
