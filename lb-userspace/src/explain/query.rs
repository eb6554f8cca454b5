//! The question.

use std::net::{IpAddr, SocketAddr};

use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::wire::protocol;
use thiserror::Error;

use crate::config::model::Protocol;

/// The flow that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The client; of the destination's family.
    pub source: SocketAddr,
    /// What it sends to.
    pub destination: SocketAddr,
}

/// No packet has addresses of two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the source {source_ip} and the destination {destination_ip} are not of one family; name two IPv4 or two IPv6 addresses"
)]
pub struct MixedFamilies {
    /// The client.
    pub source_ip: IpAddr,
    /// What it sends to.
    pub destination_ip: IpAddr,
}

impl Query {
    /// A flow of one family.
    pub fn new(
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<Self, MixedFamilies> {
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(MixedFamilies { source_ip: source.ip(), destination_ip: destination.ip() });
        }
        Ok(Self { protocol, source, destination })
    }

    /// As the program sees it.
    pub fn flow(&self) -> Flow {
        Flow {
            family: if self.destination.is_ipv4() { Family::V4 } else { Family::V6 },
            source: self.source.ip().into(),
            destination: self.destination.ip().into(),
            source_port: NetworkU16::new(self.source.port()),
            destination_port: NetworkU16::new(self.destination.port()),
            protocol: match self.protocol {
                Protocol::Tcp => protocol::TCP,
                Protocol::Udp => protocol::UDP,
            },
        }
    }

    /// `tcp` or `udp`.
    pub fn protocol_name(&self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}
