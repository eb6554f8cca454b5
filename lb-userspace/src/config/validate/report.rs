//! Rules of `clusters[].report`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{time, within};
use crate::config::file;
use crate::config::model::ClusterReport;
use crate::config::problem::Problems;

const INTERVAL: Duration = Duration::from_secs(10);
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(5);

pub(super) fn of_cluster(report: &file::ClusterReport, problems: &mut Problems) -> ClusterReport {
    ClusterReport {
        port: within(report.port.as_ref(), 0, &(1..=u16::MAX), problems),
        interval: time(report.interval.as_ref(), INTERVAL, &INTERVALS, problems),
    }
}
