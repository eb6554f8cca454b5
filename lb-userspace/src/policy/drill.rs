//! Drills: a cluster is lost on purpose, in a part of the hash space and for a time, so that it is known what becomes of its
//! flows. Pure.
//!
//! 1. [`begin`] says what speaks against it.
//! 2. While it runs the cluster's pools are kept out ([`super::slices`]) of so much of the hash space.
//! 3. Those who stand in are watched: all other pools of the services whose flows the cluster had. When what clients' packets
//!    say of them since the beginning is as `abort_if` says, the drill is *aborted*; else it is *done* after its time. An
//!    operator, or a configuration without it, *stops* it.
//!
//! One drill runs at a time. What it found stays until the next one.

pub mod begin;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::slices::{KeptOut, Slices};
use crate::config::model::{Config, Terms};
use crate::evidence::{Reading, figure};
use crate::milliseconds::milliseconds;

/// A drill that runs, or the last one that did. Times are milliseconds of the kernel's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// Its name in the configuration; `None`: an operator said what is to be done.
    pub name: Option<String>,
    /// What is done.
    pub terms: Terms,
    /// When it began.
    pub began: u64,
    /// The same in milliseconds since the Unix epoch, for people.
    pub began_unix: u64,
    /// By service whose flows the cluster had: how many of its 4,096 rows others have meanwhile.
    pub moved: BTreeMap<String, u32>,
    /// What became of flows of those who stand in.
    pub found: Found,
    /// `None`: it runs.
    pub end: Option<End>,
}

/// What clients' packets said.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The number that the drill is aborted by; `None`: there is none, or a time that no bucket has.
    pub value: Option<f64>,
    /// Flows that it is made of.
    pub samples: u64,
}

// A value is a ratio or a time, and so equals itself.
impl Eq for Found {}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// When.
    pub at: u64,
    /// Why.
    pub outcome: Outcome,
    /// The same in words; empty: its time was over.
    pub reason: String,
}

/// Why a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Its time was over.
    Done,
    /// Those who stood in did not do well.
    Aborted,
    /// Somebody said so.
    Stopped,
}

impl Outcome {
    /// As `spillway drill status` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Stopped => "stopped",
        }
    }
}

impl Drill {
    /// Whether it has not ended.
    pub fn runs(&self) -> bool {
        self.end.is_none()
    }

    /// When its time is over.
    pub fn until(&self) -> u64 {
        self.began.saturating_add(milliseconds(self.terms.length))
    }

    /// Why it cannot go on with a configuration.
    pub fn forsaken(&self, config: &Config) -> Option<&'static str> {
        let named = |name: &String| config.drills.iter().any(|drill| drill.name == *name);
        if !self.name.as_ref().is_none_or(named) {
            Some("it is no longer configured")
        } else if !config.clusters.iter().any(|cluster| cluster.name == self.terms.fail) {
            Some("the cluster is no longer configured")
        } else if config.gateway.evidence.is_none() {
            Some("flows are no longer followed")
        } else {
            None
        }
    }

    /// What it keeps pools out of.
    pub fn slices(&self, config: &Config) -> Slices {
        let reason = format!("{self}");
        let kept_out =
            |pool: &str| (pool.to_owned(), KeptOut { percent: self.terms.percent, reason: reason.clone() });
        let pools = config.pools.iter().filter(|pool| self.runs() && pool.cluster == self.terms.fail);
        pools.map(|pool| kept_out(&pool.name)).collect()
    }

    /// The pools that stand in: the others of the services whose flows the cluster had.
    pub fn others<'a>(&self, config: &'a Config) -> BTreeSet<&'a str> {
        let concerned = config.services.iter().filter(|service| self.moved.contains_key(&service.name));
        let named: BTreeSet<_> = concerned.flat_map(|service| &service.pools).collect();
        let pools = config.pools.iter().filter(|pool| named.contains(&pool.name));
        pools.filter(|pool| pool.cluster != self.terms.fail).map(|pool| pool.name.as_str()).collect()
    }

    /// Takes in what came to those who stand in since it began; whether it ends by that, or by the time.
    pub fn look(&mut self, reading: &Reading, now: u64) -> bool {
        let Terms { abort_if, min_samples, .. } = self.terms;
        let samples = abort_if.metric.samples(reading);
        let value = abort_if.metric.value(reading);
        // Of an agent that took over it is less, until it saw as much.
        if samples >= self.found.samples {
            self.found = Found { value: value.filter(|value| value.is_finite()), samples };
        }
        if abort_if.holds(reading, min_samples) {
            let name = abort_if.metric.name();
            let value = value.map_or_else(String::new, |value| format!(" is {}", figure(value)));
            self.finish(Outcome::Aborted, format!("{name}{value} of {samples} flows of the others"), now);
        } else if now >= self.until() {
            self.finish(Outcome::Done, String::new(), now);
        }
        !self.runs()
    }

    /// Ends it because somebody says so.
    pub fn stop(&mut self, reason: &str, now: u64) {
        self.finish(Outcome::Stopped, reason.to_owned(), now);
    }

    fn finish(&mut self, outcome: Outcome, reason: String, now: u64) {
        self.end = Some(End { at: now, outcome, reason });
    }
}

impl fmt::Display for Drill {
    /// `drill weekly`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "drill {name}"),
            None => f.write_str("a drill"),
        }
    }
}

impl fmt::Display for Found {
    /// `0.013 of 480 flows`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{} of {} flows", figure(value), self.samples),
            None if self.samples == 0 => f.write_str("not known, of no flows"),
            None => write!(f, "beyond all bounds, of {} flows", self.samples),
        }
    }
}
