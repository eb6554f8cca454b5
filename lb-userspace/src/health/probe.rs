//! One probe: connect, perhaps ask, and say in words what went wrong.
//!
//! - TCP: the connection opens within the timeout. It is closed in order (FIN): a reset would fill the
//!   nodes' logs, and the price, a `TIME_WAIT` entry per probe here, is small.
//! - HTTP and HTTPS: one GET ([`http`]), over TLS ([`tls`]).
//! - gRPC: one call of the health service ([`grpc`]), over TLS if the check says so.
//! - ICMP: one echo request ([`echo`]).
//! - A program of this machine ([`program`]).
//!
//! Through the tunnel connections are the same, on a socket of another kind ([`super::tunnel`]).
//!
//! The timeout covers all of a probe, not each of its steps.

mod deadline;
mod echo;
mod failure;
mod grpc;
mod http;
mod program;
mod tls;

use super::checker::{Plan, Target};
use super::tunnel::{self, Ways};
use crate::config::model::{CheckKind, ProbeVia, Tls};
use std::net::SocketAddr;
use tokio::net::TcpStream;

pub(super) use deadline::Deadline;
pub use failure::{Failure, Phase};
pub use grpc::{Code, Serving};
pub(super) use http::{ask, request};
pub(super) use tls::begin;

/// How a probe names itself in nodes' logs.
const AGENT: &str = concat!("spillway/", env!("CARGO_PKG_VERSION"));

/// Carries out probes: the network, or a test's script.
pub trait Prober: Send + Sync + 'static {
    /// Probes a node once, as its plan says. Ends within about the check's timeout.
    ///
    /// # Errors
    /// Why the probe did not pass; see [`Failure::is_local`] for those that are not the node's fault.
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
        let deadline = Deadline::after(plan.check.timeout);
        let connect = async { deadline.hold(Phase::Connecting, self.connect(target, plan)).await };
        match &plan.check.kind {
            CheckKind::Tcp => connect.await.map(drop),
            CheckKind::Http(check) => {
                let stream = tls::begin(check.tls.as_ref(), b"http/1.1", plan.to, connect.await?, &deadline);
                http::probe(check, plan.to, stream.await?, &deadline).await
            }
            CheckKind::Grpc(check) => {
                let stream = tls::begin(check.tls.as_ref(), b"h2", plan.to, connect.await?, &deadline);
                grpc::probe(check, plan.to, stream.await?, &deadline).await
            }
            CheckKind::Icmp => echo::probe(plan.to.ip(), &deadline).await,
            CheckKind::Exec(program) => program::probe(program, target, plan, &deadline).await,
        }
    }
}

impl Network {
    async fn connect(&self, target: &Target, plan: &Plan) -> Result<TcpStream, Failure> {
        match plan.check.via {
            ProbeVia::Direct => TcpStream::connect(plan.to).await.map_err(Failure::from_connect),
            ProbeVia::Tunnel => {
                let way = self.ways.to(target).ok_or(Failure::NoWay)?;
                tunnel::connect(way, plan.to).await
            }
        }
    }
}

/// Who is asked, as HTTP says it (RFC 9110, 7.2): the `host` of the check as it is, or the name of the server, or else what is
/// connected to; behind these the port, where it is not the protocol's own.
pub(super) fn authority(host: Option<&str>, tls: Option<&Tls>, to: SocketAddr) -> String {
    if let Some(host) = host {
        return host.to_owned();
    }
    let name = tls.and_then(|tls| tls.server_name.as_ref());
    let name = name.map_or_else(|| to.ip().to_string(), |name| name.to_str().into_owned());
    with_port(&name, to.port(), tls.is_some())
}

/// A name or an address, and behind it the port, where it is not the protocol's own.
pub(super) fn with_port(name: &str, port: u16, over_tls: bool) -> String {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let usual = if over_tls { 443 } else { 80 };
    if port == usual { name } else { format!("{name}:{port}") }
}

#[cfg(test)]
mod tests;
