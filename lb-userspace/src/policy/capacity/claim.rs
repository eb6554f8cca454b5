//! Who asks clusters for room.

use std::collections::BTreeMap;

use super::{FLOWS, Perceived, Rate, Rates, Standings};
use crate::config::model::{Config, Service, Spill};
use crate::policy::failover::Turn;
use crate::policy::memory::ByPolicy;

/// Percent of the flows that a claim's demand was estimated from, times their root: four standard errors.
const ERRORS: u64 = 400;
/// What would differ by more, in percent, counts even if next to nothing is known.
const WIDEST: u64 = 50;

/// A service, or several of the same pools and policy, whose flows clusters are to have room for.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// The first of its pools by name: no other claim has it.
    pub(super) key: &'a str,
    pools: Vec<&'a str>,
    demand: Rate,
    /// How much of its capacity a cluster is to have, in percent.
    pub(super) target: u32,
    hysteresis: u32,
    /// By rank: the first priority first.
    pub(super) levels: Vec<Level<'a>>,
}

/// A priority of a claim.
#[derive(Debug)]
pub(in crate::policy) struct Level<'a> {
    /// Which one.
    pub(super) priority: usize,
    /// What of the claim's flows it would take in its turn, in percent.
    pub(super) part: u32,
    /// How much its clusters count in it beside each other; those that count nothing are not in it.
    pub(super) parts: BTreeMap<&'a str, u64>,
}

impl<'a> Level<'a> {
    /// A priority of a service with these pools' clusters.
    pub(in crate::policy) fn new(turn: &Turn, clusters: impl Iterator<Item = &'a str>) -> Self {
        let mut parts = BTreeMap::new();
        for (cluster, count) in clusters.zip(&turn.counts).filter(|(_, count)| **count > 0) {
            *parts.entry(cluster).or_default() += count;
        }
        Self { priority: turn.priority, part: turn.part, parts }
    }
}

/// All that there are, in the configuration's order. Services whose pools no other uses have one of their own.
pub(super) fn claims<'a>(
    config: &'a Config,
    rates: &Rates,
    standings: &Standings<'a>,
    taken: &ByPolicy<Perceived>,
    lost: &[&str],
) -> Vec<Claim<'a>> {
    let mut claims = Vec::<Claim>::new();
    for service in &config.services {
        let Some(spill) = standings.policy(service).and_then(|policy| policy.spill) else { continue };
        let Some(key) = key(service) else { continue };
        if !claims.iter().any(|claim| claim.key == key) {
            let levels = standings.levels(service, taken, lost);
            claims.push(Claim::new((service, key), rates, spill, levels));
        }
    }
    claims
}

/// What a service's claim is called; `None`: it has no pools.
pub(in crate::policy) fn key(service: &Service) -> Option<&str> {
    service.pools.iter().map(String::as_str).min()
}

impl<'a> Claim<'a> {
    fn new(
        (service, key): (&'a Service, &'a str),
        rates: &Rates,
        spill: Spill,
        levels: Vec<Level<'a>>,
    ) -> Self {
        let pools: Vec<_> = service.pools.iter().map(String::as_str).collect();
        let demand = pools.iter().filter_map(|pool| rates.get(*pool)).copied().sum();
        Self { key, pools, demand, target: spill.target, hysteresis: spill.hysteresis, levels }
    }

    pub(super) fn has(&self, pool: &str) -> bool {
        self.pools.contains(&pool)
    }

    /// How much ceilings must differ, in percent: the hysteresis, or what chance makes of an estimate from few flows.
    pub(super) fn band(&self) -> u64 {
        let chance = ERRORS.checked_div(self.demand.followed.isqrt()).unwrap_or(WIDEST);
        chance.max(self.hysteresis.into()).min(WIDEST)
    }

    /// What it asks its priority of this rank for when so much is left of its flows.
    pub(super) fn ask(&self, rank: usize, left: u32) -> u32 {
        self.levels.get(rank).map_or(0, |level| left.min(level.part * (FLOWS / 100)))
    }

    /// What clusters get when so many of [`FLOWS`] go to its priority of this rank, in [`FLOWS`] parts of a new flow per
    /// second, rounded up.
    pub(super) fn load(&self, rank: usize, flows: u32) -> impl Iterator<Item = (&'a str, u128)> {
        let parts = self.levels.get(rank).map(|level| &level.parts);
        let whole: u128 =
            parts.into_iter().flat_map(|parts| parts.values()).map(|part| u128::from(*part)).sum();
        let all = u128::from(self.demand.per_second) * u128::from(flows);
        let load =
            move |(cluster, part): (&&'a str, &u64)| (*cluster, (all * u128::from(*part)).div_ceil(whole));
        parts.into_iter().flatten().map(load)
    }
}
