//! Rules of `analyses`.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::names::label;
use super::{provider, time, within};
use crate::config::file::{self, ProviderType};
use crate::config::model::{Analysis, Provider};
use crate::config::problem::Problems;
use crate::config::read::Located;

const INTERVAL: Duration = Duration::from_secs(10);
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
const COUNTS: RangeInclusive<u32> = 1..=10_000;
const LIMITS: RangeInclusive<u32> = 0..=10_000;
/// What Argo Rollouts has.
const ERRORS: u32 = 4;
/// Of so many a share is known to about a tenth.
const SAMPLES: u64 = 100;

pub(super) fn analysis(
    analysis: &Located<file::Analysis>,
    base: &Path,
    problems: &mut Problems,
) -> Option<Analysis> {
    if let Some(name) = analysis.name.as_ref() {
        label(name, problems);
    }
    let interval = time(analysis.interval.as_ref(), INTERVAL, &INTERVALS, problems);
    let count = within(analysis.count.as_ref(), 1, &COUNTS, problems);
    let mut limit = |limit: &Option<_>, default: u32| within(limit.as_ref(), default, &LIMITS, problems);
    let failure_limit = limit(&analysis.failure_limit, 0);
    let consecutive_error_limit = limit(&analysis.consecutive_error_limit, ERRORS);
    let inconclusive_limit = limit(&analysis.inconclusive_limit, 0);
    let provider = provider(analysis, base, problems);
    Some(Analysis {
        name: analysis.name.as_ref()?.value.clone(),
        provider: provider?,
        interval,
        count,
        success: analysis.success.as_ref()?.value,
        failure_limit,
        consecutive_error_limit,
        inconclusive_limit,
    })
}

fn provider(analysis: &file::Analysis, base: &Path, problems: &mut Problems) -> Option<Provider> {
    let min_samples = within(analysis.min_samples.as_ref(), SAMPLES, &(1..=1_000_000_000), problems);
    let kind = analysis.provider.as_ref()?.value.0;
    provider::keys_belong(kind, analysis, problems);
    if kind == ProviderType::Dataplane {
        return Some(Provider::Dataplane { metric: analysis.metric.as_ref()?.value.0, min_samples });
    }
    provider::inquiry(kind, analysis, base, problems).map(Provider::Server)
}
