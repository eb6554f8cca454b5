//! How new flows go from one pool of a service to another, and what is asked meanwhile.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tls;
use crate::evidence::{Criterion, Metric};

/// A way from one pool of a service to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// A DNS label, unique.
    pub name: String,
    /// The service; no other rollout has it.
    pub service: String,
    /// The pool that gives. Both are the service's, and of one priority.
    pub from: String,
    /// The pool that gets.
    pub to: String,
    /// At least one; the last weight is 100.
    pub steps: Vec<Step>,
    /// How long a step that is no pause may take.
    pub progress_deadline: Duration,
    /// How it goes back.
    pub rollback: Rollback,
}

/// A step of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// `to` has so many percent of what the two have together, 0..=100.
    SetWeight(u8),
    /// Nothing happens for a time; `None`: until somebody says so.
    Pause(Option<Duration>),
    /// The analysis of this name must succeed.
    Analysis(String),
}

impl fmt::Display for Step {
    /// As the file has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetWeight(percent) => write!(f, "setWeight: {percent}"),
            Self::Pause(Some(time)) if time.subsec_millis() == 0 => write!(f, "pause: {}s", time.as_secs()),
            Self::Pause(Some(time)) => write!(f, "pause: {}ms", time.as_millis()),
            Self::Pause(None) => f.write_str("pause: {}"),
            Self::Analysis(name) => write!(f, "analysis: {name}"),
        }
    }
}

/// How a rollout goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rollback {
    /// What `to` has then: percent, 0..=99.
    pub weight: u8,
    /// It must have gone back once before it is promoted.
    pub require_rehearsal: bool,
}

/// What is measured before a rollout goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// A DNS label, unique.
    pub name: String,
    /// Where the number comes from.
    pub provider: Provider,
    /// Time before each measurement.
    pub interval: Duration,
    /// Measurements that make it succeed, 1 and more.
    pub count: u32,
    /// What the number is to be.
    pub success: Criterion,
    /// Measurements that may fail.
    pub failure_limit: u32,
    /// Measurements in a row that may not be possible.
    pub consecutive_error_limit: u32,
    /// Measurements that may say nothing.
    pub inconclusive_limit: u32,
}

/// Where an analysis gets its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// From what came to the pool within the interval; of fewer flows than these it says nothing.
    Dataplane {
        /// The number.
        metric: Metric,
        /// Flows that were followed.
        min_samples: u64,
    },
    /// From a server.
    Server(Inquiry),
}

/// What a server is asked by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins, with whom the certificate must be by; `None`: there is none.
    pub tls: Option<Tls>,
    /// Path and query, encoded.
    pub target: String,
    /// How long it may take altogether.
    pub timeout: Duration,
    /// What is looked for.
    pub sought: Sought,
}

/// Where an answer has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// It is the one sample of an instant query of Prometheus.
    Sample,
    /// It is where this JSON Pointer leads to.
    At(String),
}

impl Sought {
    /// What a number is called where people read of it.
    pub fn name(&self) -> &str {
        match self {
            Self::Sample => "the query",
            Self::At(pointer) if pointer.is_empty() => "the answer",
            Self::At(pointer) => pointer,
        }
    }
}
