//! Link, network and transport headers.
//!
//! Whether a packet is ours is known once its destination is: until then nothing is ever wrong with it,
//! and whatever is odd belongs to the kernel. The transport header is read behind that question, and there
//! an odd packet has a reason to be dropped.

pub mod transport;

pub use transport::{Portless, Transport, icmp_of, transport};

use crate::frame::Frame;
use crate::verdict::End;
use crate::wire::{Ethernet, Ipv4, Ipv6, Ports, Vlan, ether_type};
use lb_common::abi::Redirected;
use lb_common::flow::Flow;
use lb_common::net::{Address, Family, NetworkU16};

/// Bytes of an Ethernet header.
pub const ETHERNET_LENGTH: usize = size_of::<Ethernet>();
/// Bytes of a VLAN tag.
pub const VLAN_LENGTH: usize = size_of::<Vlan>();

/// Bytes of an IPv4 header without options.
pub const IPV4_LENGTH: usize = size_of::<Ipv4>();
/// Bytes of an IPv6 header without extensions.
pub const IPV6_LENGTH: usize = size_of::<Ipv6>();
/// More fragments, or an offset.
const IPV4_FRAGMENT: u16 = 0x3fff;

/// The network header, as far as it is needed to ask whose packet it is, and to wrap it.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Where the network header begins: 14, 18 or 22 bytes into the frame; of a redirected packet behind outer headers.
    pub offset: usize,
    /// Client.
    pub source: Address,
    /// VIP, perhaps.
    pub destination: Address,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Bytes of header and payload, as the header says.
    pub length: usize,
    /// Bytes of the fixed header and IPv4 options.
    pub header_length: usize,
    /// Protocol behind that header.
    pub next: u8,
    /// An IPv4 fragment.
    pub fragment: bool,
    /// Whether another cluster's gateway sent it here: its outer headers are in front of it.
    pub redirected: Redirected,
}

impl Network {
    /// Offset of the packet's first byte behind it.
    #[inline(always)]
    pub const fn end(&self) -> usize {
        self.offset + self.length
    }

    /// The flow of a packet with these ports behind a transport header of this protocol.
    #[inline(always)]
    pub const fn flow(&self, ports: Ports, protocol: u8) -> Flow {
        Flow {
            family: self.family,
            source: self.source,
            destination: self.destination,
            source_port: ports.source,
            destination_port: ports.destination,
            protocol,
        }
    }
}

/// Ethernet, up to two VLAN tags, and the fixed part of an IP header. Anything else is not ours.
#[inline(always)]
pub fn network<F: Frame>(frame: &F) -> Result<Network, End> {
    let (kind, offset) = link(frame).ok_or(End::NOT_OURS)?;
    let header = if kind == ether_type::IPV4 {
        ipv4(frame, offset)
    } else if kind == ether_type::IPV6 {
        ipv6(frame, offset)
    } else {
        None
    };
    header.ok_or(End::NOT_OURS)
}

/// The fixed part of the IP header at `offset`; `None` if it is not there, or of the other family.
#[inline(always)]
pub fn ip<F: Frame>(frame: &F, family: Family, offset: usize) -> Option<Network> {
    match family {
        Family::V4 => ipv4(frame, offset),
        Family::V6 => ipv6(frame, offset),
    }
}

/// What lies behind the link header, and the length of that in bytes.
#[inline(always)]
pub(crate) fn link<F: Frame>(frame: &F) -> Option<(NetworkU16, usize)> {
    let (mut kind, mut offset) = (frame.header::<Ethernet>(0)?.ether_type, ETHERNET_LENGTH);
    if is_vlan(kind) {
        kind = frame.header::<Vlan>(offset)?.ether_type;
        offset += VLAN_LENGTH;
        if is_vlan(kind) {
            kind = frame.header::<Vlan>(offset)?.ether_type;
            offset += VLAN_LENGTH;
        }
    }
    Some((kind, offset))
}

#[inline(always)]
fn is_vlan(kind: NetworkU16) -> bool {
    kind == ether_type::VLAN || kind == ether_type::SERVICE_VLAN
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &F, offset: usize) -> Option<Network> {
    let header = frame.header::<Ipv4>(offset)?;
    if header.version_length >> 4 != 4 {
        return None;
    }
    Some(Network {
        family: Family::V4,
        offset,
        source: Address::from_v4_word(header.source),
        destination: Address::from_v4_word(header.destination),
        traffic_class: header.tos,
        length: usize::from(header.total_length.get()),
        header_length: usize::from(header.version_length & 15) * 4,
        next: header.protocol,
        fragment: header.fragment.get() & IPV4_FRAGMENT != 0,
        redirected: Redirected::NO,
    })
}

#[inline(always)]
fn ipv6<F: Frame>(frame: &F, offset: usize) -> Option<Network> {
    let header = frame.header::<Ipv6>(offset)?;
    let first_word = u32::from_be(header.first_word);
    if first_word >> 28 != 6 {
        return None;
    }
    Some(Network {
        family: Family::V6,
        offset,
        source: header.source.address(),
        destination: header.destination.address(),
        traffic_class: (first_word >> 20 & 0xff) as u8,
        length: usize::from(header.payload_length.get()) + IPV6_LENGTH,
        header_length: IPV6_LENGTH,
        next: header.next_header,
        fragment: false,
        redirected: Redirected::NO,
    })
}

#[cfg(test)]
mod tests;
