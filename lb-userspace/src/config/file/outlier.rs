//! `pools[].outlier`: when clients' packets take an endpoint out.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Section};
use crate::config::scalar::{Integer, Time};
use crate::config::tree::Node;

/// When clients' packets take an endpoint out for a while.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outlier {
    /// Handshakes in a row that must fail; 0: none do.
    #[schemars(range(min = 0, max = 100_000), extend("default" = 5))]
    pub(crate) consecutive_failures: Option<Located<Integer>>,
    /// How often shares of failed handshakes are compared.
    #[schemars(extend("default" = "10s"))]
    pub(crate) interval: Option<Located<Time>>,
    /// How long an endpoint is out the first time; the second time twice as long, and so on.
    #[schemars(extend("default" = "30s"))]
    pub(crate) base_ejection: Option<Located<Time>>,
    /// How long at most.
    #[schemars(extend("default" = "300s"))]
    pub(crate) max_ejection: Option<Located<Time>>,
    /// Percent of a pool's endpoints that may be out at a time; one always may.
    #[schemars(range(min = 0, max = 100), extend("default" = 10))]
    pub(crate) max_ejection_percent: Option<Located<Integer>>,
    /// Percent of its handshakes in an interval that must fail; 0: this is not asked.
    #[schemars(range(min = 0, max = 100), extend("default" = 85))]
    pub(crate) failure_percent: Option<Located<Integer>>,
    /// Endpoints with enough handshakes that there must be for that.
    #[schemars(range(min = 1, max = 16_384), extend("default" = 5))]
    pub(crate) min_hosts: Option<Located<Integer>>,
    /// Handshakes that are enough.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 50))]
    pub(crate) min_volume: Option<Located<Integer>>,
}

impl Read for Outlier {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let outlier = Self {
            consecutive_failures: section.optional("consecutiveFailures"),
            interval: section.optional("interval"),
            base_ejection: section.optional("baseEjection"),
            max_ejection: section.optional("maxEjection"),
            max_ejection_percent: section.optional("maxEjectionPercent"),
            failure_percent: section.optional("failurePercent"),
            min_hosts: section.optional("minHosts"),
            min_volume: section.optional("minVolume"),
        };
        section.close(&[]);
        Some(outlier)
    }
}
