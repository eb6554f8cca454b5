use proptest::prelude::*;

use super::*;
use crate::config::tests::world::configured;
use crate::policy::decide;
use crate::policy::observed::{Health, Verdict};

/// A service with a pool of four endpoints in each of these clusters, each cluster a priority of its own or all one.
fn config(clusters: &[&str], groups: &str, resilience: &str) -> Config {
    let lines = |line: &dyn Fn(usize, &str) -> String| {
        clusters.iter().enumerate().map(|(number, name)| line(number, name)).collect::<String>()
    };
    let sites = lines(&|_, name| format!("- {{name: {name}, capacity: {{newConnPerSec: 1000}}}}\n"));
    let endpoints = |number| {
        let endpoints: Vec<_> =
            (1..=4).map(|last| format!("{{address: 192.0.2.{}}}", number * 4 + last)).collect();
        endpoints.join(", ")
    };
    let pool = |number, name: &str| {
        format!(
            "- {{name: web-{name}, cluster: {name}, rows: 256, health: open, endpoints: [{}]}}\n",
            endpoints(number)
        )
    };
    let pools: Vec<_> = clusters.iter().map(|name| format!("web-{name}")).collect();
    configured(&format!(
        "apiVersion: spillway/v1\nclusterSet: {{id: x, secretFile: hash.key}}\ngateway: {{interfaces: [eth0]}}\n\
         clusters:\n{sites}services:\n- {{name: shop/web, vips: [198.51.100.10], ports: [{{port: 443}}], \
         pools: [{}]{groups}}}\n{resilience}pools:\n{}healthChecks:\n- {{name: open, type: tcp, port: 443}}\n",
        pools.join(", "),
        lines(&pool),
    ))
}

fn with_policy(clusters: &[&str], order: &str, resilience: &str) -> Config {
    let policy = format!("failoverPolicies:\n- {{name: near, priorities: {order}{resilience}}}\n");
    config(clusters, ", failoverPolicy: near", &policy)
}

const ONE: &str = ", resilience: {model: N+1}";
const TWO: &str = ", resilience: {model: N+2, onViolation: refuse}";

/// So many endpoints of each pool are down.
fn lose(config: &Config, down: &[usize]) -> Observed {
    let mut observed = Observed::all_well(config);
    for (pool, down) in config.pools.iter().zip(down) {
        for endpoint in &pool.endpoints[..*down] {
            let dead = Health { verdict: Verdict::Down, reason: String::new(), changed_ms: 0 };
            observed.health.insert((pool.name.clone(), endpoint.address), dead);
        }
    }
    observed
}

/// What the service cannot bear, in words.
fn breach(config: &Config, down: &[usize]) -> Option<String> {
    breach_in(config, &lose(config, down), &Demand::new())
}

fn breach_in(config: &Config, observed: &Observed, demand: &Demand) -> Option<String> {
    let [assessment] = assess(config, observed, demand).try_into().unwrap();
    assessment.breach.map(|breach| breach.to_string())
}

#[test]
fn one_cluster_to_spare_is_one_whose_loss_the_others_bear() {
    let config = with_policy(&["eu", "us"], "[[eu], [us]]", ONE);
    assert_eq!(breach(&config, &[0, 0]), None);
    assert_eq!(breach(&config, &[1, 1]), None, "three of four take everything");
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(breach(&config, &[2, 0]), told("without us what is left can take 70 % of its new flows"));
    assert_eq!(breach(&config, &[0, 4]), told("without eu nobody is left who takes new flows"));
    assert_eq!(breach(&config, &[3, 3]), told("what is left can take 70 % of its new flows"));
    assert_eq!(breach(&config, &[4, 4]), told("nobody is left who takes new flows"));
    let alone = with_policy(&["eu"], "[[eu]]", ONE);
    assert_eq!(breach(&alone, &[0]), told("without eu nobody is left who takes new flows"));
}

#[test]
fn two_clusters_to_spare_are_any_two() {
    let clusters = ["eu", "us", "ap"];
    let config = with_policy(&clusters, "[[eu], [us], [ap]]", TWO);
    assert_eq!(breach(&config, &[0, 0, 0]), None);
    let broken = breach(&config, &[2, 0, 0]);
    assert_eq!(broken.as_deref(), Some("without us and ap what is left can take 70 % of its new flows"));
    // What is left is a third of the one priority: 140 % of that.
    let flat = with_policy(&clusters, "[[eu, us, ap]]", ONE);
    let broken = breach(&flat, &[0, 0, 0]);
    assert_eq!(broken.as_deref(), Some("without eu what is left can take 93 % of its new flows"));
}

#[test]
fn without_a_model_somebody_is_enough() {
    let config = with_policy(&["eu", "us"], "[[eu], [us]]", "");
    assert_eq!(breach(&config, &[4, 3]), None);
    assert_eq!(breach(&config, &[4, 4]).as_deref(), Some("nobody is left who takes new flows"));
    let fixed = self::config(&["eu", "us"], "", "");
    assert_eq!((breach(&fixed, &[3, 4]), breach(&fixed, &[4, 4]).is_some()), (None, true));
}

#[test]
fn what_is_drained_is_not_left_though_it_would_serve() {
    let config = with_policy(&["eu", "us"], "[[eu], [us]]", ONE);
    let mut observed = lose(&config, &[0, 0]);
    observed.drained_clusters.insert("us".into());
    let broken = breach_in(&config, &observed, &Demand::new());
    assert_eq!(broken.as_deref(), Some("without eu nobody is left who takes new flows"));
    let mut observed = lose(&config, &[0, 0]);
    for endpoint in &config.pools[1].endpoints[..2] {
        observed.drained_backends.insert(("web-us".into(), endpoint.address));
    }
    let broken = breach_in(&config, &observed, &Demand::new());
    assert_eq!(broken.as_deref(), Some("without eu what is left can take 70 % of its new flows"));
}

#[test]
fn no_cluster_may_get_more_than_it_can_take() {
    // Each takes 1,000; two share until one is lost.
    let config = with_policy(&["eu", "us", "ap"], "[[eu, us], [ap]]", ONE);
    let asked =
        |rate| breach_in(&config, &lose(&config, &[0, 0, 0]), &Demand::from([("shop/web".into(), rate)]));
    assert_eq!(asked(1000), None);
    // 70 % of them go to us, and 30 % to ap.
    assert_eq!(asked(1428), None);
    let over = "without eu us gets 1001 new connections per second and can take 1000";
    assert_eq!(asked(1430).as_deref(), Some(over));
    assert_eq!(asked(2001).as_deref(), Some("eu gets 1001 new connections per second and can take 1000"));
    let unlimited = config
        .clusters
        .iter()
        .map(|cluster| crate::config::model::Cluster { capacity: None, ..cluster.clone() });
    let config = Config { clusters: unlimited.collect(), ..config.clone() };
    assert_eq!(breach_in(&config, &lose(&config, &[0; 3]), &Demand::from([("shop/web".into(), 9999)])), None);
}

/// Whether some priority panics as soon as not everything can be taken: what the policy itself makes of a loss.
fn panics(config: &Config, down: &[usize]) -> bool {
    let desired = decide(config, &lose(config, down));
    desired.services[0].shares.iter().any(|share| share.panic)
}

proptest! {
    #[test]
    fn it_holds_if_the_policy_panics_after_no_loss(
        down in prop::collection::vec(0_usize..=4, 3),
        order in prop::sample::select(vec!["[[eu], [us], [ap]]", "[[eu, us], [ap]]", "[[eu, us, ap]]", "[[eu], [us, ap]]"]),
    ) {
        let config = with_policy(&["eu", "us", "ap"], order, ", panicThreshold: 100, resilience: {model: N+1}");
        let lost = |cluster: usize| (0..3).map(|one| if one == cluster { 4 } else { down[one] }).collect::<Vec<_>>();
        let bears = !panics(&config, &down) && (0..3).all(|cluster| !panics(&config, &lost(cluster)));
        prop_assert_eq!(breach(&config, &down).is_none(), bears);
    }

    #[test]
    fn more_that_is_down_mends_nothing(
        down in prop::collection::vec(0_usize..=4, 3),
        more in prop::collection::vec(0_usize..=4, 3),
        model in prop::sample::select(vec!["", ONE, TWO]),
    ) {
        let config = with_policy(&["eu", "us", "ap"], "[[eu, us], [ap]]", model);
        let both: Vec<_> = down.iter().zip(&more).map(|(one, other)| *one.max(other)).collect();
        prop_assert!(breach(&config, &down).is_none() || breach(&config, &both).is_some());
    }
}
