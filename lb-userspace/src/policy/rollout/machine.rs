//! A rollout goes on:
//!
//! 1. `setWeight` is done at once, or as soon as somebody in `to` takes new flows.
//! 2. A pause is done after its time, or when an operator promotes the rollout.
//! 3. An analysis is done when it succeeds. Failed, or an error: the rollout is aborted. Inconclusive: an operator is to judge.
//! 4. A step that is no pause and takes longer than the progress deadline aborts the rollout.
//! 5. After the last step it is complete.
//!
//! An abort sets the weight that the rollback has, at once.

use super::analysis::{Measurement, Outcome, Run};
use super::progress::{Cause, Phase, Progress};
use crate::config::model::{Analysis, Config, Rollout, Step};
use crate::milliseconds::milliseconds;

/// A rollout and the analyses that its steps name.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The rollout.
    pub rollout: &'a Rollout,
    /// All analyses.
    pub analyses: &'a [Analysis],
}

impl<'a> Plan<'a> {
    /// Each of a configuration.
    pub fn all(config: &'a Config) -> impl Iterator<Item = Self> {
        config.rollouts.iter().map(|rollout| Self { rollout, analyses: &config.analyses })
    }

    /// The analysis of a step.
    pub(super) fn analysis(&self, step: Option<&Step>) -> Option<&'a Analysis> {
        let Some(Step::Analysis(name)) = step else { return None };
        self.analyses.iter().find(|analysis| analysis.name == *name)
    }
}

impl Progress {
    /// Goes on as far as it can at `now`; `ready`: somebody in `to` takes new flows.
    pub fn advance(&mut self, plan: Plan, ready: bool, now: u64) {
        // Each turn leaves a step behind or ends it.
        for _ in 0..=self.steps.len() {
            match (&self.phase, self.steps.get(self.position)) {
                (Phase::Waiting, Some(Step::SetWeight(percent))) if ready => {
                    self.weight = Some(*percent);
                    self.enter(plan, self.position + 1, now);
                }
                (Phase::Pausing { until }, _) if *until <= now => self.enter(plan, self.position + 1, now),
                (Phase::Waiting | Phase::Analysing(_), _) if self.deadline(plan) <= now => {
                    self.go_back(plan, Phase::Aborted, self.overdue(plan));
                }
                _ => return,
            }
        }
    }

    /// Takes in a measurement of the analysis that runs.
    pub fn measured(&mut self, plan: Plan, measurement: Measurement, now: u64) {
        let Some(analysis) = plan.analysis(self.steps.get(self.position)) else { return };
        let Phase::Analysing(run) = &mut self.phase else { return };
        let Some(outcome) = run.take(measurement, analysis, now) else { return };
        let found = format!("analysis {}: {run}", analysis.name);
        match outcome {
            Outcome::Successful => self.enter(plan, self.position + 1, now),
            Outcome::Failed => self.go_back(plan, Phase::Aborted, format!("failed {found}")),
            Outcome::Error => self.go_back(plan, Phase::Aborted, format!("no {found}")),
            Outcome::Inconclusive => {
                self.pause(Cause::Inconclusive, format!("inconclusive {found}"));
            }
        }
    }

    /// The analysis that runs, and when its next measurement is due.
    pub fn analysed<'a>(&self, plan: Plan<'a>) -> Option<(&'a Analysis, u64)> {
        let Phase::Analysing(run) = &self.phase else { return None };
        Some((plan.analysis(self.steps.get(self.position))?, run.due))
    }

    /// The interval before the next measurement begins now: nobody knows what was before.
    pub fn measure_anew(&mut self, plan: Plan, now: u64) {
        let analysis = plan.analysis(self.steps.get(self.position));
        if let (Phase::Analysing(run), Some(analysis)) = (&mut self.phase, analysis) {
            run.postpone(analysis, now);
        }
    }

    /// When time alone leads on; `None`: it does not.
    pub fn due(&self, plan: Plan) -> Option<u64> {
        match &self.phase {
            Phase::Waiting => Some(self.deadline(plan)),
            Phase::Pausing { until } => Some(*until),
            Phase::Analysing(run) => Some(run.due.min(self.deadline(plan))),
            _ => None,
        }
    }

    /// Takes in the file's steps. One that is under way keeps its position if those up to it are the same; else an operator is
    /// to say what becomes of it, until the file has them again.
    pub fn adapt(&mut self, rollout: &Rollout) {
        let walked = self.steps.get(..=self.position).unwrap_or(&self.steps);
        if self.phase.is_under_way() && !rollout.steps.starts_with(walked) {
            let reason = "the file has other steps than it went by: start it anew, or abort it";
            return self.pause(Cause::Changed, reason.to_owned());
        }
        self.steps.clone_from(&rollout.steps);
        if self.phase == Phase::Paused(Cause::Changed) {
            self.pause(Cause::Operator, "the file had other steps for a while".to_owned());
        }
    }

    /// Begins a step; behind the last one it is complete.
    pub(super) fn enter(&mut self, plan: Plan, position: usize, now: u64) {
        (self.position, self.since) = (position, now);
        self.reason = String::new();
        self.phase = match self.steps.get(position) {
            None => Phase::Complete,
            Some(Step::SetWeight(_)) => Phase::Waiting,
            Some(Step::Pause(None)) => Phase::Paused(Cause::Step),
            Some(Step::Pause(Some(time))) => {
                Phase::Pausing { until: now.saturating_add(milliseconds(*time)) }
            }
            step @ Some(Step::Analysis(_)) => match plan.analysis(step) {
                Some(analysis) => Phase::Analysing(Run::begin(analysis, now)),
                // The file names none that it does not have.
                None => Phase::Paused(Cause::Changed),
            },
        };
    }

    pub(super) fn pause(&mut self, cause: Cause, reason: String) {
        (self.phase, self.reason) = (Phase::Paused(cause), reason);
    }

    /// Gives `from` back what it had, in one step.
    pub(super) fn go_back(&mut self, plan: Plan, phase: Phase, reason: String) {
        let weight = plan.rollout.rollback.weight;
        self.rehearsed |= self.weight.is_some_and(|before| before != weight);
        (self.weight, self.phase, self.reason) = (Some(weight), phase, reason);
    }

    /// When a step that is no pause takes too long.
    pub fn deadline(&self, plan: Plan) -> u64 {
        self.since.saturating_add(milliseconds(plan.rollout.progress_deadline))
    }

    fn overdue(&self, plan: Plan) -> String {
        let seconds = plan.rollout.progress_deadline.as_secs();
        let step = self.steps.get(self.position).map(ToString::to_string).unwrap_or_default();
        format!("step {} ({step}) was not done within {seconds} s", self.position + 1)
    }
}
