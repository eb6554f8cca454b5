//! `healthChecks`: how nodes are probed.

use schemars::JsonSchema;

use crate::config::problem::{Place, Problems};
use crate::config::read::{Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Statuses, Time, Word};
use crate::config::tree::Node;

/// How a pool's nodes are probed.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// `tcp`: the connection opens; `http`: a GET is answered with an expected status.
    #[schemars(rename = "type")]
    pub(crate) kind: Required<Choice<CheckType>>,
    /// Port probed on the node's own address.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Required<Integer>,
    /// `http`: path and query.
    #[schemars(extend("default" = "/"))]
    pub(crate) path: Option<Located<String>>,
    /// `http`: the `Host` header; the node's address when left out.
    pub(crate) host: Option<Located<String>>,
    /// `http`: statuses that pass.
    #[schemars(extend("default" = "200-399"))]
    pub(crate) expect: Option<Located<Statuses>>,
    /// How the probe reaches the node: straight.
    #[schemars(extend("default" = "direct"))]
    #[expect(dead_code, reason = "has one value: read so that it is checked")]
    pub(crate) via: Option<Located<Choice<ProbeVia>>>,
    /// Time between the starts of two probes of a node.
    #[schemars(extend("default" = "5s"))]
    pub(crate) interval: Option<Located<Time>>,
    /// Time after which a probe has failed; at most the interval.
    #[schemars(extend("default" = "2s"))]
    pub(crate) timeout: Option<Located<Time>>,
    /// Passes in a row that make a node up.
    #[schemars(range(min = 1, max = 1000), extend("default" = 2))]
    pub(crate) rise: Option<Located<Integer>>,
    /// Failures in a row that make a node down.
    #[schemars(range(min = 1, max = 1000), extend("default" = 3))]
    pub(crate) fall: Option<Located<Integer>>,
    /// Each interval is changed by up to this many percent.
    #[schemars(range(min = 0, max = 100), extend("default" = 10))]
    pub(crate) jitter_percent: Option<Located<Integer>>,
}

impl Read for HealthCheck {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let check = Self {
            name: section.required("name"),
            kind: section.required("type"),
            port: section.required("port"),
            path: section.optional("path"),
            host: section.optional("host"),
            expect: section.optional("expect"),
            via: section.optional("via"),
            interval: section.optional("interval"),
            timeout: section.optional("timeout"),
            rise: section.optional("rise"),
            fall: section.optional("fall"),
            jitter_percent: section.optional("jitterPercent"),
        };
        section.close(&[]);
        Some(check)
    }
}

/// The kinds of health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckType {
    /// The connection opens.
    Tcp,
    /// A GET is answered with an expected status.
    Http,
}

impl Word for CheckType {
    const KNOWN: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("http", Self::Http)];
    const LATER: &'static [&'static str] = &["https", "grpc", "icmp", "exec"];
}

/// How a probe reaches the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeVia {
    /// To the node's own address.
    Direct,
}

impl Word for ProbeVia {
    const KNOWN: &'static [(&'static str, Self)] = &[("direct", Self::Direct)];
    const LATER: &'static [&'static str] = &["tunnel"];
}
