//! The question.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::Redirected;
use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::quic::ConnectionId;
use lb_ebpf::track::Segment;
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
    /// Whether its first packet is asked about, the SYN of TCP, or one that comes later.
    pub first: bool,
    /// The QUIC connection id in it, in full.
    pub connection_id: Option<ConnectionId>,
    /// Whether it is asked as of a packet that another cluster's gateway sent here.
    pub redirected: Redirected,
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
        Ok(Self {
            protocol,
            source,
            destination,
            first: false,
            connection_id: None,
            redirected: Redirected::NO,
        })
    }

    /// As the program sees it.
    pub fn flow(&self) -> Flow {
        Flow {
            family: Family::of(self.destination.ip()),
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

    /// The same flow's first packet.
    #[must_use]
    pub fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// A packet of the same flow that another cluster's gateway sent here.
    #[must_use]
    pub fn redirected(self) -> Self {
        Self { redirected: Redirected::YES, ..self }
    }

    /// A packet of the same flow with this QUIC connection id.
    #[must_use]
    pub fn with_connection_id(self, id: &[u8]) -> Self {
        let mut head = [0; 16];
        head.iter_mut().zip(id).for_each(|(place, byte)| *place = *byte);
        let length = u32::try_from(id.len()).unwrap_or(u32::MAX);
        Self { connection_id: Some(ConnectionId { head: bytemuck::cast(head), length }), ..self }
    }

    /// Whether it is asked as of a packet that another cluster's gateway sent here.
    pub fn is_redirected(&self) -> bool {
        self.redirected == Redirected::YES
    }

    /// What the packet tells of its connection.
    pub fn segment(&self) -> Segment {
        match self.protocol {
            Protocol::Tcp if self.first => Segment::Opening,
            Protocol::Tcp | Protocol::Udp => Segment::Middle,
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
