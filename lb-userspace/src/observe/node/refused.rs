use std::net::{IpAddr, SocketAddr};

use lb_common::abi::RefusedKey;
use serde::Serialize;
use time::OffsetDateTime;

use super::Seen;

/// Connections that the node refused, since its maps were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Since when they are counted; `None`: no agent has said so yet.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// Interfaces on which what is sent is looked at for it.
    pub interfaces: Vec<String>,
    /// To what, most of them first; at most those that were refused something lately.
    pub ports: Vec<RefusedPort>,
}

/// Connections to one port of a VIP that the node refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedPort {
    /// The VIP; a pod's own address is taken for one.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// How many.
    pub refused: u64,
}

impl Refused {
    pub(super) fn of(seen: &Seen) -> Self {
        let mut ports: Vec<_> = seen.refused.iter().map(|(key, refused)| port(key, *refused)).collect();
        ports.sort_by_key(|port| (std::cmp::Reverse(port.refused), port.address, port.port, port.protocol));
        let since = seen.state.as_ref().and_then(|state| state.refused_since);
        Self { since, interfaces: seen.leaving.clone(), ports }
    }
}

fn port(key: &RefusedKey, refused: u64) -> RefusedPort {
    let protocol = if key.protocol == 6 { "tcp" } else { "udp" };
    RefusedPort { address: key.address.into(), port: key.port.get(), protocol, refused }
}

impl std::fmt::Display for RefusedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", SocketAddr::new(self.address, self.port), self.protocol)
    }
}

/// To what connections were refused, as a key is printed: `198.51.100.10:443/tcp`.
pub(super) fn refused_key(key: &RefusedKey) -> String {
    port(key, 0).to_string()
}
