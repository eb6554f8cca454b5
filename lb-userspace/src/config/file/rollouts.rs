//! `rollouts`: how new flows of a service go from one pool to another, step by step.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Refused, Required, Section};
use crate::config::scalar::{Integer, Time};
use crate::config::tree::{Node, Value};

/// How new flows of a service go from one pool to another.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rollout {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// Whose flows; a service has one rollout at most.
    pub(crate) service: Required<String>,
    /// The pool of the service that has them.
    pub(crate) from: Required<String>,
    /// The pool of the service that is to have them.
    pub(crate) to: Required<String>,
    /// What is done, one after another, from `spillway rollout start` on; the last weight is 100.
    #[schemars(length(min = 1))]
    pub(crate) steps: Required<List<Step>>,
    /// How long a step may take; pauses are no part of it. Afterwards the rollout is aborted.
    #[schemars(extend("default" = "600s"))]
    pub(crate) progress_deadline: Option<Located<Time>>,
    /// How it goes back.
    pub(crate) rollback: Option<Located<Rollback>>,
}

impl Read for Rollout {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let rollout = Self {
            name: section.required("name"),
            service: section.required("service"),
            from: section.required("from"),
            to: section.required("to"),
            steps: section.required("steps"),
            progress_deadline: section.optional("progressDeadline"),
            rollback: section.optional("rollback"),
        };
        section.close(&[]);
        Some(rollout)
    }
}

/// A step: one of the keys.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    deny_unknown_fields,
    extend("minProperties" = 1, "maxProperties" = 1)
)]
pub(crate) struct Step {
    /// Percent of what the two pools have together that `to` gets.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) set_weight: Option<Located<Integer>>,
    /// How long nothing happens; `{}`: until somebody says `spillway rollout promote`.
    pub(crate) pause: Option<Located<Pause>>,
    /// Name of an analysis that is to succeed.
    pub(crate) analysis: Option<Located<String>>,
}

impl Read for Step {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let step = Self {
            set_weight: section.optional("setWeight"),
            pause: section.optional("pause"),
            analysis: section.optional("analysis"),
        };
        let mend = "write `setWeight: 10`, `pause: 10m`, `pause: {}` or `analysis: NAME`";
        section.any_of(&["setWeight", "pause", "analysis"], "the step does nothing", mend);
        section.close(&[]);
        Some(step)
    }
}

/// How long a pause is; `None`: until somebody ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause(pub(crate) Option<Time>);

impl Read for Pause {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Map(_) => {
                Section::open(node, place, problems)?.close(&[("duration", "write `pause: 10m`")]);
                Some(Self(None))
            }
            _ => Time::read(node, place, problems).map(|time| Self(Some(time))),
        }
    }
}

impl JsonSchema for Pause {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pause".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "object"], "pattern": "^[0-9]+(ms|s|m|h)$", "additionalProperties": false})
    }
}

/// How a rollout goes back.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rollback {
    /// Percent of what the two pools have together that `to` has after an abort or a rollback.
    #[schemars(range(min = 0, max = 99), extend("default" = 0))]
    pub(crate) weight: Option<Located<Integer>>,
    /// Whether the rollout must have gone back once before it is promoted.
    #[schemars(extend("default" = false))]
    pub(crate) require_rehearsal: Option<Located<bool>>,
}

const REFUSED: &[Refused] =
    &[("drain", "remove it; connections that are open stay where they are until they end")];

impl Read for Rollback {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let rollback = Self {
            weight: section.optional("weight"),
            require_rehearsal: section.optional("requireRehearsal"),
        };
        section.close(REFUSED);
        Some(rollback)
    }
}
