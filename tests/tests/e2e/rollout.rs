//! Rollouts, with real requests: a good cluster gets all of them in steps, a bad one no more than the first step lets it have.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{Load, Server, TwoClusters, fetch, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{ONE_RETRY, balanced, none_failed, silence, targets};

const SENDERS: u16 = 32;
/// Requests per second.
const RATE: u32 = 400;
/// How long each state is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// Where a Prometheus listens.
const PROMETHEUS_PORT: u16 = 9090;
/// Rows of a cluster table.
const ROWS: f64 = 4096.0;

/// The lab, all of whose flows are eu-1's until the rollout begins.
fn stage(steps: &Value) -> Result<(TwoClusters, Gateway)> {
    let (lab, mut gateway) = balanced(|file| {
        file["gateway"] = json!({"evidence": {"oneIn": 1}});
        file["pools"][1]["weight"] = json!(0);
        file["rollouts"] =
            json!([{"name": "west", "service": "test/web", "from": "eu-1", "to": "us-1", "steps": steps}]);
        file["analyses"] = json!([{"name": "answers", "provider": "dataplane", "metric": "failed_handshake_ratio",
            "interval": "3s", "count": 2, "success": "< 0.1", "minSamples": 10}]);
    })?;
    let [target, _] = targets();
    gateway.until("an answer", |_| fetch(&lab.client, target, "/").ok())?;
    Ok((lab, gateway))
}

fn rollout(gateway: &Gateway) -> Option<Value> {
    gateway.ask(&["rollout", "status", "west"]).ok()?.as_array()?.first().cloned()
}

/// Waits until the rollout is in a phase and us-1 has exactly these rows.
fn comes_to(gateway: &mut Gateway, phase: &str, rows: f64) -> Result<Value> {
    gateway.until(&format!("{phase} with {rows} rows"), |gateway| {
        let services = gateway.ask(&["services"]).ok()?;
        let share = services[0]["pools"][1]["share"].as_f64()?;
        let exact = (share * ROWS - rows).abs() < f64::EPSILON * ROWS;
        rollout(gateway).filter(|rollout| exact && rollout["phase"] == phase)
    })
}

#[test]
fn a_good_cluster_gets_everything_step_by_step_whatever_happens_to_the_agent() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let steps = json!([{"setWeight": 10}, {"analysis": "answers"}, {"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]);
    let (lab, mut gateway) = stage(&steps)?;
    let [target, _] = targets();
    let started = SystemTime::now();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    comes_to(&mut gateway, "idle", 0.0)?;
    assert!(gateway.tell(&["rollout", "promote", "west"]).is_err(), "nobody started it");
    gateway.tell(&["rollout", "start", "west"])?;
    // 409.6 and 3,686.4: the larger remainder gets the row.
    comes_to(&mut gateway, "analysing", 410.0)?;
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    let paused = comes_to(&mut gateway, "paused", 2048.0)?;
    assert_eq!((&paused["step"], &paused["weight"]), (&json!(4), &json!(50)), "{paused}");
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    comes_to(&mut gateway, "paused", 2048.0)?;
    gateway.tell(&["rollout", "promote", "west"])?;
    comes_to(&mut gateway, "complete", 4096.0)?;
    let complete = SystemTime::now();
    gateway.kill()?;
    gateway.start(&lab.gateway)?;
    comes_to(&mut gateway, "complete", 4096.0)?;
    thread::sleep(WATCHED);
    let outcomes = load.finish();
    none_failed(&outcomes, started);
    let last = outcomes.iter().filter(|outcome| outcome.started > complete);
    let mut answers = last.filter_map(|outcome| outcome.answer.as_deref().ok()).peekable();
    assert!(answers.peek().is_some() && answers.all(|name| name.starts_with("us-1")), "all is us-1's");
    Ok(())
}

#[test]
fn a_cluster_that_drops_syns_gets_what_the_first_step_allows_and_then_nothing() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let steps = json!([{"setWeight": 10}, {"analysis": "answers"}, {"setWeight": 100}]);
    let (lab, mut gateway) = stage(&steps)?;
    lab.nodes.iter().filter(|node| node.cluster == "us-1").try_for_each(silence)?;
    let [target, _] = targets();
    let load = Load::patient(ONE_RETRY, &lab.client, target, SENDERS, RATE)?;
    thread::sleep(WATCHED);
    let started = SystemTime::now();
    gateway.tell(&["rollout", "start", "west"])?;
    comes_to(&mut gateway, "analysing", 410.0)?;
    let aborted = comes_to(&mut gateway, "aborted", 0.0)?;
    let back = SystemTime::now();
    let says = aborted["says"].as_str().context("words")?;
    assert!(
        says.contains("failed analysis answers") && says.contains("failed_handshake_ratio is "),
        "{says}"
    );
    assert_eq!((&aborted["weight"], &aborted["rehearsed"]), (&json!(0), &json!(true)));
    // Who was under way to it gives up.
    thread::sleep(ONE_RETRY);
    let quiet = SystemTime::now();
    thread::sleep(WATCHED);
    let outcomes = load.finish();
    let exposed: Vec<_> =
        outcomes.iter().filter(|outcome| outcome.started > started && outcome.started < back).collect();
    let met = exposed.iter().filter(|outcome| !outcome.is_ok()).count();
    println!(
        "{met} of {} requests met the bad cluster, in {:?}",
        exposed.len(),
        back.duration_since(started)?
    );
    assert!(met > 0 && exposed.len() > 100, "{met} of {}", exposed.len());
    assert!(is_at_most(met, exposed.len(), 10), "{met} of {}", exposed.len());
    none_failed(&outcomes, quiet);
    assert!(outcomes.iter().filter(|outcome| outcome.started < started).all(lb_tests::lab::Outcome::is_ok));
    Ok(())
}

/// No more than the share, but for chance: four standard deviations.
fn is_at_most(count: usize, of: usize, percent: usize) -> bool {
    let over = (100 * count).saturating_sub(of * percent);
    over.pow(2) <= 16 * of * percent * (100 - percent)
}

/// What a Prometheus answers to a query whose one sample is this.
fn sample(value: &str) -> String {
    let result = json!([{"metric": {}, "value": [1, value]}]);
    json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string()
}

/// The lab with a rollout that a Prometheus at the gateway is asked about.
fn asking_prometheus(adjust: impl FnOnce(&mut Value)) -> Result<(TwoClusters, Gateway)> {
    balanced(|file| {
        file["pools"][1]["weight"] = json!(0);
        file["rollouts"] = json!([{"name": "west", "service": "test/web", "from": "eu-1", "to": "us-1"}]);
        file["analyses"] = json!([{"name": "errors", "provider": "prometheus", "query": "sum(rate(errors[1m]))",
            "url": format!("http://127.0.0.1:{PROMETHEUS_PORT}"), "interval": "2s", "count": 2, "success": "< 0.1",
            "consecutiveErrorLimit": 100}]);
        adjust(file);
    })
}

#[test]
fn a_prometheus_that_says_good_leads_on_and_one_that_says_bad_leads_back() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = asking_prometheus(|file| {
        file["rollouts"][0]["steps"] = json!([{"setWeight": 10}, {"analysis": "errors"}, {"setWeight": 50},
            {"analysis": "errors"}, {"setWeight": 100}]);
    })?;
    let good = Server::start(&lab.gateway, &sample("0.01"), PROMETHEUS_PORT)?;
    gateway.tell(&["rollout", "start", "west"])?;
    comes_to(&mut gateway, "analysing", 410.0)?;
    comes_to(&mut gateway, "analysing", 2048.0)?;
    drop(good);
    let _bad = Server::start(&lab.gateway, &sample("0.5"), PROMETHEUS_PORT)?;
    let aborted = comes_to(&mut gateway, "aborted", 0.0)?;
    let says = aborted["says"].as_str().context("words")?;
    assert!(
        says.contains("failed analysis errors") && says.contains("the query is 0.5, to be < 0.1"),
        "{says}"
    );
    Ok(())
}

#[test]
fn a_prometheus_that_hangs_does_not_keep_a_rollout_beyond_its_deadline() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = asking_prometheus(|file| {
        let rollout = &mut file["rollouts"][0];
        rollout["steps"] = json!([{"setWeight": 10}, {"analysis": "errors"}, {"setWeight": 100}]);
        rollout["progressDeadline"] = json!("5s");
        file["analyses"][0]["timeout"] = json!("1m");
    })?;
    // The kernel takes the connection and the question, and nobody reads it.
    let hung = lab.gateway.enter(|| Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, PROMETHEUS_PORT))?))?;
    gateway.tell(&["rollout", "start", "west"])?;
    comes_to(&mut gateway, "analysing", 410.0)?;
    let aborted = comes_to(&mut gateway, "aborted", 0.0)?;
    let says = aborted["says"].as_str().context("words")?;
    assert!(says.contains("was not done within 5 s"), "{says}");
    // An answer that comes now, that there is none, is nobody's business.
    drop(hung);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(rollout(&gateway).context("it")?["phase"], "aborted");
    Ok(())
}
