//! One probe: connect, perhaps ask, and say in words what went wrong.
//!
//! - TCP: the connection opens within the timeout. It is closed in order (FIN): a reset would fill the
//!   nodes' logs, and the price, a `TIME_WAIT` entry per probe here, is small.
//! - HTTP: one GET over HTTP/1.1 on a new connection; redirects are not followed. The status decides as
//!   soon as the header is in; up to [`DISCARD_LIMIT`] bytes of body are then read and thrown away within
//!   what is left of the timeout, so that a node may finish its answer.
//!
//! Through the tunnel it is the same, on a socket of another kind ([`super::tunnel`]).
//!
//! The timeout covers all of a probe, not each of its steps.

use super::checker::{Plan, Target};
use super::tunnel::{self, Ways};
use crate::config::model::{CheckKind, HealthCheck, ProbeVia};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Most bytes an answer's header may have.
const HEADER_LIMIT: usize = 16 << 10;
/// Most header fields an answer may have.
const FIELD_LIMIT: usize = 100;
/// Bytes of body read before the connection is closed.
const DISCARD_LIMIT: usize = 16 << 10;
/// How a probe names itself in nodes' logs.
const AGENT: &str = concat!("spillway/", env!("CARGO_PKG_VERSION"));

/// Why a probe did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The node answered with a reset: nothing listens on the port.
    #[error("connection refused")]
    Refused,
    /// No end within the check's timeout.
    #[error("timed out after {after:?} {phase}")]
    TimedOut {
        /// The timeout.
        after: Duration,
        /// What was being waited for.
        phase: Phase,
    },
    /// The connection did not open for another reason, such as no route.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke, or was closed, before an answer.
    #[error("connection closed before an answer")]
    Closed,
    /// The answer is not HTTP/1.
    #[error("malformed answer: {0}")]
    Malformed(#[source] hyper::Error),
    /// The answer's header exceeds the limits.
    #[error("answer's header is over {HEADER_LIMIT} bytes or {FIELD_LIMIT} fields")]
    HeaderTooLarge,
    /// An answer, but not the expected one.
    #[error("status {status}, expected {}-{}", expected.start(), expected.end())]
    Status {
        /// The answer's status.
        status: u16,
        /// The check's.
        expected: RangeInclusive<u16>,
    },
    /// More of a body than is taken.
    #[error("answer is over {most} bytes")]
    TooLong {
        /// The limit.
        most: usize,
    },
    /// It is not known how a packet through the tunnel gets to the node, or nothing would encapsulate it: it says
    /// nothing about the node.
    #[error("no way through the tunnel to the node")]
    NoWay,
    /// This machine could not carry out the probe: it says nothing about the node.
    #[error("probe not possible here: {0}")]
    Local(#[source] io::Error),
    /// The check's path or host make no request: it says nothing about the node.
    #[error("check makes no valid request: {0}")]
    Request(#[from] hyper::http::Error),
}

impl Failure {
    /// Whether the fault is on this side, so that the probe must not count against the node.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::NoWay | Self::Local(_) | Self::Request(_))
    }

    /// Out of descriptors, memory or ports, or forbidden by this machine's own firewall: were these to
    /// count, a busy gateway would take healthy nodes down.
    pub(super) fn from_connect(error: io::Error) -> Self {
        const LOCAL: [i32; 7] = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EADDRNOTAVAIL,
            libc::EPERM,
            libc::EACCES,
        ];
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(number) if LOCAL.contains(&number) => Self::Local(error),
            _ => Self::Connect(error),
        }
    }

    fn from_exchange(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::HeaderTooLarge
        } else if error.is_parse() {
            Self::Malformed(error)
        } else {
            Self::Closed
        }
    }
}

/// What a probe that ran out of time was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The connection.
    Connecting,
    /// The answer's header.
    Answering,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Answering => "while waiting for an answer",
        })
    }
}

/// Carries out probes: the network, or a test's script.
pub trait Prober: Send + Sync + 'static {
    /// Probes a node once, as its plan says. Ends within about the check's timeout.
    ///
    /// # Errors
    /// Why the probe did not pass.
    fn probe(&self, target: &Target, plan: &Plan) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Probes over this machine's network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// How packets through tunnels get to the nodes.
    pub ways: Ways,
}

impl Prober for Network {
    async fn probe(&self, target: &Target, plan: &Plan) -> Result<(), Failure> {
        let HealthCheck { kind, timeout, via, .. } = &*plan.check;
        match via {
            ProbeVia::Direct => probe(kind, plan.to, *timeout).await,
            ProbeVia::Tunnel => {
                let way = self.ways.to(target).ok_or(Failure::NoWay)?;
                probe_over(kind, plan.to, *timeout, tunnel::connect(way, plan.to)).await
            }
        }
    }
}

/// Probes `address` once, for no longer than `timeout` altogether.
///
/// # Errors
/// Why the probe did not pass; see [`Failure::is_local`] for those that are not the node's fault.
pub async fn probe(kind: &CheckKind, address: SocketAddr, timeout: Duration) -> Result<(), Failure> {
    let connect = async { TcpStream::connect(address).await.map_err(Failure::from_connect) };
    probe_over(kind, address, timeout, connect).await
}

/// The same over a connection that `connect` opens.
async fn probe_over(
    kind: &CheckKind,
    address: SocketAddr,
    timeout: Duration,
    connect: impl Future<Output = Result<TcpStream, Failure>>,
) -> Result<(), Failure> {
    let late = |phase| move |_| Failure::TimedOut { after: timeout, phase };
    let deadline = Instant::now() + timeout;
    let stream = timeout_at(deadline, connect).await.map_err(late(Phase::Connecting))??;
    let CheckKind::Http { path, host, expect } = kind else { return Ok(()) };

    let request = request(path, host.as_deref(), address)?;
    let mut driver = JoinSet::new();
    let asked = timeout_at(deadline, ask(stream, request, &mut driver));
    let answer = asked.await.map_err(late(Phase::Answering))??;
    let status = answer.status().as_u16();
    // How the body ends does not matter: the status has decided.
    let _ = timeout_at(deadline, discard(answer.into_body())).await;
    let unexpected = || Failure::Status { status, expected: expect.clone() };
    expect.contains(&status).then_some(()).ok_or_else(unexpected)
}

pub(super) fn request(
    path: &str,
    host: Option<&str>,
    address: SocketAddr,
) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = host.map_or_else(|| authority(address), str::to_owned);
    let request = Request::get(path).header(HOST, host).header(USER_AGENT, AGENT).header(CONNECTION, "close");
    Ok(request.body(Empty::new())?)
}

/// The `Host` of a node's own address; without the port where that is HTTP's own (RFC 9110, 7.2).
fn authority(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.port() == 80 => format!("[{}]", v6.ip()),
        SocketAddr::V4(v4) if v4.port() == 80 => v4.ip().to_string(),
        other => other.to_string(),
    }
}

/// Sends the request and waits for the answer's header. Whoever holds `driver` keeps the connection open.
pub(super) async fn ask(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    driver: &mut JoinSet<hyper::Result<()>>,
) -> Result<Response<Incoming>, Failure> {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEADER_LIMIT).max_headers(FIELD_LIMIT);
    let (mut sender, connection) =
        http.handshake(TokioIo::new(stream)).await.map_err(Failure::from_exchange)?;
    driver.spawn(connection);
    sender.send_request(request).await.map_err(Failure::from_exchange)
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARD_LIMIT;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}

#[cfg(test)]
mod tests;
