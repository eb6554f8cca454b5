//! A cluster is lost on purpose for a part of the clients, with real requests.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{Load, TwoClusters, fetch, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{ONE_RETRY, balanced, none_failed, silence, targets};

const SENDERS: u16 = 32;
/// Requests per second.
const RATE: u32 = 400;
/// A row of a cluster table.
const ROW: f64 = 1.0 / 4096.0;

fn stage() -> Result<(TwoClusters, Gateway)> {
    let (lab, mut gateway) = balanced(|file| {
        file["gateway"] = json!({"evidence": {"oneIn": 1}});
        file["drills"] = json!([{"name": "quarter", "fail": "us-1", "hashSlicePercent": 25, "for": "8s",
            "abortIf": "failed_handshake_ratio > 0.2", "minSamples": 50}]);
    })?;
    let [target, _] = targets();
    gateway.until("an answer", |_| fetch(&lab.client, target, "/").ok())?;
    Ok((lab, gateway))
}

/// The last drill.
fn last(gateway: &Gateway) -> Option<Value> {
    gateway.ask(&["drill", "status"]).ok().map(|view| view["last"].clone())
}

/// Waits until a drill is in a state and us-1 has this part of the flows, to the row.
fn comes_to(gateway: &mut Gateway, state: &str, share: f64) -> Result<Value> {
    gateway.until(&format!("{state}, with a share of {share}"), |gateway| {
        let services = gateway.ask(&["services"]).ok()?;
        let exact = (services[0]["pools"][1]["share"].as_f64()? - share).abs() < ROW;
        last(gateway).filter(|drill| exact && drill["state"] == state)
    })
}

#[test]
fn a_part_of_the_clients_lose_a_cluster_for_a_while_and_notice_nothing() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = stage()?;
    let [target, _] = targets();
    let started = SystemTime::now();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    gateway.tell(&["drill", "run", "quarter"])?;
    // A quarter of the half that it has.
    let running = comes_to(&mut gateway, "running", 0.375)?;
    assert_eq!(running["services"], json!([{"name": "test/web", "rows": 512}]), "{running}");
    let again = gateway.tell(&["drill", "run", "--fail", "eu-1", "--force"]).unwrap_err().to_string();
    assert!(again.contains("drill quarter runs"), "{again}");
    // It ends at its time, whatever becomes of the agent.
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    let done = comes_to(&mut gateway, "done", 0.5)?;
    assert!(done["seconds"].as_u64().is_some_and(|seconds| (8..30).contains(&seconds)), "{done}");
    assert!(done["samples"].as_u64().is_some_and(|samples| samples >= 50), "{done}");
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    assert_eq!(last(&gateway).context("a report")?["says"], done["says"], "the report outlives the agent");
    let outcomes = load.finish();
    none_failed(&outcomes, started);
    Ok(())
}

#[test]
fn it_ends_by_itself_when_those_who_stand_in_fail() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = stage()?;
    let [target, _] = targets();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    let terms =
        ["--fail", "us-1", "--slice", "50", "--for", "1m", "--abort-if", "failed_handshake_ratio > 0.2"];
    gateway.tell(&[&["drill", "run"], &terms[..]].concat())?;
    comes_to(&mut gateway, "running", 0.25)?;
    lab.nodes.iter().filter(|node| node.cluster == "eu-1").try_for_each(silence)?;
    let aborted = comes_to(&mut gateway, "aborted", 0.5)?;
    let says = aborted["says"].as_str().context("words")?;
    assert!(says.contains("failed_handshake_ratio is "), "{says}");
    assert!(aborted["seconds"].as_u64().is_some_and(|seconds| seconds < 50), "{aborted}");
    load.finish();
    // One that an operator stops.
    gateway.tell(&["drill", "run", "quarter", "--force"])?;
    comes_to(&mut gateway, "running", 0.375)?;
    thread::sleep(Duration::from_secs(1));
    gateway.tell(&["drill", "stop"])?;
    comes_to(&mut gateway, "stopped", 0.5)?;
    Ok(())
}
