//! Failover between clusters: how a service's flows are divided among priorities, and within one among pools.
//!
//! 1. Each cluster has a priority, by the policy's groups or by its labels ([`order`]).
//! 2. Each priority gets a load by the health of its endpoints ([`load`]), and where capacity counts, no more than it has room
//!    for ([`capacity`]).
//! 3. Within a priority each pool counts as much as its weight times its own health: `weight · min(100, factor · available
//!    / endpoints)`, of which no more counts than is taken in, as long as the health that is taken in of all of them adds up to the
//!    priority's load: who bore the flows of one that is held bears them still. In panic health counts for nothing.
//! 4. Loads become rows, and those weights, so that the compiled table has the percentages to the row ([`Part::weight`]).
//!
//! Rows are divided among priorities first, then within each: how many a priority has does not depend on what happens within
//! it, as long as its load does not.

pub mod capacity;
pub mod load;
pub mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use lb_common::flow::CLUSTER_ROWS;

use crate::apportion::apportion;
use capacity::Limits;
use load::{Healths, Level, Tally};

/// What a row of a cluster table counts for in a weight: the largest for which the weights of all rows fit 16 bits.
pub const WEIGHT_OF_A_ROW: u32 = u16::MAX as u32 / CLUSTER_ROWS;

/// A pool among those of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// Priority of its cluster; 0 comes first.
    pub priority: usize,
    /// Share among the pools of its priority, of no unit; 0: it takes no part.
    pub weight: u32,
    /// Its endpoints.
    pub tally: Tally,
}

/// Each health that is taken in, in percent, raised toward the real one as far as all together come short of `wanted`: by the
/// same part of what it lacks, rounded up.
fn relieve(taken: &[u32], real: &[u32], wanted: u32) -> Vec<u32> {
    let short = wanted.saturating_sub(taken.iter().sum());
    let lacks = || real.iter().zip(taken).map(|(real, taken)| real.saturating_sub(*taken));
    let all = lacks().sum::<u32>().max(1);
    let raise = |(taken, lack): (&u32, u32)| taken + (lack * short).div_ceil(all).min(lack);
    taken.iter().zip(lacks()).map(raise).collect()
}

/// How much each counts in a priority of this load: 0 for those of others.
fn counts(contenders: &[Contender], priority: usize, level: Level, overprovisioning: u32) -> Vec<u64> {
    let is_in = |one: &Contender| one.priority == priority && one.weight > 0;
    let of = |health: &dyn Fn(Tally) -> u32| -> Vec<u32> {
        contenders.iter().map(|one| if is_in(one) { health(one.tally) } else { 0 }).collect()
    };
    let health = if level.panic {
        of(&|tally| if tally.reachable > 0 { 100 } else { 0 })
    } else {
        let taken = of(&|tally| tally.perceived(overprovisioning));
        relieve(&taken, &of(&|tally| tally.health(overprovisioning)), level.load)
    };
    contenders.iter().zip(health).map(|(one, health)| u64::from(one.weight) * u64::from(health)).collect()
}

/// What a pool gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// Weight in force: [`WEIGHT_OF_A_ROW`] for each row, so that the table's own apportionment gives exactly these rows.
    pub weight: u16,
    /// Its priority is in panic: too few endpoints are up, so those that are down are used too.
    pub panic: bool,
}

/// The priorities that somebody takes part in, and all endpoints of each.
fn tallies(contenders: &[Contender]) -> BTreeMap<usize, Tally> {
    let mut tallies = BTreeMap::<_, Tally>::new();
    for one in contenders.iter().filter(|one| one.weight > 0) {
        let tally = tallies.entry(one.priority).or_default();
        *tally = [*tally, one.tally].into_iter().sum();
    }
    tallies
}

/// What a priority would take if none were full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Which one.
    pub priority: usize,
    /// In percent of the service's new flows; those that come before it may leave less.
    pub part: u32,
    /// How much each pool counts in it: 0 for those of others.
    pub counts: Vec<u64>,
}

/// What each priority would take in its turn. `by_health`: see [`Limits`].
pub fn turns(contenders: &[Contender], overprovisioning: u32, by_health: bool) -> Vec<Turn> {
    let tallies = tallies(contenders);
    let levels: Vec<_> = tallies.values().copied().collect();
    let parts = capacity::parts(&capacity::counted(&Healths::of(&levels, overprovisioning).taken, by_health));
    let turn = |(priority, part): (&usize, u32)| {
        let level = Level { load: part, panic: false };
        let counts = counts(contenders, *priority, level, overprovisioning);
        Turn { priority: *priority, part, counts }
    };
    tallies.keys().zip(parts).map(turn).collect()
}

/// Divides the rows of a service's cluster table among its pools.
///
/// `overprovisioning` in percent: how much more than its part an endpoint can take. `panic_threshold` in percent of the
/// endpoints of a priority: below it health counts for nothing, if the other priorities cannot take it all; 0: never.
pub fn divide(contenders: &[Contender], overprovisioning: u32, panic_threshold: u32) -> Vec<Part> {
    divide_within(contenders, overprovisioning, panic_threshold, None)
}

/// The same within what priorities can take; `None`: health alone counts.
pub fn divide_within(
    contenders: &[Contender],
    overprovisioning: u32,
    panic_threshold: u32,
    limits: Option<&Limits>,
) -> Vec<Part> {
    let tallies = tallies(contenders);
    let levels: Vec<_> = tallies.values().copied().collect();
    let loads = |healths: &Healths| match limits {
        Some(limits) => limits.loads(tallies.keys(), healths),
        None => load::by_health(&healths.taken),
    };
    let levels = load::levels_by(&levels, overprovisioning, panic_threshold, loads);
    let loads: Vec<_> = levels.iter().map(|level| level.load).collect();
    let mut parts = vec![Part::default(); contenders.len()];
    let rows = apportion(CLUSTER_ROWS, &loads);
    for ((priority, level), rows) in tallies.into_keys().zip(levels).zip(rows) {
        let counts = counts(contenders, priority, level, overprovisioning);
        for (position, rows) in apportion(rows, &counts).into_iter().enumerate().filter(|(_, rows)| *rows > 0)
        {
            let weight = u16::try_from(rows * WEIGHT_OF_A_ROW).unwrap_or(u16::MAX);
            parts[position] = Part { weight, panic: level.panic };
        }
    }
    parts
}
