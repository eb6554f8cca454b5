//! Rules of `healthChecks`: when nodes are asked, and how often.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::names::label;
use super::{check_kind, time, within};
use crate::config::file;
use crate::config::model::HealthCheck;
use crate::config::problem::Problems;
use crate::config::read::Located;
use crate::config::scalar::Time;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bounds of interval and timeout: below, probes would be the load; above, they say nothing.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);

const RISE: u32 = 2;
const FALL: u32 = 3;
/// Bounds of rise and fall.
const COUNTS: RangeInclusive<u32> = 1..=1000;

const JITTER_PERCENT: u8 = 10;

pub(super) fn check(
    check: &Located<file::HealthCheck>,
    base: &Path,
    problems: &mut Problems,
) -> Option<HealthCheck> {
    if let Some(name) = check.name.as_ref() {
        label(name, problems);
    }
    let port = check.port.as_ref().map(|port| within(Some(port), 1, &(1..=u16::MAX), problems));
    let kind = check.kind.as_ref().map(|kind| check_kind::kind(kind.value.0, check, base, problems));
    let interval = time(check.interval.as_ref(), INTERVAL, &TIMES, problems);
    let unhealthy_interval = time(check.unhealthy_interval.as_ref(), interval, &TIMES, problems);
    let timeout = timeout(check, interval, unhealthy_interval, problems);
    Some(HealthCheck {
        rise: within(check.rise.as_ref(), RISE, &COUNTS, problems),
        fall: within(check.fall.as_ref(), FALL, &COUNTS, problems),
        jitter_percent: within(check.jitter_percent.as_ref(), JITTER_PERCENT, &(0..=100), problems),
        name: check.name.as_ref()?.value.clone(),
        kind: kind??,
        via: check.via.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        port,
        interval,
        unhealthy_interval,
        timeout,
    })
}

/// The timeout; left out, it is the default or the shorter interval if that is shorter.
fn timeout(
    check: &file::HealthCheck,
    interval: Duration,
    unhealthy: Duration,
    problems: &mut Problems,
) -> Duration {
    let shorter = interval.min(unhealthy);
    let timeout = time(check.timeout.as_ref(), TIMEOUT.min(shorter), &TIMES, problems);
    if let Some(at) = check.timeout.as_ref().filter(|_| timeout > shorter) {
        let which = if interval <= unhealthy { "interval" } else { "unhealthy interval" };
        let shorter = Time(shorter);
        let reason = format!("the timeout, {}, is longer than the {which}, {shorter}", at.value);
        problems.add(&at.place, reason, format!("use at most `{shorter}`, or a longer {which}"));
    }
    timeout
}
