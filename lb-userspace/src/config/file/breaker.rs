//! `pools[].circuitBreaker`: when clients' packets take a whole pool out.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Refused, Section};
use crate::config::scalar::{Integer, Time};
use crate::config::tree::Node;

/// When clients' packets take a whole pool out for a while.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CircuitBreaker {
    /// Percent of the pool's handshakes in an interval that must fail.
    #[schemars(range(min = 1, max = 100), extend("default" = 50))]
    pub(crate) failed_handshake_percent: Option<Located<Integer>>,
    /// Handshakes that are enough for that.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 100))]
    pub(crate) min_volume: Option<Located<Integer>>,
    /// How often it is judged.
    #[schemars(extend("default" = "10s"))]
    pub(crate) interval: Option<Located<Time>>,
    /// How long the pool is out before it is let in again.
    #[schemars(extend("default" = "30s"))]
    pub(crate) open_for: Option<Located<Time>>,
    /// Percent of the hash space that it is let into first.
    #[schemars(range(min = 1, max = 99), extend("default" = 1))]
    pub(crate) half_open_percent: Option<Located<Integer>>,
}

const REFUSED: &[Refused] = &[
    ("maxNewConnPerSec", "remove it; a breaker goes by handshakes that fail"),
    ("maxFlows", "remove it; a breaker goes by handshakes that fail"),
];

impl Read for CircuitBreaker {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let breaker = Self {
            failed_handshake_percent: section.optional("failedHandshakePercent"),
            min_volume: section.optional("minVolume"),
            interval: section.optional("interval"),
            open_for: section.optional("openFor"),
            half_open_percent: section.optional("halfOpenPercent"),
        };
        section.close(REFUSED);
        Some(breaker)
    }
}
