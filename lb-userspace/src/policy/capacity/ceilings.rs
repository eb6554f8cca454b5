//! Ceilings in force: what is wanted, past a hysteresis.
//!
//! A ceiling changes only when the smaller of what is wanted and what is in force is less than the larger less the
//! hysteresis:
//!
//! 1. down, to what is wanted, at once: a cluster gets too much;
//! 2. up, by [`STEP`] and no further than is wanted, [`INTERVAL`] after the last change at the earliest.
//!
//! What is wanted above all flows counts as what it is, so that a ceiling just below them goes when demand falls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::failover::capacity::FLOWS;

/// A step up, of [`FLOWS`].
pub const STEP: u32 = 2_000;
/// Milliseconds between two changes of which the later one goes up: as long as demand is measured.
pub const INTERVAL: u64 = 10_000;

/// What priorities can take, of [`FLOWS`]; more than all: there is room.
pub(super) type Wanted = BTreeMap<usize, u64>;

/// What priorities may get of a claim, as it was decided last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ceilings {
    /// By priority, of [`FLOWS`]; those that may get all are left out.
    pub of: BTreeMap<usize, u32>,
    /// When one of them last changed, in milliseconds of the kernel's monotonic clock.
    pub changed: u64,
}

impl Ceilings {
    /// Whether every priority may get all.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// What comes after at `now`, and when time alone leads to more. `band`: the hysteresis in percent. A priority of which
    /// nothing is said keeps its ceiling.
    pub(super) fn follow(mut self, wanted: &Wanted, band: u64, now: u64) -> (Self, Option<u64>) {
        let may_rise = self.changed.saturating_add(INTERVAL) <= now;
        let (mut changed, mut rising) = (false, false);
        for (&priority, &wanted) in wanted {
            let before = self.of.get(&priority).copied().unwrap_or(FLOWS);
            let ceiling = next(before, wanted, band, may_rise);
            rising |= goal(ceiling, wanted, band) > ceiling;
            changed |= ceiling != before;
            self.of.insert(priority, ceiling);
        }
        self.of.retain(|_, ceiling| *ceiling < FLOWS);
        if changed {
            self.changed = now;
        }
        let due = rising.then(|| self.changed.saturating_add(INTERVAL));
        (self, due)
    }
}

/// Where a ceiling is to come to.
fn goal(before: u32, wanted: u64, band: u64) -> u32 {
    let (low, high) = (wanted.min(before.into()), wanted.max(before.into()));
    if low * 100 < high * (100 - band) { u32::try_from(wanted).unwrap_or(FLOWS).min(FLOWS) } else { before }
}

fn next(before: u32, wanted: u64, band: u64, may_rise: bool) -> u32 {
    let goal = goal(before, wanted, band);
    if goal > before { if may_rise { goal.min(before + STEP) } else { before } } else { goal }
}
