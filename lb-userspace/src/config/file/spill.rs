//! `failoverPolicies[].spill`: what beside health moves flows to the next priority.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Section, expected};
use crate::config::scalar::{Choice, Word};
use crate::config::tree::{Node, Value};

/// What moves flows to the next priority.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Spill {
    /// `health`: endpoints that are down; `capacity`: demand beyond what clusters can take; `both`.
    #[schemars(extend("default" = "health"))]
    pub(crate) mode: Option<Located<Choice<SpillMode>>>,
    /// `capacity`, `both`: how much of its capacity a cluster is to have.
    #[schemars(range(min = 0.01, max = 1.0), extend("default" = 0.8))]
    pub(crate) target_utilization: Option<Located<Fraction>>,
    /// `capacity`, `both`: by how much what is wanted must differ from what is in force.
    #[schemars(range(min = 0.0, max = 0.5), extend("default" = 0.1))]
    pub(crate) hysteresis: Option<Located<Fraction>>,
}

impl Read for Spill {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let spill = Self {
            mode: section.optional("mode"),
            target_utilization: section.optional("targetUtilization"),
            hysteresis: section.optional("hysteresis"),
        };
        section.close(&[]);
        Some(spill)
    }
}

impl Spill {
    /// Whether capacity counts.
    pub(crate) fn by_capacity(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode.value.0 != SpillMode::Health)
    }
}

/// What moves flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpillMode {
    /// Endpoints that are down.
    Health,
    /// Demand beyond what clusters can take.
    Capacity,
    /// Either.
    Both,
}

impl Word for SpillMode {
    const KNOWN: &'static [(&'static str, Self)] =
        &[("health", Self::Health), ("capacity", Self::Capacity), ("both", Self::Both)];
}

/// A part of a whole, in percent: a number with two decimals at most. The bounds are the validation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction(pub(crate) i64);

impl Read for Fraction {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let number = match node.value {
            Value::Integer(value) => i64::try_from(value).ok().and_then(|value| value.checked_mul(100)),
            Value::Float(value) => in_percent(value),
            _ => None,
        };
        if number.is_none() {
            expected("a number with two decimals at most, such as `0.8`", node, place, problems);
        }
        number.map(Self)
    }
}

/// `None`: it has more than two decimals, or is far beyond any part of a whole.
#[expect(clippy::cast_possible_truncation, reason = "it is below a million")]
fn in_percent(value: f64) -> Option<i64> {
    let percent = (value * 100.0).round();
    let exact = (value * 100.0 - percent).abs() < 1e-6 && percent.abs() < 1e6;
    exact.then_some(percent as i64)
}

impl JsonSchema for Fraction {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}
