use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::config::model::Config;
use crate::config::tests::world::{configured, example};
use crate::policy::decide;
use crate::policy::observed::{Health, Observed, Verdict};

const POOLS: [&str; 3] = ["ap", "eu", "us"];
const WEIGHTS: [u16; 3] = [10, 60, 30];

/// A service over three clusters of four endpoints; `policy`: its failover policy, if it is to have one.
fn config(policy: Option<&str>) -> Config {
    let clusters = POOLS.map(|name| format!("- {{name: {name}}}\n")).concat();
    let pool = |(number, (name, weight)): (usize, (&&str, &u16))| {
        let endpoints: Vec<_> = (1..=4).map(|last| format!("{{address: 10.0.{number}.{last}}}")).collect();
        format!(
            "- {{name: {name}, cluster: {name}, weight: {weight}, rows: 256, health: up, endpoints: [{}]}}\n",
            endpoints.join(", ")
        )
    };
    let pools = POOLS.iter().zip(&WEIGHTS).enumerate().map(pool).collect::<Vec<_>>().concat();
    let (named, policies) = match policy {
        Some(order) => (", failoverPolicy: p", format!("failoverPolicies: [{{name: p, {order}}}]\n")),
        None => ("", String::new()),
    };
    configured(&format!(
        "apiVersion: spillway/v1
clusterSet: {{id: t, secretFile: hash.key}}
gateway: {{interfaces: [eth0]}}
clusters:
{clusters}services:
- {{name: a/b, vips: [198.51.100.10], ports: [{{port: 443}}], pools: [ap, eu, us]{named}}}
pools:
{pools}{policies}healthChecks: [{{name: up, type: tcp, port: 443}}]
"
    ))
}

/// In these groups, eu before us before ap; or all at once.
const ORDERS: [Option<&str>; 3] =
    [None, Some("priorities: [[eu], [us], [ap]]"), Some("priorities: [[eu, us, ap]], panicThreshold: 0")];

/// With each of them: a configuration takes longer to read than a decision.
static CONFIGS: LazyLock<[Config; 3]> = LazyLock::new(|| ORDERS.map(config));

/// A world in which so many endpoints of each pool are down.
fn observed(config: &Config, down: [usize; 3]) -> Observed {
    let mut observed = Observed::all_well(config);
    for (pool, down) in config.pools.iter().zip(down) {
        for endpoint in pool.endpoints.iter().take(down) {
            let health = Health { verdict: Verdict::Down, reason: String::new(), changed_ms: 0 };
            observed.health.insert((pool.name.clone(), endpoint.address), health);
        }
    }
    observed
}

fn keep_out(observed: &Observed, percents: [u8; 3]) -> Observed {
    let slice =
        |(pool, percent): (&&str, u8)| ((*pool).to_owned(), KeptOut { percent, reason: "told".to_owned() });
    let kept_out = POOLS.iter().zip(percents).map(slice).collect();
    Observed { kept_out, ..observed.clone() }
}

fn decided(config: &Config, observed: &Observed) -> Vec<Share> {
    decide(config, observed).services.swap_remove(0).shares
}

/// Rows of each pool.
fn of(config: &Config, observed: &Observed, percents: [u8; 3]) -> Vec<u32> {
    rows(&decided(config, &keep_out(observed, percents)))
}

#[test]
fn a_slice_of_what_stands_first_goes_to_the_next() {
    let config = config(ORDERS[1]);
    let all_up = observed(&config, [0; 3]);
    assert_eq!(of(&config, &all_up, [0, 25, 0]), [0, 3072, 1024]);
    assert_eq!(of(&config, &all_up, [0, 100, 0]), [0, 0, 4096]);
    assert_eq!(of(&config, &all_up, [0, 0, 30]), [0, 4096, 0], "who has nothing loses nothing");
    // Nested: 20 % go past both, 30 % past the first.
    assert_eq!(of(&config, &all_up, [0, 50, 20]), [819, 2048, 1229]);
    assert_eq!(of(&config, &all_up, [0, 20, 50]), [819, 3277, 0]);
}

#[test]
fn without_a_policy_what_is_kept_out_goes_to_the_others_by_weight() {
    let config = config(None);
    let all_up = observed(&config, [0; 3]);
    // 60 % of half the rows, by 10 to 30.
    assert_eq!(of(&config, &all_up, [0, 50, 0]), [717, 1229, 2150]);
    let shares = decided(&config, &keep_out(&all_up, [0; 3]));
    assert_eq!(shares.iter().map(|share| share.weight).collect::<Vec<_>>(), WEIGHTS, "as configured");
}

#[test]
fn where_nobody_would_be_left_nobody_is_kept_out() {
    for order in ORDERS {
        let config = config(order);
        let all_up = observed(&config, [0; 3]);
        let as_it_is = of(&config, &all_up, [0; 3]);
        assert_eq!(of(&config, &all_up, [100; 3]), as_it_is, "{order:?}");
        let alone = observed(&config, [4, 0, 4]);
        assert_eq!(of(&config, &alone, [0, 100, 0]), [0, 4096, 0], "{order:?}: the others are down");
        let drained = Observed { drained_clusters: ["ap".into(), "us".into()].into(), ..all_up };
        assert_eq!(of(&config, &drained, [0, 70, 0]), [0, 4096, 0], "{order:?}: the others are drained");
    }
}

#[test]
fn a_pool_says_what_it_is_kept_out_of() {
    let config = config(None);
    let all_up = observed(&config, [0; 3]);
    let kept_out = |percents| {
        let pools = decide(&config, &keep_out(&all_up, percents)).pools;
        pools.into_iter().map(|pool| pool.kept_out.map(|kept_out| kept_out.percent)).collect::<Vec<_>>()
    };
    assert_eq!(kept_out([0, 99, 0]), [None, Some(99), None]);
}

#[test]
fn those_who_are_up_in_a_pool_bear_the_panic_of_a_slice() {
    let config = config(Some("priorities: [[eu], [us, ap]]"));
    // Of the others one of eight: in the slice they are in panic.
    let few = observed(&config, [4, 0, 3]);
    let panic = |percents| decided(&config, &keep_out(&few, percents))[2].panic;
    assert_eq!([[0, 0, 0], [0, 50, 0], [0, 100, 0]].map(panic), [false, true, true]);
    // Of eu two of four, which take 70 %: us has flows of both worlds, and is in no panic in one.
    let fewer = observed(&config, [4, 2, 1]);
    assert!(!decided(&config, &keep_out(&fewer, [0, 50, 0]))[2].panic);
}

fn downs() -> impl Strategy<Value = [usize; 3]> {
    prop::array::uniform3(0..=4_usize)
}

fn percents() -> impl Strategy<Value = [u8; 3]> {
    prop::array::uniform3(prop_oneof![Just(0), Just(100), 0..=100_u8])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn rows_are_all_there_and_weights_say_them_exactly(order in 0..3_usize, down in downs(), percents in percents()) {
        let config = &CONFIGS[order];
        let observed = observed(config, down);
        let shares = decided(config, &keep_out(&observed, percents));
        let served = rows(&decided(config, &observed)).iter().sum::<u32>();
        prop_assert_eq!(rows(&shares).iter().sum::<u32>(), served);
        if percents != [0; 3] {
            let weights = shares.iter().map(|share| u32::from(share.weight)).sum::<u32>();
            prop_assert_eq!(weights, served * WEIGHT_OF_A_ROW);
        }
    }

    #[test]
    fn nothing_kept_out_changes_nothing(order in 0..3_usize, down in downs()) {
        let config = &CONFIGS[order];
        let observed = observed(config, down);
        prop_assert_eq!(decided(config, &keep_out(&observed, [0; 3])), decided(config, &observed));
    }

    #[test]
    fn all_of_it_is_what_a_drained_cluster_leaves(order in 0..3_usize, down in downs(), pool in 0..3_usize) {
        let config = &CONFIGS[order];
        let observed = observed(config, down);
        let drained = Observed { drained_clusters: [POOLS[pool].to_owned()].into(), ..observed.clone() };
        let others = (0..3).filter(|other| *other != pool).any(|other| down[other] < 4);
        let mut percents = [0; 3];
        percents[pool] = 100;
        let expected = if others { rows(&decided(config, &drained)) } else { of(config, &observed, [0; 3]) };
        prop_assert_eq!(of(config, &observed, percents), expected);
    }

    /// To the row: largest remainders may give one back.
    #[test]
    fn the_more_a_pool_is_kept_out_of_the_less_it_gets(
        order in 0..3_usize, down in downs(), percents in percents(), pool in 0..3_usize, less in 0..=100_u8,
    ) {
        let config = &CONFIGS[order];
        let observed = observed(config, down);
        let mut fewer = percents;
        fewer[pool] = less.min(percents[pool]);
        // Where a slice leaves nobody, nobody is kept out: a larger one may give back what a smaller one took.
        let mut wholly = percents;
        wholly[pool] = 100;
        let config_serves = (0..3).any(|other| wholly[other] == 0 && down[other] < 4);
        prop_assume!(config_serves);
        prop_assert!(of(config, &observed, percents)[pool] <= of(config, &observed, fewer)[pool] + 1);
    }

    #[test]
    fn a_slice_moves_no_more_rows_than_it_is_wide(order in 0..3_usize, down in downs(), pool in 0..3_usize, percent in 1..=100_u8) {
        let config = &CONFIGS[order];
        let observed = observed(config, down);
        let mut percents = [0; 3];
        percents[pool] = percent;
        let (before, after) = (of(config, &observed, [0; 3]), of(config, &observed, percents));
        let moved: u32 = before.iter().zip(&after).map(|(before, after)| after.saturating_sub(*before)).sum();
        prop_assert!(moved <= CLUSTER_ROWS * u32::from(percent) / 100 + 3, "{before:?} {after:?}");
    }
}

#[test]
fn the_page_s_example_is_true() {
    let config = example("circuit-breaker.yaml");
    let kept_out = KeptOut { percent: 99, reason: "its breaker is half-open".into() };
    let slices = Slices::from([("web-eu".to_owned(), kept_out)]);
    let observed = Observed { kept_out: slices, ..Observed::all_well(&config) };
    let services = decide(&config, &observed).services;
    assert_eq!(rows(&services[0].shares), [41, 4_055]);
}

proptest! {
    #[test]
    fn of_two_who_keep_a_pool_out_the_larger_part_counts(
        one in prop::array::uniform3(0..=ALL),
        other in prop::array::uniform3(0..=ALL),
    ) {
        let slices = |percents: [u8; 3], reason: &str| -> Slices {
            let kept_out = |percent| KeptOut { percent, reason: reason.to_owned() };
            let all = POOLS.iter().zip(percents).filter(|(_, percent)| *percent > 0);
            all.map(|(pool, percent)| ((*pool).to_owned(), kept_out(percent))).collect()
        };
        let united = united(&[&slices(one, "one"), &slices(other, "other")]);
        for (at, pool) in POOLS.iter().enumerate() {
            let larger = one[at].max(other[at]);
            let reason = if one[at] == larger { "one" } else { "other" };
            let wanted = (larger > 0).then(|| KeptOut { percent: larger, reason: reason.to_owned() });
            prop_assert_eq!(united.get(*pool), wanted.as_ref());
        }
    }
}
