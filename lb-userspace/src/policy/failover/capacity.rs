//! Loads of priorities of which some are full, in integers.
//!
//! ```text
//! part(P) = health(P) · 100 / norm, rounded up          norm = min(100, Σ health), as in `load`
//! load(P) = min(what is left of 100, part(P), ceiling(P)), in order
//! what is left then: once more by health that is not taken in yet, no further than part and ceiling
//! what is left then: over all that have health, by health · capacity
//! ```
//!
//! Where health only tells who can take flows, it is 100 of those that have any.

use std::collections::BTreeMap;

use super::load::Healths;
use crate::apportion::apportion;

/// A service's flows are so many parts, of which ceilings are counted.
pub const FLOWS: u32 = 10_000;

/// What a priority can take of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of [`FLOWS`] new flows so many at most.
    pub ceiling: u32,
    /// Its capacity: what it counts for when all are full.
    pub capacity: u64,
}

impl Limit {
    /// The ceiling in percent; `None`: there is room for all.
    pub fn in_force(self) -> Option<u32> {
        (self.ceiling < FLOWS).then_some(self.ceiling * 100 / FLOWS)
    }
}

/// What the priorities of a service can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Health counts as it does without ceilings.
    pub by_health: bool,
    /// By priority.
    pub of: BTreeMap<usize, Limit>,
}

impl Limits {
    /// The load of each of these priorities, in percent.
    pub(super) fn loads<'a>(
        &self,
        priorities: impl Iterator<Item = &'a usize>,
        healths: &Healths,
    ) -> Vec<u32> {
        let free = Limit { ceiling: FLOWS, capacity: 0 };
        let limits: Vec<_> = priorities.map(|one| self.of.get(one).copied().unwrap_or(free)).collect();
        let [taken, real] = [&healths.taken, &healths.real].map(|health| counted(health, self.by_health));
        loads(&Healths { taken, real }, &limits)
    }
}

/// What counts of healths in percent.
pub(super) fn counted(healths: &[u32], by_health: bool) -> Vec<u32> {
    healths.iter().map(|health| if by_health || *health == 0 { *health } else { 100 }).collect()
}

/// What each priority would take in its turn, in percent, if none were full.
pub(super) fn parts(health: &[u32]) -> Vec<u32> {
    let norm = health.iter().sum::<u32>().clamp(1, 100);
    health.iter().map(|health| (health * 100).div_ceil(norm)).collect()
}

/// The load of each priority, in percent; they add up to 100, unless all healths are 0. `limits` are those of the same
/// priorities, in their order.
pub(super) fn loads(healths: &Healths, limits: &[Limit]) -> Vec<u32> {
    let mut left = 100;
    let mut loads = vec![0; limits.len()];
    for health in [&healths.taken, &healths.real] {
        for ((load, part), limit) in loads.iter_mut().zip(parts(health)).zip(limits) {
            let more = part.min(limit.in_force().unwrap_or(100)).saturating_sub(*load).min(left);
            *load += more;
            left -= more;
        }
    }
    let count = |(health, limit): (&u32, &Limit)| u64::from(*health).saturating_mul(limit.capacity.max(1));
    let counts: Vec<_> = healths.real.iter().zip(limits).map(count).collect();
    loads.iter_mut().zip(apportion(left, &counts)).for_each(|(load, more)| *load += more);
    loads
}
