//! How a service's flows are divided when endpoints of a cluster are down.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::spill::Spill;

/// A failover policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// A DNS label, unique.
    pub name: String,
    /// Which clusters come first.
    pub order: Order,
    /// How much more than its part an endpoint can take: percent, 100 and more.
    pub overprovisioning: u32,
    /// Percent of the endpoints of a priority; with fewer up, and where other priorities cannot take it all, health counts
    /// for nothing. 0: never.
    pub panic_threshold: u32,
    /// Endpoints of a pool; with fewer up, it counts as having none.
    pub min_healthy: u32,
    /// How the health of a pool that comes up again is taken in; `None`: at once.
    pub failback: Option<Failback>,
    /// What a service is to bear; `None`: nothing is asked of it.
    pub resilience: Option<Resilience>,
    /// How flows spill by capacity; `None`: by health alone.
    pub spill: Option<Spill>,
}

/// How the health of a pool that comes up again is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// In steps.
    Auto {
        /// How long it must have been above what is taken in, before each step.
        hold_down: Duration,
        /// What a step adds: percent, 1..=100.
        step: u32,
    },
    /// When an operator says so.
    Manual,
}

/// How many clusters a service can lose, by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resilience {
    /// As many can be lost at once.
    pub model: ResilienceModel,
    /// What becomes of a drain that takes more away.
    pub on_violation: OnViolation,
}

/// How many clusters can be lost while those that are left take everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ResilienceModel {
    /// Any one.
    #[serde(rename = "N+1")]
    NPlusOne,
    /// Any two.
    #[serde(rename = "N+2")]
    NPlusTwo,
}

impl ResilienceModel {
    /// The number of clusters.
    pub fn losses(self) -> usize {
        match self {
            Self::NPlusOne => 1,
            Self::NPlusTwo => 2,
        }
    }
}

impl fmt::Display for ResilienceModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N+{}", self.losses())
    }
}

/// What becomes of a drain after which a service could not bear what it is to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnViolation {
    /// It happens, and the answer says so.
    #[default]
    Warn,
    /// It does not, unless it is insisted on.
    Refuse,
}

impl FailoverPolicy {
    /// The factor unless the file says otherwise: what Envoy has.
    pub const OVERPROVISIONING: u32 = 140;
    /// The threshold unless the file says otherwise: what Envoy has.
    pub const PANIC_THRESHOLD: u32 = 50;
}

/// Which clusters come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Names of clusters by priority: no group is empty, no cluster in two.
    Groups(Vec<Vec<String>>),
    /// Names of labels: the more of them, from the first on, a cluster has alike with this gateway's, the earlier it comes.
    /// The gateway's cluster is known.
    Labels(Vec<String>),
}
