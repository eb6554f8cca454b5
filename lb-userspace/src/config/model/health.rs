use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;

/// How a pool's nodes are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Unique name.
    pub name: String,
    /// What is sent and what must come back.
    pub kind: CheckKind,
    /// How a probe reaches the node.
    pub via: ProbeVia,
    /// Port that is probed, host order. `None`: the service's own, of checks through the tunnel; or there is none, of those
    /// that need none.
    pub port: Option<u16>,
    /// Time between the starts of two probes.
    pub interval: Duration,
    /// The same while the node is down.
    pub unhealthy_interval: Duration,
    /// Time after which a probe has failed; not more than either interval.
    pub timeout: Duration,
    /// Passes in a row that make a node up.
    pub rise: u32,
    /// Failures in a row that make a node down.
    pub fall: u32,
    /// Each interval is changed by up to this many percent, 0..=100.
    pub jitter_percent: u8,
}

/// How a probe reaches a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeVia {
    /// To its own address.
    #[default]
    Direct,
    /// As a client's packets do: to a VIP, encapsulated to the node.
    Tunnel,
}

/// The kinds of health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// The connection opens.
    Tcp,
    /// A GET is answered with an expected status.
    Http(HttpCheck),
    /// The node's health service says that it serves (`grpc.health.v1`).
    Grpc(GrpcCheck),
    /// An echo request is answered.
    Icmp,
    /// A program of this machine ends with exit code 0.
    Exec(Program),
}

/// What is asked over HTTP/1.1, and what passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCheck {
    /// Path and query.
    pub path: String,
    /// `Host` header; `None`: the server's name, or else the address.
    pub host: Option<String>,
    /// Statuses that pass.
    pub expect: RangeInclusive<u16>,
    /// HTTPS; `None`: HTTP.
    pub tls: Option<Tls>,
}

/// What is asked of `grpc.health.v1.Health/Check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCheck {
    /// Name of the service; empty: the server as a whole.
    pub service: String,
    /// `:authority`; `None`: the server's name, or else the address.
    pub host: Option<String>,
    /// `None`: HTTP/2 without TLS.
    pub tls: Option<Tls>,
}

/// How a probe begins TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Who is asked for (SNI), and whose the certificate must be if it is verified. `None`: the address.
    pub server_name: Option<ServerName<'static>>,
    /// Who must have signed the certificate; `None`: it is not verified.
    pub authorities: Option<Authorities>,
}

/// Certificates of authorities.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// The file that they came from.
    pub file: PathBuf,
    /// At least one.
    pub roots: Arc<RootCertStore>,
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.roots.roots == other.roots.roots
    }
}

impl Eq for Authorities {}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// A path with a `/`: it is not searched for.
    pub path: PathBuf,
    /// What it is given, without its own name.
    pub arguments: Vec<String>,
}

impl CheckKind {
    /// How its probes begin TLS, if they do.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Http(HttpCheck { tls, .. }) | Self::Grpc(GrpcCheck { tls, .. }) => tls.as_ref(),
            Self::Tcp | Self::Icmp | Self::Exec(_) => None,
        }
    }
}
