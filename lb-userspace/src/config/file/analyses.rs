//! `analyses`: what a rollout asks before it goes on.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Tls;
use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Required, Section, spoken};
use crate::config::scalar::{Choice, Integer, Time, Word};
use crate::config::tree::Node;
use crate::evidence::{Criterion, Metric};

/// What a rollout asks before it goes on.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Analysis {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// `dataplane`: what clients' packets say of the pool that the rollout goes to; `prometheus`: a query; `http`: a number in
    /// a JSON document.
    pub(crate) provider: Required<Choice<ProviderType>>,
    /// `dataplane`: the number.
    pub(crate) metric: Option<Located<Choice<Metric>>>,
    /// `dataplane`: flows that must have been followed in an interval; with fewer a measurement says nothing.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("default" = 100))]
    pub(crate) min_samples: Option<Located<Integer>>,
    /// `prometheus`: where its API is, without `/api/v1`; `http`: what is asked for.
    pub(crate) url: Option<Located<String>>,
    /// `prometheus`: an instant query (`PromQL`) with one number.
    pub(crate) query: Option<Located<String>>,
    /// `http`: where the number is in the answer (RFC 6901).
    pub(crate) json_pointer: Option<Located<String>>,
    /// `prometheus`, `http`: who must have signed the certificate of a server of `https`, and whose it is; the name in the URL
    /// when that is left out.
    pub(crate) tls: Option<Located<Tls>>,
    /// `prometheus`, `http`: time after which there is no answer.
    #[schemars(extend("default" = "5s"))]
    pub(crate) timeout: Option<Located<Time>>,
    /// Time before each measurement.
    #[schemars(extend("default" = "10s"))]
    pub(crate) interval: Option<Located<Time>>,
    /// Measurements that are made; those that could not be made are none.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) count: Required<Integer>,
    /// What the number is to be: `<`, `<=`, `>` or `>=`, and a number.
    pub(crate) success: Required<Criterion>,
    /// Measurements that may fail.
    #[schemars(range(min = 0, max = 10_000), extend("default" = 0))]
    pub(crate) failure_limit: Option<Located<Integer>>,
    /// Measurements in a row that may not be possible.
    #[schemars(range(min = 0, max = 10_000), extend("default" = 4))]
    pub(crate) consecutive_error_limit: Option<Located<Integer>>,
    /// Measurements that may say nothing.
    #[schemars(range(min = 0, max = 10_000), extend("default" = 0))]
    pub(crate) inconclusive_limit: Option<Located<Integer>>,
}

impl Read for Analysis {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let name = section.required("name");
        let provider: Required<Choice<ProviderType>> = section.required("provider");
        let is = |kind| provider.as_ref().is_some_and(|provider| provider.value.0 == kind);
        let is_dataplane = is(ProviderType::Dataplane);
        let is_server = is(ProviderType::Prometheus) || is(ProviderType::Http);
        let metric = if is_dataplane { section.required("metric").0 } else { section.optional("metric") };
        let url = if is_server { section.required("url").0 } else { section.optional("url") };
        let is_query = is(ProviderType::Prometheus);
        let query = if is_query { section.required("query").0 } else { section.optional("query") };
        let is_http = is(ProviderType::Http);
        let pointer =
            if is_http { section.required("jsonPointer").0 } else { section.optional("jsonPointer") };
        let analysis = Self {
            name,
            provider,
            metric,
            min_samples: section.optional("minSamples"),
            url,
            query,
            json_pointer: pointer,
            tls: section.optional("tls"),
            timeout: section.optional("timeout"),
            interval: section.optional("interval"),
            count: section.required("count"),
            success: section.required("success"),
            failure_limit: section.optional("failureLimit"),
            consecutive_error_limit: section.optional("consecutiveErrorLimit"),
            inconclusive_limit: section.optional("inconclusiveLimit"),
        };
        section.close(&[]);
        Some(analysis)
    }
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProviderType {
    /// The program's counters.
    Dataplane,
    /// A server of Prometheus' API.
    Prometheus,
    /// Any server.
    Http,
}

impl Word for ProviderType {
    const KNOWN: &'static [(&'static str, Self)] =
        &[("dataplane", Self::Dataplane), ("prometheus", Self::Prometheus), ("http", Self::Http)];
}

impl Word for Metric {
    const KNOWN: &'static [(&'static str, Self)] = Self::ALL;
}

impl Read for Criterion {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mend = "write `<`, `<=`, `>` or `>=` and a number, in quotes";
        spoken("a comparison such as `\"< 0.01\"`", mend, node, place, problems)
    }
}

impl JsonSchema for Criterion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Criterion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^ *(<|<=|>|>=) *[-+0-9.eE]+ *$"})
    }
}
