//! Rules of `pools[].circuitBreaker`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{time, within};
use crate::config::file;
use crate::config::model::CircuitBreaker;
use crate::config::problem::Problems;

/// How often the program's counts are looked at is the shortest.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// Until what failed before is known to have: a SYN comes again after a second, and one that does is followed for 2.1 s.
const OPEN_FOR: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_hours(24);

pub(super) fn breaker(written: &file::CircuitBreaker, problems: &mut Problems) -> CircuitBreaker {
    let usual = CircuitBreaker::default();
    CircuitBreaker {
        failed_handshake_percent: within(
            written.failed_handshake_percent.as_ref(),
            usual.failed_handshake_percent,
            &(1..=100),
            problems,
        ),
        min_volume: within(written.min_volume.as_ref(), usual.min_volume, &(1..=100_000), problems),
        interval: time(written.interval.as_ref(), usual.interval, &INTERVALS, problems),
        open_for: time(written.open_for.as_ref(), usual.open_for, &OPEN_FOR, problems),
        half_open_percent: within(
            written.half_open_percent.as_ref(),
            usual.half_open_percent,
            &(1..=99),
            problems,
        ),
    }
}
