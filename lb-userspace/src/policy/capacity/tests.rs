use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::ceilings::INTERVAL;
use crate::config::model::{Config, Endpoint, Failback, Order, Service};
use crate::config::tests::world;
use crate::policy::desired::Share;
use crate::policy::failover::WEIGHT_OF_A_ROW;
use crate::policy::memory::Memory;
use crate::policy::new_flows::{Rate, Rates};
use crate::policy::observed::Observed;
use crate::policy::slices::{ALL, KeptOut};
use crate::policy::{decide_after, spills_anew};

/// A world that goes on: what it is asked for, what was decided last, and when.
struct Story {
    config: Config,
    observed: Observed,
    memory: Memory,
    now: u64,
}

/// Clusters with capacities (0: none is said), each with a pool of its name and one endpoint; services of all pools, each
/// pool being the service's own; priorities are the clusters in their order, or of services with `back` in the reverse.
fn config(capacities: &[u32], services: &[&str], spill: &str) -> Config {
    let names: Vec<_> = (0..capacities.len()).map(|number| format!("c{number}")).collect();
    let cluster = |(name, capacity): (&String, &u32)| match capacity {
        0 => format!("- {{name: {name}}}\n"),
        capacity => format!("- {{name: {name}, capacity: {{newConnPerSec: {capacity}}}}}\n"),
    };
    let clusters: String = names.iter().zip(capacities).map(cluster).collect();
    let service = |(number, service): (usize, &&str)| {
        let pools: Vec<_> = names.iter().map(|name| format!("{service}-{name}")).collect();
        let policy = if service.starts_with("back") { "back" } else { "on" };
        let policy =
            if service.starts_with("plain") { String::new() } else { format!(", failoverPolicy: {policy}") };
        format!(
            "- {{name: s/{service}, vips: [198.51.100.{number}], ports: [{{port: 80}}], pools: [{}]{policy}}}\n",
            pools.join(", ")
        )
    };
    let all: String = (1..).zip(services).map(service).collect();
    let pool = |(number, (service, name)): (usize, (&&str, &String))| {
        format!("- {{name: {service}-{name}, cluster: {name}, endpoints: [{{address: 192.0.2.{number}}}]}}\n")
    };
    let both = services.iter().flat_map(|service| names.iter().map(move |name| (service, name)));
    let pools: String = (1..).zip(both).map(pool).collect();
    let groups = |names: Vec<&String>| {
        names.into_iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ")
    };
    world::configured(&format!(
        "apiVersion: spillway/v1\nclusterSet: {{id: t, secretFile: hash.key}}\ngateway: {{interfaces: [eth0]}}\n\
         clusters:\n{clusters}services:\n{all}pools:\n{pools}failoverPolicies:\n\
         - {{name: on, priorities: [{}], spill: {spill}}}\n- {{name: back, priorities: [{}], spill: {spill}}}\n",
        groups(names.iter().collect()),
        groups(names.iter().rev().collect()),
    ))
}

const BOTH: &str = "{mode: both}";

impl Story {
    fn new(config: Config) -> Self {
        let observed = Observed::all_well(&config);
        Self { config, observed, memory: Memory::default(), now: 1_000_000 }
    }

    /// What all services are asked for, in their order. All of it goes to the first pool, for it does not matter where
    /// it goes.
    fn asked(&mut self, demand: &[u64]) -> Vec<Vec<u32>> {
        let rate = |(service, rate): (&Service, &u64)| (service.pools[0].clone(), Rate::exact(*rate));
        self.observed.new_flows = Some(self.config.services.iter().zip(demand).map(rate).collect());
        self.decide()
    }

    fn decide(&mut self) -> Vec<Vec<u32>> {
        let moves = spills_anew(&self.memory, &self.config, &self.observed, self.now);
        let decision = decide_after(&self.memory, &self.config, &self.observed, self.now);
        assert_eq!(moves, decision.memory.ceilings != self.memory.ceilings);
        self.memory = decision.memory;
        decision.desired.services.iter().map(|service| percents(&service.shares)).collect()
    }

    /// The same a while later.
    fn later(&mut self, milliseconds: u64, demand: &[u64]) -> Vec<Vec<u32>> {
        self.now += milliseconds;
        self.asked(demand)
    }
}

fn percents(shares: &[Share]) -> Vec<u32> {
    let rows = shares.iter().map(|share| u32::from(share.weight) / WEIGHT_OF_A_ROW);
    rows.map(|rows| (rows * 100 + 2048) / 4096).collect()
}

/// Percents of each service, as the first decision has them.
fn first(config: Config, demand: &[u64]) -> Vec<Vec<u32>> {
    Story::new(config).asked(demand)
}

#[test]
fn what_is_beyond_the_target_goes_to_the_next() {
    let shares = |demand| first(config(&[200, 1000], &["web"], BOTH), &[demand]).remove(0);
    assert_eq!(shares(0), [100, 0]);
    assert_eq!(shares(160), [100, 0]);
    assert_eq!(shares(177), [100, 0], "not past the hysteresis: 160 is more than nine tenths of it");
    assert_eq!(shares(178), [89, 11]);
    assert_eq!(shares(300), [53, 47]);
    assert_eq!(shares(320), [50, 50]);
    assert_eq!(
        shares(960),
        [16, 84],
        "16.6 and 83.3: what the second cannot take is less than the hysteresis"
    );
    assert_eq!(shares(2000), [17, 83], "both are full: 160 and 800, and the rest by capacity");
}

/// 80 a second fit the second one; the first has room, and is not taken in yet.
#[test]
fn who_comes_back_slowly_has_at_once_what_the_others_have_no_room_for() {
    for mode in ["both", "capacity"] {
        let mut config = config(&[200, 100], &["web"], &format!("{{mode: {mode}}}"));
        config.failover_policies[0].failback =
            Some(Failback::Auto { hold_down: Duration::from_mins(1), step: 20 });
        let endpoint = (config.pools[0].name.clone(), config.pools[0].endpoints[0].address);
        let mut story = Story::new(config);
        let mut without = |drained: &[(String, IpAddr)]| {
            story.observed.drained_backends = drained.iter().cloned().collect();
            story.later(20_000, &[150]).remove(0)
        };
        assert_eq!(without(&[]), [100, 0], "{mode}");
        assert_eq!(without(&[endpoint]), [0, 100], "{mode}");
        assert_eq!(without(&[]), [47, 53], "{mode}");
    }
}

#[test]
fn all_full_is_by_capacity_and_who_says_nothing_is_never_full() {
    assert_eq!(first(config(&[100, 300, 600], &["web"], BOTH), &[8000]), [[10, 30, 60]]);
    assert_eq!(first(config(&[100, 0, 600], &["web"], BOTH), &[8000]), [[1, 99, 0]]);
}

#[test]
fn another_target_fills_as_much() {
    let to = |target| format!("{{mode: capacity, targetUtilization: {target}, hysteresis: 0}}");
    assert_eq!(first(config(&[200, 1000], &["web"], &to("0.5")), &[200]), [[50, 50]]);
    assert_eq!(first(config(&[200, 1000], &["web"], &to("1")), &[200]), [[100, 0]]);
    assert_eq!(first(config(&[200, 1000], &["web"], &to("1")), &[250]), [[80, 20]]);
}

#[test]
fn health_takes_what_it_takes_and_in_mode_capacity_only_all() {
    for (mode, half, dead) in [("both", [70, 30], [0, 100]), ("capacity", [80, 20], [0, 100])] {
        let mut config = config(&[200, 1000], &["web"], &format!("{{mode: {mode}}}"));
        let endpoint = config.pools[0].endpoints[0];
        let another = Endpoint { address: [192, 0, 2, 9].into(), ..endpoint };
        config.pools[0].endpoints.push(another);
        let mut story = Story::new(config);
        let pool = story.config.pools[0].name.clone();
        story.observed.drained_backends.insert((pool.clone(), endpoint.address));
        assert_eq!(story.asked(&[200]), [half], "{mode}");
        story.observed.drained_backends.insert((pool, another.address));
        assert_eq!(story.asked(&[200]), [dead], "{mode}");
    }
}

#[test]
fn services_divide_a_cluster_by_what_they_ask_for() {
    // 160 are to be had: one third and two thirds of it.
    assert_eq!(first(config(&[200, 1000], &["one", "two"], BOTH), &[100, 200]), [[53, 47], [53, 47]]);
    // One of which nothing is spilled takes what it takes.
    let config = || config(&[200, 1000], &["plain", "web"], BOTH);
    assert_eq!(first(config(), &[60, 200])[1], [50, 50]);
    assert_eq!(first(config(), &[200, 200])[1], [0, 100], "nothing is left");
}

#[test]
fn a_first_priority_comes_before_a_second() {
    // Each has the other's first as its second. The first of the second service takes all of it.
    let shares = first(config(&[200, 200], &["web", "back"], BOTH), &[240, 120]);
    assert_eq!(shares, [[75, 25], [0, 100]], "both are full: each gets 180");
    let shares = first(config(&[200, 1000], &["web", "back"], BOTH), &[240, 120]);
    assert_eq!(shares, [[66, 34], [0, 100]]);
}

#[test]
fn the_first_cluster_of_a_priority_that_is_full_makes_it_full() {
    let mut config = config(&[100, 1000, 1000], &["web"], BOTH);
    let groups = [vec!["c0", "c1"], vec!["c2"]];
    let names = groups.map(|group| group.into_iter().map(str::to_owned).collect());
    config.failover_policies[0].order = Order::Groups(names.into());
    // As much goes to either: 80 each.
    assert_eq!(first(config.clone(), &[320]), [[25, 25, 50]]);
    config.pools[1].weight *= 10;
    assert_eq!(first(config, &[320]), [[9, 91, 0]]);
}

#[test]
fn more_goes_at_once_and_comes_back_in_steps() {
    let mut story = Story::new(config(&[200, 1000], &["web"], BOTH));
    assert_eq!(story.asked(&[160]), [[100, 0]]);
    assert_eq!(story.later(1000, &[400]), [[40, 60]], "at once");
    assert_eq!(story.later(1000, &[800]), [[20, 80]], "again");
    assert_eq!(story.later(1000, &[100]), [[20, 80]], "not so soon");
    assert_eq!(story.later(INTERVAL - 1001, &[100]), [[20, 80]]);
    assert_eq!(story.later(1, &[100]), [[40, 60]]);
    let due = decide_after(&story.memory, &story.config, &story.observed, story.now).due;
    assert_eq!(due, Some(story.now + INTERVAL), "time alone leads further");
    assert_eq!(story.later(INTERVAL - 1, &[100]), [[40, 60]]);
    assert_eq!(story.later(1, &[100]), [[60, 40]]);
    assert_eq!(story.later(INTERVAL, &[220]), [[72, 28]], "no further than is wanted");
    assert_eq!(story.later(INTERVAL, &[100]), [[92, 8]]);
    assert_eq!(story.later(INTERVAL, &[100]), [[100, 0]]);
    assert_eq!(story.memory, Memory::default());
    assert_eq!(decide_after(&story.memory, &story.config, &story.observed, story.now).due, None);
}

#[test]
fn what_is_in_force_outlives_the_agent_and_holds_until_demand_is_known_again() {
    let mut story = Story::new(config(&[200, 1000], &["web"], BOTH));
    story.asked(&[320]);
    let text = serde_json::to_string(&story.memory).unwrap();
    assert_eq!(text, r#"{"ceilings":{"web-c0":{"of":{"0":5000},"changed":1000000}}}"#);
    story.memory = serde_json::from_str(&text).unwrap();
    (story.observed.new_flows, story.now) = (None, story.now + 100_000);
    assert_eq!(story.decide(), [[50, 50]]);
    assert_eq!(story.asked(&[320]), [[50, 50]]);
    story.config.failover_policies[0].spill = None;
    assert_eq!(story.decide(), [[100, 0]], "the policy says so no more");
    assert_eq!(story.memory, Memory::default());
}

#[test]
fn a_pool_that_is_kept_out_asks_its_cluster_for_nothing() {
    let of_both = || Story::new(config(&[200, 1000], &["web", "api"], BOTH));
    assert_eq!(of_both().asked(&[160, 160]), [[50, 50], [50, 50]]);
    let mut story = of_both();
    story.observed.kept_out.insert("web-c0".into(), KeptOut { percent: ALL, reason: String::new() });
    assert_eq!(story.asked(&[160, 160]), [[0, 100], [100, 0]]);
}

#[test]
fn a_cluster_that_nobody_is_up_in_has_no_capacity_to_spill_by() {
    let mut story = Story::new(config(&[1000, 100, 1000], &["web"], "{mode: capacity}"));
    story.config.failover_policies[0].order =
        Order::Groups(vec![vec!["c0".into(), "c1".into()], vec!["c2".into()]]);
    story.observed.drained_clusters.insert("c0".into());
    // 4 and 40 percent are what is wanted; of the rest an eleventh is for the cluster of 100.
    assert_eq!(story.asked(&[2000]), [[0, 9, 91]]);
}

#[test]
fn of_few_flows_little_is_believed() {
    let mut story = Story::new(config(&[200, 1000], &["web"], BOTH));
    let mut believe = |followed| {
        let rate = Rate { per_second: 220, followed };
        story.observed.new_flows = Some(Rates::from([("web-c0".to_owned(), rate)]));
        story.decide()
    };
    // 160 of 220 are 27 % less. Of 100 flows four standard errors are 40 %, of 1,600 they are 10 %.
    assert_eq!(believe(0), [[100, 0]]);
    assert_eq!(believe(100), [[100, 0]]);
    assert_eq!(believe(1600), [[72, 28]]);
}

proptest! {
    #[test]
    fn loads_are_whole_and_more_demand_or_less_capacity_never_gives_the_first_more(
        capacities in proptest::collection::vec(1_u32..5000, 2..4),
        demand in 1_u64..20_000,
        more in 0_u64..5000,
        mode in prop_oneof![Just("both"), Just("capacity")],
    ) {
        let spill = format!("{{mode: {mode}}}");
        let shares = |capacities: &[u32], demand| {
            first(config(capacities, &["web"], &spill), &[demand]).remove(0)
        };
        let all = shares(&capacities, demand);
        prop_assert!(all.iter().sum::<u32>().abs_diff(100) <= 1, "{all:?}");
        // Where nothing is full, or the next have room for what is over.
        let roomy = |capacities: &[u32]| [capacities, &[1_000_000]].concat();
        let before = shares(&roomy(&capacities), demand)[0];
        prop_assert!(shares(&roomy(&capacities), demand + more)[0] <= before);
        let mut larger = roomy(&capacities);
        larger[0] += u32::try_from(more).unwrap();
        prop_assert!(shares(&larger, demand)[0] >= before);
    }

    #[test]
    fn nobody_is_above_the_target_and_the_hysteresis_while_there_is_room(
        capacities in proptest::collection::vec(50_u32..5000, 1..4),
        demand in proptest::collection::vec(1_u64..5000, 3),
    ) {
        let capacities = [&capacities[..], &[10_000_000]].concat();
        let shares = first(config(&capacities, &["one", "two", "three"], BOTH), &demand);
        for (cluster, capacity) in capacities.iter().enumerate() {
            let load: u64 = shares.iter().zip(&demand).map(|(shares, rate)| u64::from(shares[cluster]) * rate).sum();
            // In hundredths; a share is rounded by half a percent.
            let most = u64::from(*capacity) * 80 * 10 / 9 + demand.iter().sum::<u64>();
            prop_assert!(load <= most, "{shares:?} of {demand:?} in {capacities:?}");
        }
    }

    #[test]
    fn a_wobble_of_five_percent_moves_nothing_once_it_is_seen(
        capacity in 100_u64..2000,
        demand in 50_u64..20_000,
        noise in proptest::collection::vec(950_u64..=1050, 60),
    ) {
        let mut story = Story::new(config(&[u32::try_from(capacity).unwrap(), 1_000_000], &["web"], BOTH));
        let mut seen = vec![story.asked(&[demand])];
        for wobble in noise {
            let shares = story.later(1000, &[(demand * wobble).div_ceil(1000)]);
            if seen.last() != Some(&shares) {
                seen.push(shares);
            }
        }
        // From nothing to what the first look past the hysteresis says, and no further.
        prop_assert!(seen.len() <= 2, "{seen:?}");
    }

    #[test]
    fn two_services_that_share_clusters_come_to_rest(
        capacities in proptest::collection::vec(100_u32..2000, 2),
        demand in proptest::collection::vec(50_u64..4000, 2),
        reverse in any::<bool>(),
    ) {
        let other = if reverse { "back" } else { "two" };
        let mut story = Story::new(config(&capacities, &["one", other], BOTH));
        let mut shares = story.asked(&demand);
        for _ in 0..20 {
            // Flows go where they were sent: to other pools, of the same services.
            let rates = story.config.services.iter().zip(&shares).zip(&demand).flat_map(|((service, shares), rate)| {
                let to = |(pool, share): (&String, &u32)| (pool.clone(), u64::from(*share) * rate);
                service.pools.iter().zip(shares).map(to).collect::<Vec<_>>()
            });
            let rates: Vec<_> = rates.collect();
            let exact = |(pool, rate): &(String, u64)| (pool.clone(), Rate::exact(rate / 100));
            story.observed.new_flows = Some(rates.iter().map(exact).collect());
            story.now += INTERVAL;
            let next = story.decide();
            prop_assert_eq!(&next, &shares);
            shares = next;
        }
    }
}
