//! The load of each priority, in integers, as Envoy computes it (`source/common/upstream/load_balancer_impl.cc`: what the
//! code does; the table in its documentation differs).
//!
//! ```text
//! health(P) = min(100, factor · healthy(P) / total(P));  norm = min(100, Σ health)
//! load(P)   = min(what is left, health(P) · 100 / norm), in order; the rest goes to the first P with health > 0
//! panic(P)  = norm < 100 and 100 · healthy(P) / total(P) < threshold
//! all P in panic: load(P) = 100 · total(P) / Σ total, the rest to the first P that has endpoints
//! ```
//!
//! Two things differ, for a balancer that cannot send again what a dead node swallows: in panic only endpoints count to which
//! there is a way, and those that drain or are ejected put nobody into panic.
//!
//! A third is health that is not taken in yet ([`super::super::failback`]): loads go by what is, as far as that is enough for
//! everything. Where it is not, what is held back is let in ([`relieve`]). Panic knows nothing of it.

use std::iter::Sum;

/// Endpoints: how many there are, and how many of them take new flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Those that take new flows.
    pub healthy: u32,
    /// All that would if they were up.
    pub total: u32,
    /// Those of all that an operator drains, or that are ejected: they are not healthy, and say nothing about the checks.
    pub draining: u32,
    /// Those of all that packets can be sent to, up or not.
    pub reachable: u32,
    /// What of their health is not taken in yet: percent of an endpoint's part, summed over the endpoints.
    pub withheld: u64,
}

impl Tally {
    /// Endpoints that can all be reached, and of which nobody drains any.
    pub fn new(healthy: u32, total: u32) -> Self {
        Self { healthy, total, draining: 0, reachable: total, withheld: 0 }
    }

    /// In percent, 100 at most: what of its part the tally can take, when each endpoint can take `factor` percent of its own.
    pub fn health(self, factor: u32) -> u32 {
        percent(self.capacity(factor), self.total).min(100)
    }

    /// What of its health is taken in.
    pub fn perceived(self, factor: u32) -> u32 {
        percent(self.capacity(factor).saturating_sub(self.withheld), self.total).min(100)
    }

    /// The same tally, of whose health no more than `most` percent are taken in.
    #[must_use]
    pub fn held_at(self, most: u32, factor: u32) -> Self {
        let taken = u64::from(most) * u64::from(self.total);
        Self { withheld: self.capacity(factor).saturating_sub(taken), ..self }
    }

    fn capacity(self, factor: u32) -> u64 {
        u64::from(self.healthy) * u64::from(factor)
    }

    /// The same; with fewer than `least` healthy, as if none were.
    #[must_use]
    pub fn at_least(self, least: u32) -> Self {
        Self { healthy: if self.healthy < least { 0 } else { self.healthy }, ..self }
    }

    /// Whether less than `threshold` percent of those that nobody drains are healthy. A tally of nobody has none.
    fn is_below(self, threshold: u32) -> bool {
        let asked = self.total.saturating_sub(self.draining).max(1);
        u64::from(self.healthy) * 100 < u64::from(asked) * u64::from(threshold)
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        let add = |sum: Self, one: Self| Self {
            healthy: sum.healthy + one.healthy,
            total: sum.total + one.total,
            draining: sum.draining + one.draining,
            reachable: sum.reachable + one.reachable,
            withheld: sum.withheld + one.withheld,
        };
        tallies.fold(Self::default(), add)
    }
}

/// What a priority gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// In percent of the service's new flows.
    pub load: u32,
    /// Health counts for nothing in it.
    pub panic: bool,
}

/// The load of each priority. The loads add up to 100, or are all 0 where nobody is healthy and there is no panic
/// (`threshold` 0).
pub fn levels(tallies: &[Tally], factor: u32, threshold: u32) -> Vec<Level> {
    levels_by(tallies, factor, threshold, |healths| by_health(&healths.taken))
}

/// Of priorities, in percent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Healths {
    /// What is taken in; of what is held back as much as is needed.
    pub(super) taken: Vec<u32>,
    /// As it is.
    pub(super) real: Vec<u32>,
}

impl Healths {
    pub(super) fn of(tallies: &[Tally], factor: u32) -> Self {
        let real: Vec<_> = tallies.iter().map(|tally| tally.health(factor)).collect();
        let taken: Vec<_> = tallies.iter().map(|tally| tally.perceived(factor)).collect();
        Self { taken: relieve(&taken, &real), real }
    }
}

/// The same, where `loads` says what follows from the healths; if all are in panic, sizes do.
pub(super) fn levels_by(
    tallies: &[Tally],
    factor: u32,
    threshold: u32,
    loads: impl Fn(&Healths) -> Vec<u32>,
) -> Vec<Level> {
    let norm = norm(tallies, factor);
    let panic: Vec<_> = tallies.iter().map(|tally| norm < 100 && tally.is_below(threshold)).collect();
    let all = panic.iter().all(|panic| *panic);
    let loads = if all { by_size(tallies) } else { loads(&Healths::of(tallies, factor)) };
    loads.into_iter().zip(panic).map(|(load, panic)| Level { load, panic }).collect()
}

/// In percent of a service's new flows: what all priorities together can take.
pub fn norm(tallies: &[Tally], factor: u32) -> u32 {
    tallies.iter().map(|tally| tally.health(factor)).sum::<u32>().min(100)
}

/// Each health that is taken in, in percent, raised toward the real one as far as all together come short of 100: first those
/// that come first.
fn relieve(taken: &[u32], real: &[u32]) -> Vec<u32> {
    let mut short = 100_u32.saturating_sub(taken.iter().sum());
    let raise = |(taken, real): (&u32, &u32)| {
        let more = real.saturating_sub(*taken).min(short);
        short -= more;
        taken + more
    };
    taken.iter().zip(real).map(raise).collect()
}

pub(super) fn by_health(health: &[u32]) -> Vec<u32> {
    let norm = health.iter().sum::<u32>().min(100);
    let mut left = 100;
    let mut loads = Vec::new();
    for one in health {
        let load = (one * 100).checked_div(norm).unwrap_or(0).min(left);
        left -= load;
        loads.push(load);
    }
    if let Some(first) = health.iter().position(|health| *health > 0) {
        loads[first] += left;
    }
    loads
}

/// By those that can be reached: nobody else gets anything in a panic either. Where there are none, the first gets all.
fn by_size(tallies: &[Tally]) -> Vec<u32> {
    let sizes: Vec<_> = tallies.iter().map(|tally| tally.reachable).collect();
    let total = sizes.iter().sum();
    let mut loads: Vec<_> = sizes.iter().map(|size| percent(u64::from(*size) * 100, total)).collect();
    let first = sizes.iter().position(|size| *size > 0).unwrap_or(0);
    let left = 100 - loads.iter().sum::<u32>();
    if let Some(load) = loads.get_mut(first) {
        *load += left;
    }
    loads
}

/// `part / whole`, rounded down; 0 of nothing.
fn percent(part: u64, whole: u32) -> u32 {
    part.checked_div(whole.into()).and_then(|percent| u32::try_from(percent).ok()).unwrap_or(0)
}
