//! Several measurements make an analysis. The rules are those of Argo Rollouts' `AnalysisRun`
//! (<https://argoproj.github.io/argo-rollouts/features/analysis/>):
//!
//! 1. A measurement is successful if the number is what it is to be, else it failed. If there is no number, or it is made of
//!    too little, it is inconclusive; if nobody could be asked, an error.
//! 2. More failed ones than `failureLimit`: the analysis failed. Else more inconclusive ones than `inconclusiveLimit`: it is
//!    inconclusive. Else more errors in a row than `consecutiveErrorLimit`: it is an error.
//! 3. Else, with `count` measurements, it is successful. An error is none of them: the measurement is made again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::model::Analysis;
use crate::evidence::{Criterion, Metric, Reading, figure};
use crate::milliseconds::milliseconds;

/// What came of a measurement, or of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The number is what it is to be.
    Successful,
    /// It is not.
    Failed,
    /// It says nothing.
    Inconclusive,
    /// Nobody could be asked.
    Error,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// What came of it.
    pub outcome: Outcome,
    /// What was found, for people.
    pub found: String,
}

impl Measurement {
    /// Of a number of a name; `None`: there is none.
    pub fn of(name: &str, value: Option<f64>, success: Criterion) -> Self {
        let Some(value) = value.filter(|value| !value.is_nan()) else {
            return Self { outcome: Outcome::Inconclusive, found: format!("{name} has no value") };
        };
        let outcome = if success.holds(value) { Outcome::Successful } else { Outcome::Failed };
        Self { outcome, found: format!("{name} is {}, to be {success}", figure(value)) }
    }

    /// Of what a server was asked for: a number, none, or why nobody knows.
    pub fn of_answer(name: &str, number: Result<Option<f64>, String>, success: Criterion) -> Self {
        match number {
            Ok(value) => Self::of(name, value, success),
            Err(found) => Self { outcome: Outcome::Error, found },
        }
    }

    /// Of what came to a pool; of fewer flows than `least` it says nothing.
    pub fn of_flows(metric: Metric, reading: &Reading, least: u64, success: Criterion) -> Self {
        let samples = metric.samples(reading);
        let Self { outcome, found } = Self::of(metric.name(), metric.value(reading), success);
        if samples < least {
            let found = format!("{found}, of {samples} flows, fewer than {least}");
            return Self { outcome: Outcome::Inconclusive, found };
        }
        Self { outcome, found: format!("{found}, of {samples} flows") }
    }
}

/// An analysis that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// When the next measurement is due, in milliseconds of the kernel's monotonic clock.
    pub due: u64,
    /// Measurements that were successful.
    pub successful: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that said nothing.
    pub inconclusive: u32,
    /// Those that were not possible.
    pub errors: u32,
    /// The latest of them, without another between.
    pub consecutive_errors: u32,
    /// What the last one found; empty: there was none.
    pub last: String,
}

impl Run {
    /// One that begins: the first measurement is due after an interval.
    pub fn begin(analysis: &Analysis, now: u64) -> Self {
        Self {
            due: now.saturating_add(milliseconds(analysis.interval)),
            successful: 0,
            failed: 0,
            inconclusive: 0,
            errors: 0,
            consecutive_errors: 0,
            last: String::new(),
        }
    }

    /// Takes in a measurement made `now`. What came of the analysis; `None`: it goes on.
    pub fn take(&mut self, measurement: Measurement, analysis: &Analysis, now: u64) -> Option<Outcome> {
        let Measurement { outcome, found } = measurement;
        let count = match outcome {
            Outcome::Successful => &mut self.successful,
            Outcome::Failed => &mut self.failed,
            Outcome::Inconclusive => &mut self.inconclusive,
            Outcome::Error => &mut self.errors,
        };
        *count = count.saturating_add(1);
        let in_a_row = self.consecutive_errors.saturating_add(1);
        self.consecutive_errors = if outcome == Outcome::Error { in_a_row } else { 0 };
        self.last = found;
        self.postpone(analysis, now);
        self.verdict(analysis)
    }

    /// The interval before the next measurement begins now.
    pub fn postpone(&mut self, analysis: &Analysis, now: u64) {
        self.due = now.saturating_add(milliseconds(analysis.interval));
    }

    /// Measurements that were made.
    pub fn made(&self) -> u32 {
        self.successful.saturating_add(self.failed).saturating_add(self.inconclusive)
    }

    fn verdict(&self, analysis: &Analysis) -> Option<Outcome> {
        let rules = [
            (self.failed > analysis.failure_limit, Outcome::Failed),
            (self.inconclusive > analysis.inconclusive_limit, Outcome::Inconclusive),
            (self.consecutive_errors > analysis.consecutive_error_limit, Outcome::Error),
            (self.made() >= analysis.count, Outcome::Successful),
        ];
        rules.into_iter().find(|(holds, _)| *holds).map(|(_, outcome)| outcome)
    }
}

impl fmt::Display for Run {
    /// `3 successful, 1 failed; failed_handshake_ratio is 0.2, to be < 0.01, of 430 flows`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} successful", self.successful)?;
        let others = [(self.failed, "failed"), (self.inconclusive, "inconclusive"), (self.errors, "errors")];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        if self.last.is_empty() { Ok(()) } else { write!(f, "; {}", self.last) }
    }
}
