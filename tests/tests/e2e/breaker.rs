//! A cluster whose clients get nothing from it, where checks see nothing, is taken out as a whole.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use lb_tests::lab::{Load, TwoClusters, VIP_V4, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{ONE_RETRY, balanced, none_failed, targets};

const SENDERS: u16 = 32;
/// Requests per second.
const RATE: u32 = 400;
/// In which many requests are sent.
const A_WHILE: Duration = Duration::from_secs(2);

/// How many percent of the hash space the first cluster is kept out of; `Some(0)`: of nothing.
fn kept_out(gateway: &Gateway) -> Option<u64> {
    let clusters = gateway.ask(&["clusters"]).ok()?;
    let slice = &clusters[0]["keptOut"];
    if slice.is_null() { Some(0) } else { slice["percent"].as_u64() }
}

fn until(gateway: &mut Gateway, what: &str, percent: u64) -> Result<()> {
    gateway.until(what, |gateway| kept_out(gateway).filter(|now| *now == percent)).map(drop)
}

/// Nodes of the first cluster answer the VIP, or do not.
fn answer(lab: &TwoClusters, word: &str) -> Result<()> {
    lab.nodes[..2]
        .iter()
        .try_for_each(|node| node.namespace.ip(&format!("address {word} {VIP_V4}/32 dev lo")))
}

#[test]
fn a_cluster_that_answers_nobody_is_taken_out_and_let_in_by_a_slice() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let rules = json!({"interval": "2s", "minVolume": 20, "openFor": "10s", "halfOpenPercent": 10});
    let (lab, mut gateway) = balanced(|file| {
        file["gateway"] = json!({"evidence": {"oneIn": 1}});
        let pools = file["pools"].as_array_mut().into_iter().flatten();
        pools.for_each(|pool: &mut Value| pool["circuitBreaker"] = rules.clone());
    })?;
    let [target, _] = targets();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    answer(&lab, "del")?;
    until(&mut gateway, "the breaker's opening", 100)?;
    // The tables follow upon what the record says; who was under way has given up then.
    thread::sleep(ONE_RETRY);
    let since = SystemTime::now();
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    thread::sleep(A_WHILE);
    none_failed(&load.outcomes(), since);
    assert_eq!(kept_out(&gateway), Some(100), "the heir knows of it");

    answer(&lab, "add")?;
    until(&mut gateway, "a try", 90)?;
    until(&mut gateway, "the breaker's closing", 0)?;
    thread::sleep(A_WHILE);
    let outcomes = load.finish();
    none_failed(&outcomes, since);
    let is_first = |answer: &String| lab.nodes[..2].iter().any(|node| node.name == *answer);
    let answers =
        outcomes.iter().filter(|one| one.started > since).filter_map(|one| one.answer.as_ref().ok());
    assert!(answers.filter(|answer| is_first(answer)).count() > 0, "it answers again");
    Ok(())
}
