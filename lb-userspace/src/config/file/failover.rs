//! `failoverPolicies`: which clusters come first, and what becomes of a service's flows when endpoints are down.

use schemars::JsonSchema;

use super::spill::Spill;
use crate::config::model::{OnViolation, ResilienceModel};
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Time, Word};
use crate::config::tree::Node;

/// Which clusters come first, and what becomes of a service's flows when endpoints are down. Either `priorities` or
/// `labels`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    deny_unknown_fields,
    extend("oneOf" = [{"required": ["priorities"]}, {"required": ["labels"]}])
)]
pub(crate) struct FailoverPolicy {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// Groups of clusters; the first takes all that it can.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub(crate) priorities: Option<Located<List<List<String>>>>,
    /// Labels of clusters; those come first that have the most of them alike with this gateway's cluster, from the first
    /// label on.
    #[schemars(length(min = 1))]
    pub(crate) labels: Option<Located<List<String>>>,
    /// How much more than its part an endpoint can take, in percent.
    #[schemars(range(min = 100, max = 1_000), extend("default" = 140))]
    pub(crate) overprovisioning_factor: Option<Located<Integer>>,
    /// Percent of the endpoints of a priority: with fewer up, and where other priorities cannot take it all, health counts
    /// for nothing. 0: never; flows for which nobody is up are dropped.
    #[schemars(range(min = 0, max = 100), extend("default" = 50))]
    pub(crate) panic_threshold: Option<Located<Integer>>,
    /// Endpoints of a pool: with fewer up it counts as having none.
    #[schemars(range(min = 0, max = 16_384), extend("default" = 0))]
    pub(crate) min_healthy_endpoints: Option<Located<Integer>>,
    /// How a pool gets flows back whose endpoints come up again; left out: at once.
    pub(crate) failback: Option<Located<Failback>>,
    /// Losses that services are to bear; none when left out.
    pub(crate) resilience: Option<Located<Resilience>>,
    /// What beside health moves flows to the next priority; nothing when left out.
    pub(crate) spill: Option<Located<Spill>>,
}

impl Read for FailoverPolicy {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let policy = Self {
            name: section.required("name"),
            priorities: section.optional("priorities"),
            labels: section.optional("labels"),
            overprovisioning_factor: section.optional("overprovisioningFactor"),
            panic_threshold: section.optional("panicThreshold"),
            min_healthy_endpoints: section.optional("minHealthyEndpoints"),
            failback: section.optional("failback"),
            resilience: section.optional("resilience"),
            spill: section.optional("spill"),
        };
        let mend = "list groups of clusters, `priorities: [[eu-1], [us-1]]`, or `labels`";
        section.any_of(&["priorities", "labels"], "nothing says which clusters come first", mend);
        section.close(&[]);
        Some(policy)
    }
}

/// How a pool gets flows back whose endpoints come up again.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Failback {
    /// `auto`: in steps, after a time; `manual`: when an operator says so (`spillway failback`).
    #[schemars(extend("default" = "auto"))]
    pub(crate) mode: Option<Located<Choice<FailbackMode>>>,
    /// `auto`: how long a pool must have been healthier before each step.
    #[schemars(extend("default" = "60s"))]
    pub(crate) hold_down: Option<Located<Time>>,
    /// `auto`: percent of health that a step adds.
    #[schemars(range(min = 1, max = 100), extend("default" = 20))]
    pub(crate) step_percent: Option<Located<Integer>>,
}

impl Read for Failback {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let failback = Self {
            mode: section.optional("mode"),
            hold_down: section.optional("holdDown"),
            step_percent: section.optional("stepPercent"),
        };
        section.close(&[]);
        Some(failback)
    }
}

/// Who decides that a pool gets flows back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailbackMode {
    /// Time.
    Auto,
    /// An operator.
    Manual,
}

impl Word for FailbackMode {
    const KNOWN: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("manual", Self::Manual)];
}

/// How many clusters can be lost while those that are left take everything.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Resilience {
    /// `N+1`: any one; `N+2`: any two.
    pub(crate) model: Required<Choice<ResilienceModel>>,
    /// What becomes of a drain after which it is not so.
    #[schemars(extend("default" = "warn"))]
    pub(crate) on_violation: Option<Located<Choice<OnViolation>>>,
}

impl Read for Resilience {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let resilience =
            Self { model: section.required("model"), on_violation: section.optional("onViolation") };
        section.close(&[]);
        Some(resilience)
    }
}

impl Word for ResilienceModel {
    const KNOWN: &'static [(&'static str, Self)] = &[("N+1", Self::NPlusOne), ("N+2", Self::NPlusTwo)];
}

impl Word for OnViolation {
    const KNOWN: &'static [(&'static str, Self)] = &[("warn", Self::Warn), ("refuse", Self::Refuse)];
}
