use std::time::UNIX_EPOCH;

use super::super::plan::{example_members, sites};
use super::*;

fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1000) + Duration::from_millis(ms)
}

fn answered(by: &str, count: usize) -> Vec<Outcome> {
    vec![Outcome { started: at(0), answer: Ok(by.to_owned()) }; count]
}

fn failed(ms: u64) -> Outcome {
    Outcome { started: at(ms), answer: Err("timeout".to_owned()) }
}

fn as_expected() -> Vec<Outcome> {
    [answered("eu-1-a", 175), answered("eu-1-b", 525), answered("us-1-a", 300)].concat()
}

fn report(undisturbed: &[Outcome], later: &[Outcome]) -> Report {
    let times = Times { broken: at(10_000), verdict: at(10_600), switched: at(10_602) };
    let all = [undisturbed, later].concat();
    let fault = Fault::new("node", "eu-1-a", times, &all);
    let back = Window { from: at(20_000), to: at(20_500) };
    Report::new((&sites(), &example_members()), undisturbed, &all, vec![fault], &[back])
}

#[test]
fn exact_shares_are_no_problem() {
    let report = report(&as_expected(), &[]);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.nodes["eu-1-b"], Part { requests: 525, share: 0.525, expected_share: 0.525 });
    assert_eq!(report.clusters["eu-1"].requests, 700);
}

#[test]
fn a_share_beyond_chance_is_a_problem() {
    let lopsided = [answered("eu-1-a", 275), answered("eu-1-b", 425), answered("us-1-a", 300)].concat();
    assert_eq!(report(&lopsided, &[]).problems.len(), 2);
    let dead = [answered("eu-1-a", 250), answered("eu-1-b", 750)].concat();
    assert!(report(&dead, &[]).problems.iter().any(|problem| problem.starts_with("us-1 got 0.0 %")));
}

#[test]
fn an_early_failure_is_a_problem() {
    let outcomes = [as_expected(), vec![failed(5)]].concat();
    assert_eq!(report(&outcomes, &[]).problems, ["1 requests failed before anything was broken"]);
}

#[test]
fn failures_are_excused_from_the_fault_to_the_switch_and_at_the_return() {
    let excused = [failed(9_000), failed(10_100), failed(10_602), failed(20_100)];
    let report = report(&as_expected(), &excused);
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.requests, report.failed, report.faults[0].failed_requests), (1004, 4, 3));
}

#[test]
fn a_failure_after_the_switch_is_a_problem() {
    let report = report(&as_expected(), &[failed(10_603)]);
    assert_eq!(report.problems, ["1 requests failed outside of the faults, the first: timeout"]);
}

#[test]
fn a_broken_connection_is_a_problem_and_of_a_gateway_the_json_counts_them() {
    let times = Times { broken: at(10_000), verdict: at(10_200), switched: at(10_202) };
    let broken = Talk { broken: Some("reset".to_owned()), ..Talk::default() };
    let lost = |talks: &[Talk]| Fault::new("gateway", "gateway-1", times, &[]).with(Live::new(talks));
    let problems = |talks: &[Talk]| {
        let fault = lost(talks);
        Report::new((&sites(), &example_members()), &as_expected(), &as_expected(), vec![fault], &[]).problems
    };
    let whole = Talk::default();
    assert_eq!(problems(&[whole.clone(), whole.clone()]), Vec::<String>::new());
    assert_eq!(
        problems(&[whole.clone(), broken.clone()]),
        ["1 of 2 connections broke as gateway gateway-1 was lost"]
    );
    let expected = serde_json::json!({
        "kind": "gateway", "target": "gateway-1", "detectedMs": 200.0, "switchedMs": 2.0, "failedRequests": 0,
        "connections": 2, "brokenConnections": 1,
    });
    assert_eq!(serde_json::to_value(lost(&[whole, broken])).unwrap(), expected);
}

#[test]
fn the_json_has_the_documented_keys() {
    let report = report(&as_expected(), &[failed(10_100)]);
    let value = serde_json::to_value(&report).unwrap();
    let expected = serde_json::json!({
        "requests": 1001, "ok": 1000, "failed": 1,
        "clusters": {
            "eu-1": {"requests": 700, "share": 0.7, "expectedShare": 0.7},
            "us-1": {"requests": 300, "share": 0.3, "expectedShare": 0.3},
        },
        "nodes": {
            "eu-1-a": {"requests": 175, "share": 0.175, "expectedShare": 0.175},
            "eu-1-b": {"requests": 525, "share": 0.525, "expectedShare": 0.525},
            "us-1-a": {"requests": 300, "share": 0.3, "expectedShare": 0.3},
        },
        "faults": [{"kind": "node", "target": "eu-1-a", "detectedMs": 600.0, "switchedMs": 2.0, "failedRequests": 1}],
    });
    assert_eq!(value, expected);
}
