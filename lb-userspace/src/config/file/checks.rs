//! `healthChecks`: how nodes are probed.

use schemars::JsonSchema;

use crate::config::model::ProbeVia;
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
    /// Port probed on the node's own address, or through the tunnel on the VIP; there the service's first TCP port when
    /// left out.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<Located<Integer>>,
    /// `http`: path and query.
    #[schemars(extend("default" = "/"))]
    pub(crate) path: Option<Located<String>>,
    /// `http`: the `Host` header; the node's address when left out.
    pub(crate) host: Option<Located<String>>,
    /// `http`: statuses that pass.
    #[schemars(extend("default" = "200-399"))]
    pub(crate) expect: Option<Located<Statuses>>,
    /// `direct`: to the node's own address; `tunnel`: as a client's packets, to a VIP and encapsulated to the node.
    #[schemars(extend("default" = "direct"))]
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
        let (name, kind) = (section.required("name"), section.required("type"));
        let via: Option<Located<Choice<ProbeVia>>> = section.optional("via");
        // Only a VIP has a port of its own.
        let through = via.as_ref().is_some_and(|via| via.value.0 == ProbeVia::Tunnel);
        let port = if through { section.optional("port") } else { section.required("port").0 };
        let check = Self {
            name,
            kind,
            port,
            path: section.optional("path"),
            host: section.optional("host"),
            expect: section.optional("expect"),
            via,
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

impl Word for ProbeVia {
    const KNOWN: &'static [(&'static str, Self)] = &[("direct", Self::Direct), ("tunnel", Self::Tunnel)];
}
