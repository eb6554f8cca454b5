use lb_ebpf::tables::Tables;
use serde::Serialize;

use super::Seen;
use crate::policy::rollout::analysis::Run;
use crate::policy::rollout::progress::{Phase, Progress};

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// Its name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The pool that gives.
    pub from: String,
    /// The pool that gets.
    pub to: String,
    /// `idle`, `waiting`, `pausing`, `paused`, `analysing`, `aborted`, `rolledBack` or `complete`.
    pub phase: &'static str,
    /// The step it is at, from 1; `None`: it is not under way.
    pub step: Option<usize>,
    /// All steps, as the file has them.
    pub steps: Vec<String>,
    /// What `to` has of what the two have together, in percent; `None`: what is configured.
    pub weight: Option<u8>,
    /// Seconds until the pause is over, or the next measurement is due, rounded up.
    pub due: Option<u64>,
    /// The analysis that runs.
    pub analysis: Option<RunView>,
    /// Whether it went back once.
    pub rehearsed: bool,
    /// All of this in words, with the reason.
    pub says: String,
}

/// An analysis that runs: its measurements so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Those that were successful.
    pub successful: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that said nothing.
    pub inconclusive: u32,
    /// Those that were not possible.
    pub errors: u32,
}

/// All rollouts, by name.
pub fn rollouts<T: Tables>(seen: &Seen<T>) -> Vec<RolloutView> {
    let rollouts = seen.published.rollouts.iter();
    rollouts.map(|(name, progress)| view(name, progress, seen.monotonic)).collect()
}

/// A service's, if it has one.
pub(super) fn of_service<T: Tables>(service: &str, seen: &Seen<T>) -> Option<RolloutView> {
    let mut rollouts = seen.published.rollouts.iter();
    let (name, progress) = rollouts.find(|(_, progress)| progress.service == service)?;
    Some(view(name, progress, seen.monotonic))
}

fn view(name: &str, progress: &Progress, now: u64) -> RolloutView {
    let due = match &progress.phase {
        Phase::Pausing { until } => Some(*until),
        Phase::Analysing(run) => Some(run.due),
        _ => None,
    };
    let run = |run: &Run| RunView {
        successful: run.successful,
        failed: run.failed,
        inconclusive: run.inconclusive,
        errors: run.errors,
    };
    RolloutView {
        name: name.to_owned(),
        service: progress.service.clone(),
        from: progress.from.clone(),
        to: progress.to.clone(),
        phase: progress.phase.name(),
        step: progress.phase.is_under_way().then_some(progress.position + 1),
        steps: progress.steps.iter().map(ToString::to_string).collect(),
        weight: progress.weight,
        due: due.map(|due| due.saturating_sub(now).div_ceil(1000)),
        analysis: if let Phase::Analysing(analysis) = &progress.phase { Some(run(analysis)) } else { None },
        rehearsed: progress.rehearsed,
        says: progress.to_string(),
    }
}
