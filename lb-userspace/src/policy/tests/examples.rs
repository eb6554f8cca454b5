//! What `docs/policy.md` says of the files in `examples`, and what these say themselves.

use super::*;
use crate::apportion::apportion;
use crate::config::model::Provider;
use crate::config::tests::world;
use crate::policy::failover::WEIGHT_OF_A_ROW;

/// The configuration of one, and a world in which everybody is reached and up.
fn example(name: &str) -> (Config, Observed) {
    let config = world::example(name);
    let observed = Observed::all_well(&config);
    (config, observed)
}

/// So many endpoints of a pool, its first, are down, and the others up.
fn lose(config: &Config, observed: &mut Observed, pool: usize, count: usize) {
    let pool = &config.pools[pool];
    for (number, endpoint) in pool.endpoints.iter().enumerate() {
        let verdict = if number < count { Verdict::Down } else { Verdict::Up };
        tell(observed, &pool.name, &endpoint.address.to_string(), verdict);
    }
}

/// Rows of the first service's pools.
fn rows(config: &Config, observed: &Observed) -> Vec<u32> {
    decide(config, observed).services[0]
        .shares
        .iter()
        .map(|share| u32::from(share.weight) / WEIGHT_OF_A_ROW)
        .collect()
}

/// The same of a service without a failover policy.
fn rows_by_weight(config: &Config, observed: &Observed) -> Vec<u32> {
    let shares = decide(config, observed).services.swap_remove(0).shares;
    let weights: Vec<_> = shares.iter().map(|share| share.weight).collect();
    apportion(lb_common::flow::CLUSTER_ROWS, &weights)
}

#[test]
fn what_stands_by_takes_what_the_active_cannot() {
    let (config, mut observed) = example("active-standby.yaml");
    let mut after = |eu, us| {
        lose(&config, &mut observed, 0, eu);
        lose(&config, &mut observed, 1, us);
        let panic = decide(&config, &observed).pools.iter().map(|pool| pool.panic).collect::<Vec<_>>();
        (rows(&config, &observed), panic)
    };
    assert_eq!(after(0, 0), (vec![4096, 0], vec![false, false]));
    assert_eq!(after(1, 0), (vec![4096, 0], vec![false, false]));
    assert_eq!(after(2, 0), (vec![2867, 1229], vec![false, false]));
    assert_eq!(after(3, 0), (vec![1434, 2662], vec![false, false]));
    assert_eq!(after(4, 0), (vec![0, 4096], vec![false, false]));
    assert_eq!(after(4, 2), (vec![0, 4096], vec![false, false]), "a pool without flows is in no panic");
    assert_eq!(after(4, 3), (vec![2048, 2048], vec![true, true]));
}

#[test]
fn what_is_maintained_gets_nothing_new_and_the_others_could_still_lose_one() {
    let (mut config, mut observed) = example("maintenance.yaml");
    let holds = |config: &Config, observed: &Observed| {
        resilience::assess(config, observed, &resilience::Demand::new())[0].breach.is_none()
    };
    assert_eq!((rows(&config, &observed), holds(&config, &observed)), (vec![4096, 0, 0], true));
    lose(&config, &mut observed, 0, 2);
    assert_eq!((rows(&config, &observed), holds(&config, &observed)), (vec![2867, 0, 1229], false));
    lose(&config, &mut observed, 0, 0);
    config.clusters[1].state = ClusterState::Active;
    assert_eq!(rows(&config, &observed), [2048, 2048, 0]);
    // It is on again: of its health a fifth after another is taken in.
    let taken = [20, 40, 60, 80].map(|percent| {
        let perceived = failback::Perceived { percent, since: Some(0) };
        let pools = BTreeMap::from([("web-eu-2".to_owned(), perceived)]);
        let memory = Memory { failback: [("europe-first".to_owned(), pools)].into(), ..Memory::default() };
        let shares = decide_after(&memory, &config, &observed, 1).desired.services.swap_remove(0).shares;
        [1, 2].map(|pool: usize| u32::from(shares[pool].weight) / WEIGHT_OF_A_ROW)
    });
    assert_eq!(taken, [[546, 819], [1053, 410], [1536, 0], [1820, 0]]);
    observed.drained_clusters.insert("us-1".into());
    config.clusters[1].state = ClusterState::Draining;
    assert!(!holds(&config, &observed), "nobody is left beside eu-1");
}

#[test]
fn flows_stay_in_the_zone_then_in_the_region() {
    let (config, mut observed) = example("locality.yaml");
    let priorities = |config: &Config, observed: &Observed| {
        let shares = decide(config, observed).services.swap_remove(0).shares;
        shares.iter().filter_map(|share| share.priority).collect::<Vec<_>>()
    };
    assert_eq!(priorities(&config, &observed), [0, 1, 2]);
    assert_eq!(rows(&config, &observed), [4096, 0, 0]);
    lose(&config, &mut observed, 0, 1);
    // 93 % of 4,096 are 3,809.28.
    assert_eq!(rows(&config, &observed), [3809, 287, 0]);
    lose(&config, &mut observed, 0, 2);
    assert_eq!(rows(&config, &observed), [0, 4096, 0], "one node is too few");
    lose(&config, &mut observed, 1, 2);
    assert_eq!(rows(&config, &observed), [0, 0, 4096]);
    let elsewhere = ClusterSet { self_cluster: Some("us-1".into()), ..config.cluster_set.clone() };
    let config = Config { cluster_set: elsewhere, ..config };
    assert_eq!(priorities(&config, &observed), [2, 2, 0]);
}

#[test]
fn a_cluster_that_was_lost_gets_a_fifth_each_minute() {
    const MINUTE: u64 = 60_000;
    let (config, mut observed) = example("failback.yaml");
    let mut memory = Memory::default();
    let mut after = |minutes: u64, eu, us| {
        lose(&config, &mut observed, 0, eu);
        lose(&config, &mut observed, 1, us);
        let decision = decide_after(&memory, &config, &observed, minutes * MINUTE);
        memory = decision.memory;
        let rows = |share: &Share| u32::from(share.weight) / WEIGHT_OF_A_ROW;
        let rows = decision.desired.services[0].shares.iter().map(rows).collect::<Vec<_>>();
        (rows, decision.due.map(|due| due / MINUTE))
    };
    assert_eq!(after(0, 0, 0), (vec![4096, 0], None));
    assert_eq!(after(10, 4, 0), (vec![0, 4096], None));
    assert_eq!(after(20, 0, 0), (vec![0, 4096], Some(21)));
    assert_eq!(after(21, 0, 0), (vec![819, 3277], Some(22)));
    assert_eq!(after(22, 0, 0), (vec![1638, 2458], Some(23)));
    // us-1 can take 35 % only, and has nothing held back.
    assert_eq!(after(22, 0, 3), (vec![2662, 1434], Some(23)));
    assert_eq!(after(23, 0, 3), (vec![2662, 1434], Some(24)));
    assert_eq!(after(24, 0, 3), (vec![3277, 819], Some(25)));
    assert_eq!(after(25, 0, 3), (vec![4096, 0], None));
}

#[test]
fn what_a_cluster_has_no_room_for_goes_to_the_next() {
    let (config, mut observed) = example("capacity-spill.yaml");
    let mut memory = Memory::default();
    let mut after = |second: u64, demand| {
        let rate = new_flows::Rate { per_second: demand, followed: demand * 10 / 16 };
        observed.new_flows = Some([("web-eu".to_owned(), rate)].into());
        let decision = decide_after(&memory, &config, &observed, 1_000_000 + second * 1000);
        memory = decision.memory;
        let shares = &decision.desired.services[0].shares;
        let rows = shares.iter().map(|share| u32::from(share.weight) / WEIGHT_OF_A_ROW).collect::<Vec<_>>();
        assert!(rows[1] > 0 || shares[1].ceiling.is_none(), "who stands by is not full");
        (rows, shares[0].ceiling)
    };
    assert_eq!(after(0, 15_000), (vec![4096, 0], None));
    assert_eq!(after(10, 17_500), (vec![4096, 0], None), "in the hysteresis");
    assert_eq!(after(20, 20_000), (vec![3277, 819], Some(80)));
    assert_eq!(after(25, 21_000), (vec![3277, 819], Some(80)), "76 % are no tenth less");
    assert_eq!(after(30, 24_000), (vec![2744, 1352], Some(66)), "66 and 33 %, and one by capacity");
    // Both are full: 53 and 26 %, and the rest by capacity.
    assert_eq!(after(40, 30_000), (vec![2744, 1352], Some(53)));
    assert_eq!(after(45, 10_000), (vec![2744, 1352], Some(53)), "not sooner than ten seconds after");
    assert_eq!(after(50, 10_000), (vec![2990, 1106], Some(73)));
    assert_eq!(after(60, 10_000), (vec![3809, 287], Some(93)));
    assert_eq!(after(70, 10_000), (vec![4096, 0], None));
}

#[test]
fn a_migration_is_exact_to_the_row_and_leaves_a_third_pool_its_fifth() {
    let (mut config, mut observed) = example("migration.yaml");
    let at = |config: &Config, observed: &mut Observed, percent: Option<u8>| {
        observed.rollouts = percent.map(|percent| ("web-to-us".into(), percent)).into_iter().collect();
        rows_by_weight(config, observed)
    };
    let steps = [
        (None, [3277, 0, 819]),
        (Some(10), [2949, 328, 819]),
        (Some(50), [1639, 1638, 819]),
        (Some(100), [0, 3277, 819]),
    ];
    for (percent, rows) in steps {
        assert_eq!(at(&config, &mut observed, percent), rows, "{percent:?} %");
    }
    config.pools[0].weight = 0;
    config.pools[1].weight = 100;
    assert_eq!(at(&config, &mut observed, None), [0, 3277, 819], "the file says afterwards what is in force");
    assert_eq!(at(&config, &mut observed, Some(10)), [2949, 328, 819], "of the two together");
    lose(&config, &mut observed, 1, 2);
    assert_eq!(at(&config, &mut observed, Some(10)), [3206, 0, 890], "who is down gets nothing all the same");
}

#[test]
fn a_canary_gets_its_percents_and_its_analyses_can_be_made_at_the_rate_that_is_said() {
    let (config, mut observed) = example("canary.yaml");
    let mut at = |percent| {
        observed.rollouts = [("web-v2".to_owned(), percent)].into();
        rows_by_weight(&config, &observed)
    };
    let steps = [(1, [4055, 41]), (10, [3686, 410]), (50, [2048, 2048]), (100, [0, 4096])];
    for (percent, rows) in steps {
        assert_eq!(at(percent), rows, "{percent} %");
    }
    for rate in [needed(&config, 0.01), needed(&example("migration.yaml").0, 0.08)] {
        assert!(rate > 166.0 && rate <= 167.0, "{rate}");
    }
}

/// New connections a second of which the first analysis has enough, when its pool gets such a part of them.
fn needed(config: &Config, part: f64) -> f64 {
    let analysis = &config.analyses[0];
    let Provider::Dataplane { min_samples, .. } = analysis.provider else { panic!("{analysis:?}") };
    let followed = f64::from(config.gateway.evidence.unwrap()).recip();
    let within = analysis.interval.as_secs_f64() * part * followed;
    f64::from(u32::try_from(min_samples).unwrap()) / within
}

#[test]
fn two_active_clusters_divide_by_weight_and_one_alone_has_all() {
    let (config, mut observed) = example("two-clusters.yaml");
    assert_eq!(rows_by_weight(&config, &observed), [3686, 410]);
    lose(&config, &mut observed, 0, 3);
    assert_eq!(rows_by_weight(&config, &observed), [0, 4096]);
}
