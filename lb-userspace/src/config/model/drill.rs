//! Losing a cluster on purpose, for a part of the clients.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::evidence::Condition;

/// A drill that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// A DNS label, unique.
    pub name: String,
    /// What is done.
    pub terms: Terms,
    /// How long after the last time it is done again; `None`: when an operator says so.
    pub every: Option<Duration>,
}

/// What a drill does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The cluster that is lost.
    pub fail: String,
    /// In how much of the hash space, 1..=100.
    pub percent: u8,
    /// For how long.
    pub length: Duration,
    /// It ends at once when this holds of those who stand in.
    pub abort_if: Condition,
    /// Of fewer flows of theirs nothing is known.
    pub min_samples: u64,
}

impl Terms {
    /// In how much of the hash space, unless something else is said: as little as can be said.
    pub const PERCENT: u8 = 1;
    /// For how long, unless something else is said.
    pub const LENGTH: Duration = Duration::from_mins(1);
    /// How long it may be.
    pub const LENGTHS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
    /// When it ends at once, unless something else is said.
    pub const ABORT_IF: &'static str = "failed_handshake_ratio > 0.02";
    /// How many flows say something, unless something else is said: of so many one that fails by chance is no 2 %.
    pub const MIN_SAMPLES: u64 = 100;
}
