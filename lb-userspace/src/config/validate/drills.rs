//! Rules of `drills`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::{Names, label, resolve};
use super::{time, within};
use crate::config::file;
use crate::config::model::{Drill, Terms};
use crate::config::problem::Problems;
use crate::config::read::Located;
use crate::config::scalar::Time;
use crate::evidence::Condition;

/// As long as anybody waits: a year.
const PAUSES: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24 * 366);

pub(super) fn drill(
    drill: &Located<file::Drill>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Drill> {
    if let Some(name) = drill.name.as_ref() {
        label(name, problems);
    }
    if let Some(cluster) = drill.fail.as_ref() {
        resolve("cluster", cluster, &names.clusters, problems);
    }
    let length = time(drill.length.as_ref(), Terms::LENGTH, &Terms::LENGTHS, problems);
    let every =
        drill.every.as_ref().map(|every| (every, time(Some(every), *PAUSES.start(), &PAUSES, problems)));
    if let Some((written, _)) =
        every.filter(|(written, every)| *every <= length && PAUSES.contains(&written.value.0))
    {
        let reason = format!("the drill takes {}, and is to be done every {}", Time(length), written.value);
        problems.add(&written.place, reason, "raise it, or lower `for`");
    }
    let usual = || Terms::ABORT_IF.parse::<Condition>().ok();
    let percent = within(drill.hash_slice_percent.as_ref(), Terms::PERCENT, &(1..=100), problems);
    let min_samples = within(drill.min_samples.as_ref(), Terms::MIN_SAMPLES, &(1..=1_000_000_000), problems);
    let terms = Terms {
        fail: drill.fail.as_ref()?.value.clone(),
        percent,
        length,
        abort_if: drill.abort_if.as_ref().map(|condition| condition.value).or_else(usual)?,
        min_samples,
    };
    Some(Drill { name: drill.name.as_ref()?.value.clone(), terms, every: every.map(|(_, every)| every) })
}
