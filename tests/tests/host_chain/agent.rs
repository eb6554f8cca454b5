//! An agent of the pure parts alone, and what must hold of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lb_common::flow::CLUSTER_ROWS;
use lb_tests::fixture::Chance;
use lb_userspace::compile::{Cache, Ledger, Record, Sizes, compile};
use lb_userspace::config::model::{self, Config, Protocol, Rollout, Tracking};
use lb_userspace::explain::{Known, Query, explain};
use lb_userspace::observe::published::Drained;
use lb_userspace::plan::World;
use lb_userspace::policy::desired::{Desired, Member, MemberState, Pool, Reach, Service};
use lb_userspace::policy::failover::WEIGHT_OF_A_ROW;
use lb_userspace::policy::memory::Memory;
use lb_userspace::policy::new_flows::Rate;
use lb_userspace::policy::observed::{Health, NextHop, Observed, Verdict};
use lb_userspace::policy::rollout::progress::Progress;
use lb_userspace::policy::slices::KeptOut;
use lb_userspace::policy::{Decision, decide_after};
use lb_userspace::reconcile::{MemoryMaps, plan, reconcile};
use serde_json::json;

/// Decisions within which what is seen no longer changes must have had all its effects.
const SETTLED: usize = 2_000;
/// Flows that are asked about after each change, of each service.
const FLOWS: usize = 4;
/// Longest time between two changes, in milliseconds.
const PAUSE: usize = 90_000;

pub(crate) struct Agent {
    config: Config,
    observed: Observed,
    memory: Memory,
    ledger: Ledger,
    cache: Cache,
    maps: MemoryMaps,
    now: u64,
}

impl Agent {
    pub(crate) fn new(config: Config) -> Self {
        let sizes = Sizes::of(&config.gateway.limits);
        Self {
            observed: Observed { next_hops: ways(&config), ..Observed::all_well(&config) },
            config,
            memory: Memory::default(),
            ledger: Ledger::new(sizes),
            cache: Cache::default(),
            maps: MemoryMaps::new(&sizes),
            now: 1_000,
        }
    }

    /// Something happens, some time later.
    pub(crate) fn change(&mut self, chance: &mut Chance) {
        self.now += chance.below(PAUSE) as u64;
        for _ in 0..=chance.below(4) {
            match chance.below(9) {
                0..=2 => self.probe(chance),
                3 => self.drain(chance),
                4 => self.lose_way(chance),
                5 => self.keep_out(chance),
                6 => self.ask_for(chance),
                7 => self.roll(chance),
                _ => self.restart(),
            }
        }
    }

    fn endpoint(&self, chance: &mut Chance) -> Option<(String, IpAddr)> {
        let all = self.config.pools.iter();
        let all: Vec<_> =
            all.flat_map(|pool| pool.endpoints.iter().map(|one| (pool.name.clone(), one.address))).collect();
        (!all.is_empty()).then(|| all[chance.below(all.len())].clone())
    }

    fn probe(&mut self, chance: &mut Chance) {
        let Some(key) = self.endpoint(chance) else { return };
        let verdict =
            chance.pick(&[Verdict::Unknown, Verdict::Up, Verdict::Up, Verdict::Down, Verdict::Down]);
        self.observed.health.insert(key, Health { verdict, reason: "chance".into(), changed_ms: self.now });
    }

    /// Endpoints and clusters are drained and ejected, or no longer.
    fn drain(&mut self, chance: &mut Chance) {
        let Some(key) = self.endpoint(chance) else { return };
        let cluster = self.config.clusters[chance.below(self.config.clusters.len())].name.clone();
        match chance.below(6) {
            0 => drop(self.observed.drained_backends.insert(key)),
            1 => drop(self.observed.drained_backends.remove(&key)),
            2 => drop(self.observed.ejected.insert(key, "chance".into())),
            3 => drop(self.observed.ejected.remove(&key)),
            4 => drop(self.observed.drained_clusters.insert(cluster)),
            _ => drop(self.observed.drained_clusters.remove(&cluster)),
        }
    }

    /// A pool is kept out of a part of the hash space, or no longer.
    fn keep_out(&mut self, chance: &mut Chance) {
        let pool = self.config.pools[chance.below(self.config.pools.len())].name.clone();
        let percent = chance.pick(&[0, 1, 25, 50, 99, 100]);
        if percent == 0 {
            self.observed.kept_out.remove(&pool);
        } else {
            self.observed.kept_out.insert(pool, KeptOut { percent, reason: "chance".into() });
        }
    }

    /// A rollout sets a weight.
    fn roll(&mut self, chance: &mut Chance) {
        for rollout in &self.config.rollouts {
            self.observed.rollouts.insert(rollout.name.clone(), chance.pick(&[0, 1, 10, 50, 99, 100]));
        }
    }

    /// Clients begin as many flows in a second.
    fn ask_for(&mut self, chance: &mut Chance) {
        let mut rate = |pool: &model::Pool| {
            let (per_second, followed) = (chance.below(100_000) as u64, chance.below(5_000) as u64);
            (pool.name.clone(), Rate { per_second, followed })
        };
        self.observed.new_flows = Some(self.config.pools.iter().map(&mut rate).collect());
    }

    fn lose_way(&mut self, chance: &mut Chance) {
        let Some((_, address)) = self.endpoint(chance) else { return };
        if self.observed.next_hops.remove(&address).is_none() {
            self.observed.next_hops.extend(ways(&self.config).remove_entry(&address));
        }
    }

    /// Another agent takes over with what this one published, and the maps.
    fn restart(&mut self) {
        let record = serde_json::to_string(self.ledger.record()).expect("a record is JSON");
        let record: Record = serde_json::from_str(&record).expect("a record reads itself");
        self.ledger = Ledger::adopt(record, *self.ledger.sizes(), &self.maps, self.now).expect("it fits");
        self.cache = Cache::default();
        let memory = serde_json::to_string(&self.memory).expect("a memory is JSON");
        self.memory = serde_json::from_str(&memory).expect("a memory reads itself");
    }

    fn decide(&self) -> Decision {
        decide_after(&self.memory, &self.config, &self.observed, self.now)
    }

    /// Brings the maps up to date. Returns how many flows are sent, of those that are asked about.
    pub(crate) fn follow(&mut self, chance: &mut Chance) -> Result<usize> {
        let decision = self.decide();
        ensure!(decision == self.decide(), "the same input leads to another decision");
        self.memory = decision.memory;
        let desired = decision.desired;
        let image = compile(&desired, &mut self.ledger, &mut self.cache, self.now)?;
        reconcile(&image, &mut self.maps)?;
        ensure!(plan(&image, &self.maps).is_empty(), "what is applied is not what is wanted");
        self.ledger.release_tables(image.generation);
        self.ledger.release_names(image.generation);
        self.ledger.release_access(image.generation);
        self.is_seen(&desired)?;
        let mut sent = 0;
        for service in &desired.services {
            sums(service)?;
            sent += self.ask(service, &desired, chance).with_context(|| service.name.clone())?;
        }
        Ok(sent)
    }

    /// What was published and the maps tell a plan how things stand.
    fn is_seen(&self, desired: &Desired) -> Result<()> {
        let drained = Drained {
            backends: self.observed.drained_backends.clone(),
            clusters: self.observed.drained_clusters.clone(),
        };
        let progress = |rollout: &Rollout| {
            let weight = self.observed.rollouts.get(&rollout.name).copied();
            (rollout.name.clone(), Progress { weight, ..Progress::new(rollout) })
        };
        let rollouts: BTreeMap<_, _> = self.config.rollouts.iter().map(progress).collect();
        let at = "2026-01-01T00:00:00Z";
        let agent = json!({"version": "", "pid": 1, "started": at, "configured": at, "applied": at, "adopted": false,
            "interfaces": [], "lastError": null});
        let published = serde_json::from_value(
            json!({"agent": agent, "drained": drained, "memory": self.memory, "rollouts": rollouts,
            "record": self.ledger.record()}),
        )?;
        let world = World::present(self.config.clone(), &published, &self.maps, self.now)
            .map_err(anyhow::Error::msg)?;
        let seen = decide_after(&world.memory, &world.config, &world.observed, world.now).desired;
        ensure!(standing(&seen) == standing(desired), "seen {seen:#?}\nserved {desired:#?}");
        Ok(())
    }

    /// New flows to a service: somebody takes them if there is somebody, and nobody does who should not.
    fn ask(&self, service: &Service, desired: &Desired, chance: &mut Chance) -> Result<usize> {
        let pools = sharing(service, desired);
        let lives = |pool: &&Pool| pool.members.iter().any(Member::usable);
        // A panic is of a service, and the dead of a pool take part if it is of all services that share it.
        let by_policy = service.shares.iter().any(|share| share.priority.is_some());
        let usable =
            if by_policy { !pools.is_empty() && pools.iter().all(lives) } else { pools.iter().any(lives) };
        // By chain a row goes to its next owner a while after it was announced, for all services of the pool.
        let chain = desired.services.iter().any(|service| service.tracking == Tracking::Chain);
        let vip = SocketAddr::new(service.vips[0].address, 443);
        let mut sent = 0;
        for _ in 0..FLOWS {
            let client = Ipv4Addr::from(u32::from(chance.word()) | 0x0b00_0000);
            let query =
                Query::new(Protocol::Tcp, SocketAddr::new(client.into(), chance.word().max(1)), vip)?.first();
            let answer =
                explain(&query, &self.maps, Known::configured(self.ledger.record()), &|_| String::new());
            let backend = answer.node.as_ref().and_then(|node| node.backend);
            ensure!(backend.is_some() || !usable, "nobody takes it: {answer:?}\n{pools:#?}");
            let Some(backend) = backend else { continue };
            sent += 1;
            ensure!(
                chain || !usable || may_take(backend, &pools),
                "{backend} takes it: {answer:?}\n{pools:#?}"
            );
        }
        Ok(sent)
    }

    /// Nothing changes any more but the time: there comes a moment from which on nothing is due.
    pub(crate) fn settle(&mut self) -> Result<()> {
        for _ in 0..SETTLED {
            let decision = self.decide();
            self.memory = decision.memory.clone();
            let Some(due) = decision.due else {
                let again = self.decide();
                ensure!(again == decision, "nothing is due, and the next decision is another");
                return Ok(());
            };
            ensure!(due > self.now, "what is due at {} is due again at {due}", self.now);
            self.now = due;
        }
        Err(anyhow::anyhow!("after {SETTLED} decisions something is still due"))
    }
}

/// Ways to all endpoints, by some interface.
fn ways(config: &Config) -> BTreeMap<IpAddr, NextHop> {
    let ways = Observed::all_well(config).next_hops.into_iter();
    ways.map(|(address, hop)| (address, NextHop { interface: 7, ..hop })).collect()
}

/// What of a decision rows depend on: weights of pools, and of endpoints that take part.
fn standing(desired: &Desired) -> impl PartialEq {
    let shares = desired.services.iter().flat_map(|service| &service.shares);
    let shares: Vec<_> = shares.map(|share| (share.pool.clone(), share.weight, share.panic)).collect();
    let members = desired.pools.iter().flat_map(|pool| &pool.members);
    let member = |member: &Member| {
        (member.address, member.weight, member.tenths, member.state, member.reach == Reach::Unresolved)
    };
    (shares, members.map(member).collect::<Vec<_>>())
}

/// Shares by a failover policy are whole rows, of all or of none.
fn sums(service: &Service) -> Result<()> {
    if service.shares.iter().any(|share| share.priority.is_none()) {
        return Ok(());
    }
    let weights: Vec<_> = service.shares.iter().map(|share| u32::from(share.weight)).collect();
    ensure!(weights.iter().all(|weight| weight.is_multiple_of(WEIGHT_OF_A_ROW)), "{weights:?}");
    let rows = weights.iter().sum::<u32>() / WEIGHT_OF_A_ROW;
    ensure!(rows == 0 || rows == CLUSTER_ROWS, "{rows} rows: {weights:?}");
    Ok(())
}

/// The pools of a service that have a share.
fn sharing<'a>(service: &Service, desired: &'a Desired) -> Vec<&'a Pool> {
    let shares = service.shares.iter().filter(|share| share.weight > 0);
    shares.filter_map(|share| desired.pools.iter().find(|pool| pool.name == share.pool)).collect()
}

/// Whether a backend may take new flows of a service with these pools.
fn may_take(backend: IpAddr, pools: &[&Pool]) -> bool {
    let own = |pool: &&&Pool| pool.members.iter().any(|member| member.address == backend);
    let Some(pool) = pools.iter().find(own) else { return false };
    // Where nobody else is, those that are taken out stand in.
    let alone = !pool.members.iter().any(Member::usable);
    let panics = |member: &Member| pool.panic && member.state == MemberState::Down;
    let may = |member: &Member| member.usable() || member.weight > 0 && panics(member);
    pool.members.iter().any(|member| member.address == backend && (alone || may(member)))
}
