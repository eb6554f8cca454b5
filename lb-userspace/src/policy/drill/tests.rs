use std::collections::BTreeSet;
use std::time::Duration;

use lb_common::abi::{BackendCounters, Evidence};
use proptest::prelude::*;

use super::begin::Stage;
use super::*;
use crate::config::tests::world::{configured, example};
use crate::policy::memory::Memory;
use crate::policy::observed::{Health, Observed, Verdict};
use crate::policy::{decide, slices};

/// Two services of two clusters; a third is eu's alone.
const TEXT: &str = "
apiVersion: spillway/v1
clusterSet: {id: x, secretFile: hash.key}
gateway: {interfaces: [eth0], evidence: {}}
clusters: [{name: eu}, {name: us}, {name: ap, state: drained}]
services:
- {name: a/web, vips: [198.51.100.10], ports: [{port: 443}], pools: [eu, us], failoverPolicy: both}
- {name: a/api, vips: [198.51.100.11], ports: [{port: 443}], pools: [us, eu]}
- {name: a/own, vips: [198.51.100.12], ports: [{port: 443}], pools: [own]}
pools:
- {name: eu, cluster: eu, weight: 75, endpoints: [{address: 192.0.2.1}, {address: 192.0.2.2}], health: check, circuitBreaker: {}}
- {name: us, cluster: us, weight: 25, endpoints: [{address: 192.0.2.9}, {address: 192.0.2.10}], health: check}
- {name: own, cluster: eu, endpoints: [{address: 192.0.2.3}]}
healthChecks: [{name: check, type: tcp, port: 443}]
failoverPolicies: [{name: both, priorities: [[eu, us]]}]
";

struct World {
    config: Config,
    observed: Observed,
    opened: BTreeSet<String>,
}

impl World {
    fn new(text: &str) -> Self {
        let config = configured(text);
        Self { observed: Observed::all_well(&config), config, opened: BTreeSet::new() }
    }

    fn begin(&self, terms: &Terms, force: bool) -> Result<Drill, String> {
        let Self { config, observed, opened } = self;
        let stage = Stage { config, observed, memory: &Memory::default(), opened, now: 1_000, unix: 7 };
        stage.begin(Some("weekly"), terms, force)
    }

    fn fail(&mut self, pool: &str, last: u8) {
        let health = Health { verdict: Verdict::Down, reason: String::new(), changed_ms: 0 };
        self.observed.health.insert((pool.into(), [192, 0, 2, last].into()), health);
    }
}

fn terms(fail: &str, percent: u8) -> Terms {
    Terms {
        fail: fail.into(),
        percent,
        length: Duration::from_mins(1),
        abort_if: "failed_handshake_ratio > 0.1".parse().unwrap(),
        min_samples: 10,
    }
}

fn reading(completed: u64, retried: u64) -> Reading {
    let evidence = Evidence { completed, retried, ..Evidence::default() };
    Reading { counters: BackendCounters::default(), evidence }
}

/// A drill of us, for 60 s from 1 s on.
fn drill() -> Drill {
    World::new(TEXT).begin(&terms("us", 20), false).unwrap()
}

#[test]
fn it_knows_beforehand_what_moves() {
    let drill = drill();
    // A fifth of a quarter of 4,096 rows, of both services that have it.
    let moved: Vec<_> = drill.moved.iter().map(|(name, rows)| (name.as_str(), *rows)).collect();
    assert_eq!(moved, [("a/api", 205), ("a/web", 205)]);
    let world = World::new(TEXT);
    assert_eq!(drill.others(&world.config), BTreeSet::from(["eu"]));
    let slices = drill.slices(&world.config);
    assert_eq!(
        slices.iter().map(|(pool, out)| (pool.as_str(), out.percent)).collect::<Vec<_>>(),
        [("us", 20)]
    );
}

#[test]
fn it_does_not_begin_where_it_makes_no_sense_or_nobody_could_stand_in() {
    let world = World::new(TEXT);
    let refused = |world: &World, fail: &str, force| world.begin(&terms(fail, 1), force).unwrap_err();
    // Who is eu's alone has nobody else.
    let alone = refused(&world, "eu", false);
    assert!(alone.contains("a/own: without eu nobody is left") && alone.contains("--force"), "{alone}");
    assert!(world.begin(&terms("eu", 1), true).is_ok());
    for force in [false, true] {
        assert!(refused(&world, "uk", force).contains("cluster \"uk\""));
        assert!(refused(&world, "ap", force).contains("undrain it first"));
    }

    let mut blind = World::new(TEXT);
    blind.config.gateway.evidence = None;
    assert!(refused(&blind, "us", true).contains("gateway.evidence"));

    let mut empty = World::new(TEXT);
    empty.fail("us", 9);
    empty.fail("us", 10);
    assert!(refused(&empty, "us", true).contains("nothing to lose"), "{}", refused(&empty, "us", true));

    let mut weak = World::new(TEXT);
    weak.fail("eu", 1);
    let reason = refused(&weak, "us", false);
    assert!(reason.contains("a/web: without us what is left can take 70 %"), "{reason}");

    let mut open = World::new(TEXT);
    open.opened.insert("eu".into());
    assert!(refused(&open, "us", false).contains("breaker of pool eu"));
    assert!(open.begin(&terms("us", 1), true).is_ok());
}

#[test]
fn it_ends_after_its_time() {
    let mut drill = drill();
    assert!(!drill.look(&reading(500, 5), 60_999) && drill.runs());
    assert!(drill.look(&reading(600, 6), 61_000) && !drill.runs());
    let end = drill.end.clone().unwrap();
    assert_eq!((end.at, end.outcome, drill.found.samples), (61_000, Outcome::Done, 606));
    assert!(drill.slices(&World::new(TEXT).config).is_empty());
}

#[test]
fn it_ends_at_once_when_those_who_stand_in_do_badly() {
    let mut early = drill();
    assert!(!early.look(&reading(0, 9), 2_000), "of too few nothing is known");
    assert!(early.look(&reading(6, 4), 3_000));
    let end = early.end.unwrap();
    assert_eq!(end.outcome, Outcome::Aborted);
    assert_eq!(end.reason, "failed_handshake_ratio is 0.4 of 10 flows of the others");
}

#[test]
fn what_was_found_before_an_agent_died_stays_known() {
    let mut drill = drill();
    drill.look(&reading(90, 0), 2_000);
    let text = serde_json::to_string(&drill).unwrap();
    let mut heir: Drill = serde_json::from_str(&text).unwrap();
    assert_eq!(heir, drill);
    assert!(heir.look(&reading(3, 0), 70_000));
    assert_eq!(heir.found, Found { value: Some(0.0), samples: 90 });
}

#[test]
fn an_operator_ends_it() {
    let mut drill = drill();
    drill.stop("told by an operator", 5_000);
    assert_eq!(drill.end.unwrap().outcome, Outcome::Stopped);
}

#[test]
fn the_page_s_example_is_true() {
    let config = example("drill.yaml");
    let observed = Observed::all_well(&config);
    let stage = Stage {
        config: &config,
        observed: &observed,
        memory: &Memory::default(),
        opened: &BTreeSet::new(),
        now: 0,
        unix: 0,
    };
    let weekly = &config.drills[0];
    let drill = stage.begin(Some(&weekly.name), &weekly.terms, false).unwrap();
    assert_eq!(drill.moved.into_iter().collect::<Vec<_>>(), [("shop/web".to_owned(), 20)]);
}

proptest! {
    /// What it says beforehand is what the tables come to; and it takes nothing from anybody else.
    #[test]
    fn what_moves_is_what_was_said(percent in 1_u8..=100, fail in prop::sample::select(vec!["eu", "us"])) {
        let world = World::new(TEXT);
        let drill = world.begin(&terms(fail, percent), true).unwrap();
        let rows = |observed: &Observed| {
            let services = decide(&world.config, observed).services.into_iter();
            services.map(|service| (slices::rows(&service.shares), service)).collect::<Vec<_>>()
        };
        let before = rows(&world.observed);
        let after = rows(&Observed { kept_out: drill.slices(&world.config), ..world.observed.clone() });
        for ((before, service), (after, _)) in before.iter().zip(&after) {
            let Some(moved) = drill.moved.get(&service.name) else { continue };
            for ((before, after), share) in before.iter().zip(after).zip(&service.shares) {
                if share.cluster == fail {
                    prop_assert_eq!(before - after, *moved);
                } else {
                    prop_assert!(after >= before);
                }
            }
        }
    }
}
