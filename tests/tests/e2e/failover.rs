//! Failover between clusters, with real requests: shares are what the formulas say, to the row.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use lb_tests::lab::{Load, Outcome, TwoClusters, fetch, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{balanced, none_failed, targets};
use crate::via_gateway::is_share;

const SENDERS: u16 = 16;
/// Requests per second.
const RATE: u32 = 1000;
/// How long each state is watched.
const WATCHED: Duration = Duration::from_secs(4);
/// Requests of which four standard deviations of a share of 70 % are less than 1 %, and how long they may take.
const MANY: usize = 36_000;
const AT_MOST: Duration = Duration::from_secs(150);
/// A row of a cluster table.
const ROW: f64 = 1.0 / 4096.0;

/// The lab, whose service prefers eu-1.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    // Dropped last: the agent lives in it.
    pub(crate) lab: TwoClusters,
}

impl Stage {
    fn new() -> Result<Self> {
        Self::with(|_| {})
    }

    /// With a configuration that says something else as well.
    pub(crate) fn with(edit: impl FnOnce(&mut Value)) -> Result<Self> {
        let (lab, gateway) = balanced(|file| {
            file["services"][0]["failoverPolicy"] = json!("near");
            file["failoverPolicies"] = json!([{"name": "near", "priorities": [["eu-1"], ["us-1"]]}]);
            edit(file);
        })?;
        Ok(Self { gateway, lab })
    }

    /// The service's pools, as the kernel has them.
    pub(crate) fn pools(gateway: &Gateway) -> Option<[Value; 2]> {
        let services = gateway.ask(&["services"]).ok()?;
        <[Value; 2]>::try_from(services[0]["pools"].as_array()?.clone()).ok()
    }

    /// Waits for shares in percent. They are the tables', which follow upon what the pools say of themselves.
    pub(crate) fn divides(&mut self, percents: [u32; 2]) -> Result<[Value; 2]> {
        self.gateway.until(&format!("shares of {percents:?}"), |gateway| {
            let pools = Self::pools(gateway)?;
            let mut shares = pools.iter().zip(percents);
            let exact = |(pool, percent): (&Value, u32)| {
                let share = pool["share"].as_f64().unwrap_or(-1.0);
                (share - f64::from(percent) / 100.0).abs() < ROW
            };
            shares.all(exact).then_some(pools)
        })
    }

    /// The same, and until requests are answered by them.
    pub(crate) fn settles(&mut self, percents: [u32; 2]) -> Result<[Value; 2]> {
        let pools = self.divides(percents)?;
        let [target, _] = targets();
        self.gateway.until("an answer", |_| fetch(&self.lab.client, target, "/").ok())?;
        Ok(pools)
    }

    /// Who answers requests of a while: how many, and how many of them in eu-1.
    fn watch(&self) -> Result<(usize, usize)> {
        let [target, _] = targets();
        let started = SystemTime::now();
        let load = Load::start(&self.lab.client, target, SENDERS, RATE)?;
        thread::sleep(WATCHED);
        Ok(tally(&load.finish(), started))
    }

    /// The same of many requests, by both families: a client has not so many ports.
    fn watch_many(&self) -> Result<(usize, usize)> {
        let (started, begun) = (SystemTime::now(), Instant::now());
        let loads = targets().map(|target| Load::start(&self.lab.client, target, SENDERS, 4 * RATE));
        let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
        while loads.iter().map(Load::count).sum::<usize>() < MANY && begun.elapsed() < AT_MOST {
            thread::sleep(Duration::from_millis(100));
        }
        let outcomes: Vec<_> = loads.into_iter().flat_map(Load::finish).collect();
        println!("{} requests in {:?}", outcomes.len(), begun.elapsed());
        Ok(tally(&outcomes, started))
    }

    pub(crate) fn kill(&mut self, node: usize) -> Result<()> {
        self.lab.nodes.get_mut(node).context("there is such a node")?.kill()
    }
}

/// How many requests, none of which may have failed, and how many of them in eu-1.
fn tally(outcomes: &[Outcome], started: SystemTime) -> (usize, usize) {
    none_failed(outcomes, started);
    let answers = outcomes.iter().filter_map(|outcome| outcome.answer.as_deref().ok());
    (outcomes.len(), answers.filter(|name| name.starts_with("eu-1")).count())
}

#[test]
fn a_cluster_that_degrades_spills_what_the_formula_says_and_gets_it_back() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    let pools = stage.settles([100, 0])?;
    assert_eq!(pools.map(|pool| pool["priority"].clone()), [json!(0), json!(1)]);
    let (all, near) = stage.watch()?;
    assert_eq!(all, near, "the other cluster stands by");

    stage.kill(0)?;
    // One of two, each of which can take 140 % of its part.
    stage.settles([70, 30])?;
    plans_from_there(&stage.gateway)?;
    let (all, near) = stage.watch_many()?;
    println!("{near} of {all} requests in eu-1, {} of 10,000", near * 10_000 / all);
    assert!(is_share(near, all, 70), "{near} of {all}");
    assert!(all >= MANY && (100 * near).abs_diff(70 * all) <= all, "{near} of {all}: within 1 %");

    stage.lab.nodes[0].revive()?;
    stage.settles([100, 0])?;
    stage.kill(0)?;
    stage.kill(1)?;
    let pools = stage.settles([0, 100])?;
    assert!(pools.iter().all(|pool| pool["panic"] == false), "the others can take it all");
    let (all, near) = stage.watch()?;
    assert_eq!((all > 1000, near), (true, 0), "{all} requests");
    Ok(())
}

/// A plan begins with what is so at present: a dead node, and shares that follow from it.
fn plans_from_there(gateway: &Gateway) -> Result<()> {
    let file = gateway.config().display().to_string();
    let plan = |changes: &[&str]| gateway.ask(&[&["plan", "--config", &file, "--live"], changes].concat());
    let parts = |plan: &Value, when: &str| {
        let pools = plan["services"][0]["pools"].as_array().map(Vec::as_slice).unwrap_or_default();
        pools.iter().map(|pool| (pool[when].as_f64().unwrap_or(-1.0) * 100.0).round()).collect::<Vec<_>>()
    };
    let still = plan(&[])?;
    assert_eq!([parts(&still, "before"), parts(&still, "after")], [[70.0, 30.0], [70.0, 30.0]], "{still}");
    assert_eq!(still["services"][0]["flows"]["moved"], json!(0.0), "{still}");
    let failed = plan(&["--fail", "us-1"])?;
    assert_eq!([parts(&failed, "before"), parts(&failed, "after")], [[70.0, 30.0], [100.0, 0.0]], "{failed}");
    let other = gateway.work().path().join("other.yaml");
    fs::write(&other, format!("{}\n# another\n", fs::read_to_string(gateway.config())?))?;
    let refused = gateway.ask(&["plan", "--config", &other.display().to_string(), "--live"]);
    let refused = refused.expect_err("the agent does not run that file").to_string();
    assert!(refused.contains("the agent serves configuration"), "{refused}");
    Ok(())
}

#[test]
fn in_panic_the_dead_are_used_too() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    stage.settles([100, 0])?;
    (0..4).try_for_each(|node| stage.kill(node))?;
    let pools = stage.divides([50, 50])?;
    assert!(pools.iter().all(|pool| pool["panic"] == true), "by size: {pools:?}");
    // What is up again is found so, though all were used all the time.
    (0..4).try_for_each(|node| stage.lab.nodes[node].revive())?;
    let pools = stage.settles([100, 0])?;
    assert!(pools.iter().all(|pool| pool["panic"] == false), "{pools:?}");
    Ok(())
}
