//! `drills`: losing a cluster on purpose, for a part of the clients.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Required, Section, spoken};
use crate::config::scalar::{Integer, Time};
use crate::config::tree::Node;
use crate::evidence::Condition;

/// Losing a cluster on purpose, for a part of the clients.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Drill {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// The cluster that is lost.
    pub(crate) fail: Required<String>,
    /// In how much of the hash space, in percent.
    #[schemars(range(min = 1, max = 100), extend("default" = 1))]
    pub(crate) hash_slice_percent: Option<Located<Integer>>,
    /// For how long.
    #[schemars(rename = "for", extend("default" = "60s"))]
    pub(crate) length: Option<Located<Time>>,
    /// It ends at once when this holds of those who stand in.
    #[schemars(extend("default" = "failed_handshake_ratio > 0.02"))]
    pub(crate) abort_if: Option<Located<Condition>>,
    /// Flows of theirs that must have been followed before that is asked.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("default" = 100))]
    pub(crate) min_samples: Option<Located<Integer>>,
    /// How long after the last time it is done again; without it only `spillway drill run` does it.
    pub(crate) every: Option<Located<Time>>,
}

impl Read for Drill {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let drill = Self {
            name: section.required("name"),
            fail: section.required("fail"),
            hash_slice_percent: section.optional("hashSlicePercent"),
            length: section.optional("for"),
            abort_if: section.optional("abortIf"),
            min_samples: section.optional("minSamples"),
            every: section.optional("every"),
        };
        section.close(&[]);
        Some(drill)
    }
}

impl Read for Condition {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mend = "write a metric, `<`, `<=`, `>` or `>=`, and a number, in quotes";
        spoken("a condition such as `\"failed_handshake_ratio > 0.02\"`", mend, node, place, problems)
    }
}

impl JsonSchema for Condition {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^ *[a-z0-9_]+ *(<|<=|>|>=) *[-+0-9.eE]+ *$"})
    }
}
