//! How far a rollout is. An agent publishes it, and the next agent goes on with it.

use std::fmt;
use std::mem::discriminant;

use serde::{Deserialize, Serialize};

use super::analysis::Run;
use super::split::Split;
use crate::config::model::{Rollout, Step};

/// How far a rollout is. Times are milliseconds of the kernel's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Its service.
    pub service: String,
    /// The pool that gives.
    pub from: String,
    /// The pool that gets.
    pub to: String,
    /// The steps that it goes by.
    pub steps: Vec<Step>,
    /// Which of them it is at, from 0.
    pub position: usize,
    /// What `to` has of what the two have together, in percent; `None`: what is configured.
    pub weight: Option<u8>,
    /// What it does.
    pub phase: Phase,
    /// Since when it is at this step.
    pub since: u64,
    /// Why it does not go on, for people; empty: nothing to say.
    pub reason: String,
    /// It went back once, and had gone somewhere.
    pub rehearsed: bool,
}

/// What a rollout does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Nobody started it.
    Idle,
    /// `to` is to get more, and nobody in it takes new flows.
    Waiting,
    /// It pauses.
    Pausing {
        /// When it goes on.
        until: u64,
    },
    /// It goes on when an operator says so.
    Paused(Cause),
    /// An analysis runs.
    Analysing(Run),
    /// It ended before it was complete.
    Aborted,
    /// An operator took it back.
    RolledBack,
    /// All steps are done.
    Complete,
}

/// Why an operator is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The step says so.
    Step,
    /// An operator paused it.
    Operator,
    /// An analysis says nothing.
    Inconclusive,
    /// The file has other steps than it went by.
    Changed,
}

impl Phase {
    /// Whether the rollout was started and is not over.
    pub fn is_under_way(&self) -> bool {
        !matches!(self, Self::Idle | Self::Aborted | Self::RolledBack | Self::Complete)
    }

    /// Its name in what is printed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Pausing { .. } => "pausing",
            Self::Paused(_) => "paused",
            Self::Analysing(_) => "analysing",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolledBack",
            Self::Complete => "complete",
        }
    }
}

impl Progress {
    /// Of a rollout that nobody started.
    pub fn new(rollout: &Rollout) -> Self {
        Self {
            service: rollout.service.clone(),
            from: rollout.from.clone(),
            to: rollout.to.clone(),
            steps: rollout.steps.clone(),
            position: 0,
            weight: None,
            phase: Phase::Idle,
            since: 0,
            reason: String::new(),
            rehearsed: false,
        }
    }

    /// Whether it is about the same service and pools; if not, the name has come to mean another rollout.
    pub fn concerns(&self, rollout: &Rollout) -> bool {
        self.service == rollout.service && self.from == rollout.from && self.to == rollout.to
    }

    /// How its pools divide; `None`: as is configured.
    pub fn split(&self) -> Option<Split<'_>> {
        Some(Split { service: &self.service, from: &self.from, to: &self.to, percent: self.weight? })
    }

    /// Whether people would say that it is where the other is: measurements apart.
    pub fn is_where(&self, other: &Self) -> bool {
        let phase = match (&self.phase, &other.phase) {
            (Phase::Paused(cause), Phase::Paused(other)) => cause == other,
            (phase, other) => discriminant(phase) == discriminant(other),
        };
        phase && (self.position, self.weight) == (other.position, other.weight)
    }

    /// What it does, in words.
    fn says(&self) -> String {
        match &self.phase {
            Phase::Idle => "was not started".to_owned(),
            Phase::Waiting => format!("waits until somebody in {} takes new flows", self.to),
            Phase::Pausing { .. } => "pauses".to_owned(),
            Phase::Paused(Cause::Step) => "waits to be promoted".to_owned(),
            Phase::Paused(_) => format!("is paused: {}", self.reason),
            Phase::Analysing(run) => format!("is analysed: {run}"),
            Phase::Aborted => format!("is aborted: {}", self.reason),
            Phase::RolledBack => "is rolled back".to_owned(),
            Phase::Complete => "is complete; set the pools' weights, then remove it from the file".to_owned(),
        }
    }
}

impl fmt::Display for Progress {
    /// `at step 2 of 6 (pause: {}) waits to be promoted; web-us has 10 % of what it and web-eu have together`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.steps.get(self.position).filter(|_| self.phase.is_under_way()) {
            write!(f, "at step {} of {} ({step}) ", self.position + 1, self.steps.len())?;
        }
        f.write_str(&self.says())?;
        match self.weight {
            Some(weight) => {
                write!(f, "; {} has {weight} % of what it and {} have together", self.to, self.from)
            }
            None => f.write_str("; the configured weights are in force"),
        }
    }
}
