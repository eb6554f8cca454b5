//! Why probes do not pass, in words.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::grpc::{Code, Serving};
use super::http::{FIELD_LIMIT, HEADER_LIMIT};

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
    /// An echo request did not get there, or somebody said so.
    #[error("unreachable: {0}")]
    Unreachable(#[source] io::Error),
    /// The connection opened and TLS did not begin: no TLS there, or a certificate that is not taken.
    #[error("no TLS: {0}")]
    Tls(#[source] io::Error),
    /// The connection broke, or was closed, before an answer.
    #[error("connection closed before an answer")]
    Closed,
    /// The answer is not HTTP/1.
    #[error("malformed answer: {0}")]
    Malformed(#[source] hyper::Error),
    /// The node does not speak HTTP/2, or gave up the request.
    #[error("no answer over HTTP/2: {0}")]
    Http2(#[source] h2::Error),
    /// The answer is HTTP/2 and not gRPC's.
    #[error("malformed answer of gRPC: {0}")]
    NotGrpc(&'static str),
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
    /// The call failed.
    #[error("gRPC status {code}{}", behind(message))]
    Grpc {
        /// Its status.
        code: Code,
        /// What the node says about it, perhaps nothing.
        message: String,
    },
    /// The health service says that the service does not serve.
    #[error("{0}, expected SERVING")]
    NotServing(Serving),
    /// The program ended otherwise than with 0.
    #[error("{status}{}", behind(line))]
    Exit {
        /// How it ended.
        status: ExitStatus,
        /// The first line that it wrote, perhaps empty.
        line: String,
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
    /// The program did not begin: it says nothing about the node.
    #[error("cannot run {}: {error}", program.display())]
    Program {
        /// Its path.
        program: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The check's path or host make no request: it says nothing about the node.
    #[error("check makes no valid request: {0}")]
    Request(#[from] hyper::http::Error),
}

impl Failure {
    /// Whether the fault is on this side, so that the probe must not count against the node.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::NoWay | Self::Local(_) | Self::Program { .. } | Self::Request(_))
    }

    /// Of a connection that does not open.
    pub(crate) fn from_connect(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(number) if is_of_this_machine(number) => Self::Local(error),
            _ => Self::Connect(error),
        }
    }

    /// Of an echo request.
    pub(super) fn from_echo(error: io::Error) -> Self {
        let local = error.raw_os_error().is_some_and(is_of_this_machine);
        if local { Self::Local(error) } else { Self::Unreachable(error) }
    }

    pub(super) fn from_exchange(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::HeaderTooLarge
        } else if error.is_parse() {
            Self::Malformed(error)
        } else {
            Self::Closed
        }
    }

    pub(super) fn from_http2(error: h2::Error) -> Self {
        if error.is_io() { Self::Closed } else { Self::Http2(error) }
    }
}

/// Out of descriptors, memory or ports, without the address family, or forbidden by this machine's own firewall: were these to
/// count, a busy gateway would take healthy nodes down. Not `EACCES`: that is also what a router's or node's "administratively
/// prohibited" becomes over IPv6 (`tab_unreach` in Linux' `net/ipv6/icmp.c`).
fn is_of_this_machine(number: i32) -> bool {
    const LOCAL: [i32; 8] = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EADDRNOTAVAIL,
        libc::EPERM,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
    ];
    LOCAL.contains(&number)
}

/// What is said about a status, where anything is.
fn behind(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// What a probe that ran out of time was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The connection.
    Connecting,
    /// The beginning of TLS.
    Handshaking,
    /// The answer: of HTTP its header, of gRPC all of it.
    Answering,
    /// The program's end.
    Running,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting => "while connecting",
            Self::Handshaking => "while TLS was to begin",
            Self::Answering => "while waiting for an answer",
            Self::Running => "while the program ran",
        })
    }
}
