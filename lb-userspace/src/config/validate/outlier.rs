//! Rules of `pools[].outlier`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{time, within};
use crate::config::file;
use crate::config::model::Outlier;
use crate::config::problem::Problems;
use crate::config::read::Located;

/// How often the program's counts are looked at is the shortest.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

pub(super) fn outlier(outlier: &Located<file::Outlier>, problems: &mut Problems) -> Outlier {
    let usual = Outlier::default();
    let rules = Outlier {
        consecutive_failures: within(
            outlier.consecutive_failures.as_ref(),
            usual.consecutive_failures,
            &(0..=100_000),
            problems,
        ),
        interval: time(outlier.interval.as_ref(), usual.interval, &TIMES, problems),
        base_ejection: time(outlier.base_ejection.as_ref(), usual.base_ejection, &TIMES, problems),
        max_ejection: time(outlier.max_ejection.as_ref(), usual.max_ejection, &TIMES, problems),
        max_ejection_percent: within(
            outlier.max_ejection_percent.as_ref(),
            usual.max_ejection_percent,
            &(0..=100),
            problems,
        ),
        failure_percent: within(
            outlier.failure_percent.as_ref(),
            usual.failure_percent,
            &(0..=100),
            problems,
        ),
        min_hosts: within(outlier.min_hosts.as_ref(), usual.min_hosts, &(1..=16_384), problems),
        min_volume: within(outlier.min_volume.as_ref(), usual.min_volume, &(1..=100_000), problems),
    };
    if rules.consecutive_failures == 0 && rules.failure_percent == 0 {
        let mend = "set `consecutiveFailures` or `failurePercent`, or remove `outlier`";
        problems.add(&outlier.place, "nothing takes an endpoint out", mend);
    }
    if rules.max_ejection < rules.base_ejection
        && let Some(at) = outlier.max_ejection.as_ref().or(outlier.base_ejection.as_ref())
    {
        let mend = "raise `maxEjection`, or lower `baseEjection`";
        problems.add(&at.place, "`maxEjection` is shorter than `baseEjection`", mend);
    }
    rules
}
