//! Failback: the health of a pool that comes up again is taken in slowly.
//!
//! 1. A pool that nobody remembers has its health at once.
//! 2. Health that falls is taken in at once.
//! 3. Health that has been above what is taken in for the hold-down raises it by a step, and again after each further
//!    hold-down, up to what it is. Falling back to what is taken in begins the hold-down anew. A decision that comes late makes
//!    one step, not all that would have been due: what nobody watched is not proven.
//! 4. If an operator decides, nothing rises until told.
//!
//! From nothing to 100 percent it takes `⌈100 / step⌉` steps, each a hold-down after the one before.

use serde::{Deserialize, Serialize};

use super::desired::Hold;
use crate::config::model::Failback;
use crate::milliseconds::milliseconds;

/// What is taken in of a pool's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Perceived {
    /// In percent, never more than the health.
    pub percent: u32,
    /// Since when the health is above it, or was when it last rose, in milliseconds of the kernel's monotonic clock; `None`: it
    /// is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Perceived {
    /// Whether health is held back.
    pub fn is_held(self) -> bool {
        self.since.is_some()
    }

    /// How a pool of this health is held.
    pub(super) fn hold(self, health: u32, failback: Failback) -> Option<Hold> {
        self.since.map(|since| Hold { health, perceived: self.percent, until: due(since, failback) })
    }
}

/// What is taken in at `now` of a health of so many percent. `None`: nobody was ever up, so there is nothing to come back to.
pub(super) fn perceive(
    before: Option<Perceived>,
    health: u32,
    failback: Failback,
    now: u64,
) -> Option<Perceived> {
    let whole = Perceived { percent: health, since: None };
    let Some(before) = before else { return (health > 0).then_some(whole) };
    if health <= before.percent {
        return Some(whole);
    }
    let since = before.since.unwrap_or(now);
    Some(match failback {
        Failback::Auto { step, .. } if due(since, failback).is_some_and(|due| due <= now) => {
            let percent = before.percent.saturating_add(step).min(health);
            Perceived { percent, since: (percent < health).then_some(now) }
        }
        Failback::Auto { .. } | Failback::Manual => Perceived { since: Some(since), ..before },
    })
}

/// When a step is due.
fn due(since: u64, failback: Failback) -> Option<u64> {
    match failback {
        Failback::Auto { hold_down, .. } => Some(since.saturating_add(milliseconds(hold_down))),
        Failback::Manual => None,
    }
}

#[cfg(test)]
mod tests;
