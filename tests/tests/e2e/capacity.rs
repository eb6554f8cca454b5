//! Capacity spill, with real requests: what a cluster has no room for goes to the next, stays there while demand is steady,
//! and comes back.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{EventKind, Load, Outcome, is_root};
use serde_json::{Value, json};

use crate::failover::Stage;
use crate::http::{none_failed, targets};

const SENDERS: u16 = 32;
/// New connections per second that eu-1 can take, of which 160 are wanted.
const CAPACITY: u32 = 200;
/// Requests per second: what fits, and what does not.
const QUIET: u32 = 60;
const BUSY: u32 = 300;
/// For an answer: a machine with other things to do may be slow to begin one, and lose none.
const PATIENCE: Duration = Duration::from_millis(1800);
/// How long demand is measured, and a bit.
const WINDOW: Duration = Duration::from_secs(12);
/// How long steady demand is watched.
const STEADY: Duration = Duration::from_secs(20);

/// The percent of the service's flows that eu-1 is to get.
fn ceiling(pools: &[Value; 2]) -> Option<u64> {
    pools[0]["ceiling"].as_u64()
}

fn applied(stage: &Stage) -> usize {
    stage.gateway.events().iter().filter(|event| event.kind == EventKind::Applied).count()
}

fn all_answered(outcomes: &[Outcome]) {
    none_failed(outcomes, SystemTime::UNIX_EPOCH);
}

/// Percent of these requests that eu-1 answered.
fn near(outcomes: &[Outcome]) -> f64 {
    let (mut near, mut all) = (0.0, 0.0);
    for name in outcomes.iter().filter_map(|outcome| outcome.answer.as_deref().ok()) {
        all += 1.0;
        near += if name.starts_with("eu-1") { 100.0 } else { 0.0 };
    }
    near / all
}

#[test]
fn what_a_cluster_has_no_room_for_goes_on_without_flapping_and_comes_back() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::with(|file| {
        file["gateway"] = json!({"evidence": {"oneIn": 1}});
        file["clusters"][0]["capacity"] = json!({"newConnPerSec": CAPACITY});
        file["failoverPolicies"][0]["spill"] = json!({"mode": "both"});
    })?;
    stage.settles([100, 0])?;
    let [target, _] = targets();
    let load = Load::patient(PATIENCE, &stage.lab.client, target, SENDERS, BUSY)?;
    stage.gateway.until("a spill", |gateway| ceiling(&Stage::pools(gateway)?))?;
    thread::sleep(WINDOW);

    let (changes, before) = (applied(&stage), load.count());
    thread::sleep(STEADY);
    let during = load.outcomes().split_off(before);
    let rate = f64::from(u32::try_from(during.len())?) / STEADY.as_secs_f64();
    let pools = Stage::pools(&stage.gateway).context("pools")?;
    let (said, wanted) = (ceiling(&pools).context("a ceiling")?, 160.0 * 100.0 / rate);
    let clusters = stage.gateway.ask(&["clusters"])?;
    println!("{rate:.0} requests a second: {wanted:.0} % wanted, {said} % said, {:.0} % seen", near(&during));
    println!("{}", clusters[0]["demand"]);
    // The hysteresis, and what ten seconds are off by.
    let (least, most) = (wanted * 0.85, wanted * 1.15);
    let said = f64::from(u32::try_from(said)?);
    assert!((least..most).contains(&said), "{said}");
    assert!((near(&during) - said).abs() < 3.0, "{} seen", near(&during));
    assert!(applied(&stage) <= changes + 1, "tables changed {} times", applied(&stage) - changes);
    assert_eq!(clusters[0]["capacity"], CAPACITY);
    assert!(clusters[0]["utilization"].as_f64().is_some_and(|part| (0.5..1.0).contains(&part)), "{clusters}");

    stage.gateway.kill()?;
    stage.gateway.start(&stage.lab.gateway)?;
    thread::sleep(WINDOW);
    let kept = ceiling(&Stage::pools(&stage.gateway).context("pools")?).context("kept")?;
    assert!((least..most).contains(&f64::from(u32::try_from(kept)?)), "{kept} after the restart");
    all_answered(&load.finish());

    let load = Load::patient(PATIENCE, &stage.lab.client, target, SENDERS, QUIET)?;
    let pools = stage.divides([100, 0])?;
    assert_eq!(ceiling(&pools), None);
    let before = load.count();
    thread::sleep(Duration::from_secs(2));
    let outcomes = load.finish();
    assert!((near(&outcomes[before..]) - 100.0).abs() < 5.0, "all of it comes back");
    all_answered(&outcomes);
    Ok(())
}
