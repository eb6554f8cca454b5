//! Capacity spill: how much of a service's new flows each of its priorities can take.
//!
//! Flows are counted by pool ([`super::new_flows`]). A *claim* is the service, or the services of the same pools and policy,
//! whose flows the pools of a policy with `spill` get; its *demand* is what they get together, wherever they are sent. So
//! what is decided here does not change what it is decided by.
//!
//! 1. A cluster has room for a claim up to the policy's target of its capacity. What pools of no claim get at present is
//!    gone already.
//! 2. By rank, all first priorities, then all second ones, …: each claim asks its priority for what is left of its demand,
//!    no more than its health allows; of a cluster, for the part that its pools there have in the priority.
//! 3. Where more is asked of a cluster than it has room for, each claim gets the same part of what it asks; else what the
//!    others leave of the room. The least of that over the priority's clusters, by what the claim asks for, is its
//!    *ceiling*, in [`FLOWS`] parts of the demand.
//! 4. What fits under the ceiling is gone for later ranks.
//! 5. What is in force follows the ceilings past a hysteresis, and up again in steps ([`ceilings`]).
//!
//! All in integers; room is rounded down and use up.

pub mod ceilings;
pub(super) mod claim;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ceilings::{Ceilings, Wanted};
use claim::{Claim, claims};

use super::failback::Perceived;
use super::failover::capacity::FLOWS;
use super::memory::ByPolicy;
use super::new_flows::{Rate, Rates};
use super::shares::Standings;
use crate::config::model::{Cluster, Config};

/// Parts of a new flow per second in which room is counted.
const PARTS: u128 = FLOWS as u128;
/// More than any ceiling can be of use for: there is no limit.
const ENDLESS: u64 = 1 << 40;

/// The ceilings of all claims after those `before`, and when time alone leads to others. Where it is not known what pools
/// get, they stay.
pub(super) fn follow(
    before: &BTreeMap<String, Ceilings>,
    config: &Config,
    rates: Option<&Rates>,
    (standings, taken): (&Standings, &ByPolicy<Perceived>),
    now: u64,
) -> (BTreeMap<String, Ceilings>, Option<u64>) {
    let Some(rates) = rates else { return (configured(before, config, standings, taken), None) };
    let claims = claims(config, rates, standings, taken, &[]);
    let (mut kept, mut next) = (BTreeMap::new(), None);
    for (claim, wanted) in claims.iter().zip(wanted(config, rates, &claims)) {
        let known = before.get(claim.key).cloned().unwrap_or_default();
        let (ceilings, due) = known.follow(&wanted, claim.band(), now);
        next = next.into_iter().chain(due).min();
        if !ceilings.is_empty() {
            kept.insert(claim.key.to_owned(), ceilings);
        }
    }
    (kept, next)
}

/// Those of claims that there are.
fn configured(
    before: &BTreeMap<String, Ceilings>,
    config: &Config,
    standings: &Standings,
    taken: &ByPolicy<Perceived>,
) -> BTreeMap<String, Ceilings> {
    let claims = claims(config, &Rates::new(), standings, taken, &[]);
    let stays = |key: &String| claims.iter().any(|claim| claim.key == key.as_str());
    before.iter().filter(|(key, _)| stays(key)).map(|(key, one)| (key.clone(), one.clone())).collect()
}

/// The ceilings that there would be without any before, when `lost` clusters are down too.
pub(super) fn afresh(
    config: &Config,
    rates: &Rates,
    standings: &Standings,
    lost: &[&str],
) -> BTreeMap<String, Ceilings> {
    let claims = claims(config, rates, standings, &ByPolicy::new(), lost);
    let follow = |(claim, wanted): (&Claim, Wanted)| {
        (claim.key.to_owned(), Ceilings::default().follow(&wanted, claim.band(), 0).0)
    };
    claims.iter().zip(wanted(config, rates, &claims)).map(follow).collect()
}

/// What each cluster gets of pools that belong to no claim, in [`PARTS`].
fn elsewhere<'a>(config: &'a Config, rates: &Rates, claims: &[Claim]) -> BTreeMap<&'a str, u128> {
    let mut used = BTreeMap::new();
    for pool in config.pools.iter().filter(|pool| !claims.iter().any(|claim| claim.has(&pool.name))) {
        let rate = rates.get(&pool.name).copied().unwrap_or_default();
        *used.entry(pool.cluster.as_str()).or_insert(0) += u128::from(rate.per_second) * PARTS;
    }
    used
}

/// The ceilings of each claim, by priority; those of priorities that nobody can take anything in are left out.
fn wanted(config: &Config, rates: &Rates, claims: &[Claim]) -> Vec<Wanted> {
    let says = |cluster: &Cluster| Some(cluster.capacity?.new_connections);
    let capacities = config.clusters.iter().filter_map(|one| Some((one.name.as_str(), says(one)?)));
    let mut round = Round { capacities: capacities.collect(), used: elsewhere(config, rates, claims) };
    let mut left = vec![FLOWS; claims.len()];
    let mut wanted = vec![Wanted::new(); claims.len()];
    for rank in 0..claims.iter().map(|claim| claim.levels.len()).max().unwrap_or(0) {
        let asks: Vec<_> = claims.iter().zip(&left).map(|(claim, left)| claim.ask(rank, *left)).collect();
        let ceilings = round.ceilings(claims, rank, &asks);
        for (number, ceiling) in ceilings.into_iter().enumerate() {
            let (Some(ceiling), Some(level)) = (ceiling, claims[number].levels.get(rank)) else { continue };
            wanted[number].insert(level.priority, ceiling);
            let load = asks[number].min(u32::try_from(ceiling).unwrap_or(u32::MAX));
            left[number] -= load;
            round.take(&claims[number], rank, load);
        }
    }
    wanted
}

/// What clusters can take, and what of it is gone.
struct Round<'a> {
    /// New connections per second.
    capacities: BTreeMap<&'a str, u32>,
    /// In [`PARTS`].
    used: BTreeMap<&'a str, u128>,
}

impl<'a> Round<'a> {
    /// Of each claim that asks for so much of its priority of this rank; `None`: there is nobody in it.
    fn ceilings(&self, claims: &[Claim<'a>], rank: usize, asks: &[u32]) -> Vec<Option<u64>> {
        let mut asked = BTreeMap::new();
        for (claim, ask) in claims.iter().zip(asks) {
            for (cluster, part) in claim.load(rank, *ask) {
                *asked.entry(cluster).or_insert(0) += part;
            }
        }
        let ceiling = |(claim, ask): (&Claim<'a>, &u32)| {
            let level = claim.levels.get(rank)?;
            let within = level.parts.keys().map(|cluster| self.ceiling(claim, (rank, *ask), cluster, &asked));
            within.min()
        };
        claims.iter().zip(asks).map(ceiling).collect()
    }

    fn ceiling(
        &self,
        claim: &Claim<'a>,
        (rank, ask): (usize, u32),
        cluster: &str,
        asked: &BTreeMap<&'a str, u128>,
    ) -> u64 {
        let Some(capacity) = self.capacities.get(cluster) else { return ENDLESS };
        let target = u128::from(*capacity) * PARTS * u128::from(claim.target) / 100;
        let room = target.saturating_sub(self.used.get(cluster).copied().unwrap_or(0));
        let of =
            |flows: u32| claim.load(rank, flows).find(|(one, _)| *one == cluster).map_or(0, |(_, part)| part);
        let all = asked.get(cluster).copied().unwrap_or(0);
        let shared = (u128::from(ask) * room).checked_div(all).unwrap_or(0);
        let others = all.saturating_sub(of(ask));
        let beside = (u128::from(FLOWS) * room.saturating_sub(others)).checked_div(of(FLOWS));
        let ceiling = beside.map_or(u128::from(ENDLESS), |beside| beside.max(shared));
        u64::try_from(ceiling).unwrap_or(ENDLESS).min(ENDLESS)
    }

    fn take(&mut self, claim: &Claim<'a>, rank: usize, load: u32) {
        for (cluster, part) in claim.load(rank, load) {
            *self.used.entry(cluster).or_insert(0) += part;
        }
    }
}
