//! The words, by the configurations of `examples` and what may happen to their nodes.

use std::net::IpAddr;

use super::super::tests::{WORLD, imagined, query};
use super::super::{Known, Query, explain, offline};
use super::*;
use crate::compile::{Cache, Ledger, MapImage, Record, Sizes, compile};
use crate::config::model::{Config, Protocol};
use crate::config::tests::world;
use crate::observe::published::Drained;
use crate::policy::memory::Memory;
use crate::policy::observed::{Health, Observed, Verdict};
use crate::policy::rollout::progress::Progress;
use crate::policy::slices::{ALL, KeptOut};
use crate::policy::{Decision, decide_after};

/// An agent's world: what it decided last, and the maps that follow from that.
struct World {
    config: Config,
    observed: Observed,
    memory: Memory,
    now: u64,
    maps: (MapImage, Record),
}

impl World {
    /// Everybody is up.
    fn example(name: &str) -> Self {
        let config = world::example(name);
        let observed = Observed::all_well(&config);
        let maps = offline::imagine(&config).unwrap();
        Self { config, observed, memory: Memory::default(), now: 0, maps }
    }

    fn decide(&mut self, now: u64) {
        let Decision { desired, memory, .. } = decide_after(&self.memory, &self.config, &self.observed, now);
        let mut ledger = Ledger::new(Sizes::of(&self.config.gateway.limits));
        let image = compile(&desired, &mut ledger, &mut Cache::default(), now).unwrap();
        (self.memory, self.now, self.maps) = (memory, now, (image, ledger.record().clone()));
    }

    /// So many endpoints of a pool, its first, are down, and the others up.
    fn lose(&mut self, pool: usize, count: usize) {
        let pool = &self.config.pools[pool];
        for (number, endpoint) in pool.endpoints.iter().enumerate() {
            let (verdict, reason) =
                if number < count { (Verdict::Down, "HTTP 503") } else { (Verdict::Up, "") };
            let health = Health { verdict, reason: reason.into(), changed_ms: 1 };
            self.observed.health.insert((pool.name.clone(), endpoint.address), health);
        }
    }

    fn ask(&self, query: &Query) -> Vec<Why> {
        let drained = Drained {
            backends: self.observed.drained_backends.iter().cloned().collect(),
            clusters: self.observed.drained_clusters.iter().cloned().collect(),
        };
        let rollouts = self.config.rollouts.iter().map(|rollout| {
            let weight = self.observed.rollouts.get(&rollout.name).copied();
            (rollout.name.clone(), Progress { weight, ..Progress::new(rollout) })
        });
        let rollouts = rollouts.collect();
        let known =
            Known { record: &self.maps.1, drained: Some(&drained), rollouts: Some(&rollouts), now: self.now };
        explain(query, &self.maps.0, known, &|index| format!("eth{index}")).why
    }

    /// What is said of a stage.
    fn says(&self, query: &Query, stage: &str) -> Vec<String> {
        let all = self.ask(query).into_iter();
        all.filter(|why| why.stage == stage).map(|why| why.says).collect()
    }

    fn shares(&self) -> Vec<String> {
        self.says(&web(40_000), "share")
    }
}

fn web(port: u16) -> Query {
    query(Protocol::Tcp, &format!("192.0.2.7:{port}"), "198.51.100.10:443")
}

#[test]
fn a_cluster_has_what_its_priority_and_its_health_give_it() {
    let mut world = World::example("active-standby.yaml");
    assert_eq!(
        world.shares(),
        [
            "eu-1 has 100.0% (pool web-eu): weight 100; priority 0, which has 100.0%; 4 of 4 endpoints take new \
             flows, health 100%",
            "us-1 has 0.0% (pool web-us): weight 100; priority 1, which has 0.0%; 4 of 4 endpoints take new flows, \
             health 100%; it stands by: those before it take everything",
        ]
    );
    world.lose(0, 2);
    world.decide(0);
    assert_eq!(
        world.shares(),
        [
            "eu-1 has 70.0% (pool web-eu): weight 100; priority 0, which has 70.0%; 2 of 4 endpoints take new flows \
             (2 down), health 70%",
            "us-1 has 30.0% (pool web-us): weight 100; priority 1, which has 30.0%; 4 of 4 endpoints take new flows, \
             health 100%",
        ]
    );
}

#[test]
fn what_a_rollout_gives_is_said_instead_of_the_weight() {
    let mut world = World::example("migration.yaml");
    let mut at = |percent| {
        world.observed.rollouts = [("web-to-us".to_owned(), percent)].into();
        world.decide(0);
        world.shares()
    };
    let up = "2 of 2 endpoints take new flows";
    let gives =
        |percent| format!("rollout web-to-us gives it {percent}% of what web-eu and web-us have together");
    assert_eq!(
        at(10),
        [
            format!("eu-1 has 72.0% (pool web-eu): {}; {up}", gives(90)),
            format!("ap-1 has 20.0% (pool web-ap): weight 25; {up}"),
            format!("us-1 has 8.0% (pool web-us): {}; {up}", gives(10)),
        ]
    );
    assert_eq!(at(100)[2], format!("eu-1 has 0.0% (pool web-eu): {}; {up}", gives(0)));
}

#[test]
fn of_a_pool_that_is_kept_out_it_is_not_said_that_nobody_is_up() {
    let mut world = World::example("migration.yaml");
    world.observed.kept_out =
        [("web-eu".to_owned(), KeptOut { percent: ALL, reason: "a drill".into() })].into();
    world.decide(0);
    assert_eq!(
        world.shares()[1],
        "eu-1 has 0.0% (pool web-eu): weight 100; 2 of 2 endpoints take new flows; kept out of 100% of the hash \
         space: a drill"
    );
}

#[test]
fn panic_is_said_of_the_share_and_of_the_endpoint_that_is_used_in_it() {
    let mut world = World::example("active-standby.yaml");
    world.lose(0, 4);
    world.lose(1, 3);
    world.decide(0);
    let shares = world.shares();
    assert!(shares.iter().all(|share| share.contains("; in panic: too few are up")), "{shares:?}");
    let to_one_that_is_down =
        (40_000..60_000).map(|port| world.says(&web(port), "backend")).find(|says| says[0].contains("down"));
    let says = to_one_that_is_down.unwrap();
    assert!(
        says[0].ends_with("owns the row: down (HTTP 503); used all the same, for its priority is in panic")
    );
}

#[test]
fn what_is_held_back_is_said_with_the_time_that_is_left() {
    let mut world = World::example("failback.yaml");
    world.decide(0);
    world.lose(0, 4);
    world.decide(1_000);
    assert!(world.shares()[1].starts_with("eu-1 has 0.0% (pool web-eu): weight 100; priority 0"));
    world.lose(0, 0);
    world.decide(60_000);
    world.now = 100_000;
    let shares = world.shares();
    assert_eq!(
        shares[1],
        "eu-1 has 0.0% (pool web-eu): weight 100; priority 0, which has 0.0%; 4 of 4 endpoints take new flows, \
         health 100%; held back: 0% of the 100% are taken in, and the next step is due in 20 s"
    );
}

#[test]
fn who_drains_is_said_of_cluster_and_endpoint() {
    let mut world = World::example("active-standby.yaml");
    world.observed.drained_clusters.insert("eu-1".into());
    world.decide(0);
    let shares = world.shares();
    assert!(shares[0].starts_with("us-1 has 100.0%"), "{shares:?}");
    assert!(
        shares[1].starts_with("eu-1 has 0.0% (pool web-eu): an operator drains the cluster; weight 100;")
    );
    world.observed.drained_clusters.clear();
    let drained: Vec<_> = world.config.pools[0].endpoints.iter().map(|endpoint| endpoint.address).collect();
    for address in drained.into_iter().chain(world.config.pools[1].endpoints.iter().map(|one| one.address)) {
        for pool in ["web-eu", "web-us"] {
            world.observed.drained_backends.insert((pool.into(), address));
        }
    }
    world.decide(0);
    let shares = world.shares();
    assert!(shares[0].contains("0 of 4 endpoints take new flows (4 draining)"), "{shares:?}");
    assert!(shares[0].contains("nobody is up anywhere"), "{shares:?}");
    let says = world.says(&web(40_000), "backend");
    assert!(says[0].ends_with("owns the row: draining, as an operator says"), "{says:?}");
}

/// Once all of a pool's endpoints are up and grown but one, which begins with a tenth.
#[test]
fn an_endpoint_that_starts_slowly_says_how_much_of_its_weight_counts() {
    let mut world = World::example("active-standby.yaml");
    world.lose(0, 1);
    world.decide(1_000);
    world.lose(0, 0);
    world.decide(2_000);
    let first = world.config.pools[0].endpoints[0].address;
    let says = (40_000..60_000).map(|port| world.says(&web(port), "backend").remove(0));
    let says = says.into_iter().find(|says| says.starts_with(&first.to_string())).unwrap();
    assert_eq!(says, format!("{first} owns the row: up; it starts slowly: 10% of its weight 1 count"));
}

#[test]
fn of_an_owner_that_does_not_serve_it_is_said_why() {
    let mut world = World::example("active-standby.yaml");
    let owner = world.config.pools[0].endpoints[3].address;
    for backend in world.maps.0.backends.values_mut().filter(|one| IpAddr::from(one.destination) == owner) {
        backend.route.flags = backend.route.flags.without(lb_common::abi::BackendFlags::SERVES);
    }
    let is_its = |query: &Query| world.says(query, "backend")[0].starts_with(&owner.to_string());
    let query = (40_000..60_000).map(web).find(is_its).unwrap();
    let says = world.says(&query, "backend").remove(0);
    let unasked = "not probed yet, which counts as up";
    let expected = format!("{owner} does not serve: {unasked}; its next hop is not known. ");
    assert!(says.starts_with(&expected) && says.ends_with(&format!(" stands in: {unasked}")), "{says}");
    let tracking = world.says(&query, "tracking");
    assert_eq!(tracking, ["transition: recorded, until the row has an owner that serves"]);
}

#[test]
fn the_way_through_the_tables_is_told_by_names() {
    let (image, record) = imagined(&serde_json::from_str(WORLD).unwrap());
    let query = query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443");
    let why = explain(&query, &image, Known::configured(&record), &|index| index.to_string()).why;
    let says = |stage: &str| why.iter().find(|why| why.stage == stage).unwrap().says.as_str();
    assert_eq!(says("service"), "shop/web, by the VIP 198.51.100.10 and port 443/tcp");
    assert_eq!(says("access"), "no access policy: every source is admitted");
    let of = "source, destination, both ports and protocol (affinity flow)";
    assert_eq!(says("hash"), format!("0x0e8668156ef57032 of {of}"));
    let clean = "it is clean: nothing moved here lately";
    assert_eq!(says("cluster"), format!("row 1775 of 4096 is us-1's (pool web-us); {clean}"));
    let node = says("node");
    assert!(node.starts_with("row 29 of 512 of pool web-us is 203.0.113.22's, which has "), "{node}");
    assert!(node.ends_with(clean), "{node}");
    assert_eq!(says("backend"), "203.0.113.22 owns the row: up");
    assert_eq!(says("tracking"), "transition: no row moved lately, so that nothing is looked up or recorded");
    assert!(says("encapsulation").starts_with("ipip toward 203.0.113.22; "));
    assert_eq!(says("egress"), "by the route there, which is not known here");
}

#[test]
fn what_ends_early_says_where() {
    let world = World::example("active-standby.yaml");
    let stages = |query: &Query| world.ask(query).iter().map(|why| why.stage).collect::<Vec<_>>();
    let all = ["service", "access", "hash", "cluster", "share", "share", "node", "backend", "tracking"];
    let behind = ["encapsulation", "egress"];
    assert_eq!(stages(&web(40_000)), [&all[..], &behind].concat());
    let other = query(Protocol::Udp, "192.0.2.7:1", "198.51.100.10:443");
    assert_eq!(stages(&other), ["service"]);
    assert_eq!(
        world.says(&other, "service"),
        ["The destination is a VIP, but no service has this protocol and port; dropped."]
    );
}

/// Whatever happens to whomever, and whoever asks: words, and no panic.
#[test]
fn there_are_words_for_each_state_of_two_pools() {
    for (eu, us) in (0..=4).flat_map(|eu| (0..=4).map(move |us| (eu, us))) {
        let mut world = World::example("failback.yaml");
        world.lose(0, eu);
        world.lose(1, us);
        world.decide(0);
        let why = world.ask(&web(40_000));
        assert!(why.iter().all(|why| !why.says.is_empty()), "{eu} {us}: {why:?}");
        let parts = world.shares().iter().map(|says| part(says)).sum::<f64>();
        assert!((parts - 100.0).abs() < 0.2, "{eu} {us}: {parts}");
    }
}

fn part(says: &str) -> f64 {
    let (_, rest) = says.split_once(" has ").unwrap();
    rest.split_once('%').unwrap().0.parse().unwrap()
}
