//! `healthChecks`: how nodes are probed.

use schemars::JsonSchema;

use crate::config::model::ProbeVia;
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Located, Read, Required, Section};
use crate::config::scalar::{Choice, Integer, Statuses, Time, Word};
use crate::config::tree::Node;

/// How a pool's nodes are probed.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HealthCheck {
    /// A DNS label, unique.
    pub(crate) name: Required<String>,
    /// `tcp`: the connection opens; `http`, `https`: a GET is answered with an expected status; `grpc`: the health service
    /// says that it serves; `icmp`: an echo request is answered; `exec`: a program ends with exit code 0.
    #[schemars(rename = "type")]
    pub(crate) kind: Required<Choice<CheckType>>,
    /// Port probed on the node's own address, or through the tunnel on the VIP; there the service's first TCP port when
    /// left out. `icmp` has none; `exec`: what the program is told, if anything.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: Option<Located<Integer>>,
    /// `http`, `https`: path and query.
    #[schemars(extend("default" = "/"))]
    pub(crate) path: Option<Located<String>>,
    /// `http`, `https`: the `Host` header; `grpc`: the authority. When left out, `tls.serverName`, or else the node's address.
    pub(crate) host: Option<Located<String>>,
    /// `http`, `https`: statuses that pass.
    #[schemars(extend("default" = "200-399"))]
    pub(crate) expect: Option<Located<Statuses>>,
    /// `https`, `grpc`: who is asked for, and who must have signed the certificate. `grpc`: without TLS when left out.
    pub(crate) tls: Option<Located<Tls>>,
    /// `grpc`: the service asked about; the server as a whole when left out.
    #[schemars(extend("default" = ""))]
    pub(crate) service: Option<Located<String>>,
    /// `exec`: a program and its arguments.
    #[schemars(length(min = 1))]
    pub(crate) command: Option<Located<List<String>>>,
    /// `direct`: to the node's own address; `tunnel`: as a client's packets, to a VIP and encapsulated to the node.
    #[schemars(extend("default" = "direct"))]
    pub(crate) via: Option<Located<Choice<ProbeVia>>>,
    /// Time between the starts of two probes of a node.
    #[schemars(extend("default" = "5s"))]
    pub(crate) interval: Option<Located<Time>>,
    /// The same while the node is down; the interval when left out.
    pub(crate) unhealthy_interval: Option<Located<Time>>,
    /// Time after which a probe has failed; at most either interval.
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
        let name = section.required("name");
        let kind: Required<Choice<CheckType>> = section.required("type");
        let is = |types: &[CheckType]| kind.as_ref().is_some_and(|kind| types.contains(&kind.value.0));
        let via: Option<Located<Choice<ProbeVia>>> = section.optional("via");
        // Only a VIP has a port of its own.
        let through = via.as_ref().is_some_and(|via| via.value.0 == ProbeVia::Tunnel);
        let without_port = through || is(&[CheckType::Icmp, CheckType::Exec]);
        let port = if without_port { section.optional("port") } else { section.required("port").0 };
        let is_program = is(&[CheckType::Exec]);
        let command = if is_program { section.required("command").0 } else { section.optional("command") };
        let check = Self {
            name,
            kind,
            port,
            path: section.optional("path"),
            host: section.optional("host"),
            expect: section.optional("expect"),
            tls: section.optional("tls"),
            service: section.optional("service"),
            command,
            via,
            interval: section.optional("interval"),
            unhealthy_interval: section.optional("unhealthyInterval"),
            timeout: section.optional("timeout"),
            rise: section.optional("rise"),
            fall: section.optional("fall"),
            jitter_percent: section.optional("jitterPercent"),
        };
        section.close(&[]);
        Some(check)
    }
}

/// How a probe begins TLS.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Tls {
    /// Name that is asked for (SNI) and that the certificate must have; the address when left out.
    pub(crate) server_name: Option<Located<String>>,
    /// Certificates (PEM) of who may have signed the node's; it is not verified when left out.
    pub(crate) ca_file: Option<Located<String>>,
}

impl Read for Tls {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let tls = Self { server_name: section.optional("serverName"), ca_file: section.optional("caFile") };
        section.close(&[]);
        Some(tls)
    }
}

/// The kinds of health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckType {
    /// The connection opens.
    Tcp,
    /// A GET is answered with an expected status.
    Http,
    /// The same over TLS.
    Https,
    /// The health service says that it serves.
    Grpc,
    /// An echo request is answered.
    Icmp,
    /// A program ends well.
    Exec,
}

impl Word for CheckType {
    const KNOWN: &'static [(&'static str, Self)] = &[
        ("tcp", Self::Tcp),
        ("http", Self::Http),
        ("https", Self::Https),
        ("grpc", Self::Grpc),
        ("icmp", Self::Icmp),
        ("exec", Self::Exec),
    ];
}

impl Word for ProbeVia {
    const KNOWN: &'static [(&'static str, Self)] = &[("direct", Self::Direct), ("tunnel", Self::Tunnel)];
}
