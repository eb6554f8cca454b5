//! Link, network and transport headers.
//!
//! Whether a packet is ours is known once its destination is: until then nothing is ever wrong with it,
//! and whatever is odd belongs to the kernel. The transport header is read behind that question, and there
//! an odd packet has a reason to be dropped.

use crate::frame::Frame;
use crate::track::Segment;
use crate::verdict::End;
use crate::wire::{Ethernet, Extension, Icmp, Ipv4, Ipv6, Ports, TcpState, Vlan, ether_type, protocol};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family, NetworkU16};
use lb_common::reason::Reason;

/// Bytes of an Ethernet header.
pub const ETHERNET_LENGTH: usize = size_of::<Ethernet>();
/// Bytes of a VLAN tag.
pub const VLAN_LENGTH: usize = size_of::<Vlan>();
/// Most IPv6 extension headers that are followed.
pub const MAX_EXTENSIONS: usize = 6;

const IPV4_LENGTH: usize = size_of::<Ipv4>();
const IPV6_LENGTH: usize = size_of::<Ipv6>();
const TCP_LENGTH: usize = 20;
const UDP_LENGTH: usize = 8;
const FIN: u16 = 1;
const SYN: u16 = 2;
const RST: u16 = 4;
const ACK: u16 = 16;
/// More fragments, or an offset.
const IPV4_FRAGMENT: u16 = 0x3fff;
const IPV6_FRAGMENT: u16 = 0xfff9;

/// The network header, as far as it is needed to ask whose packet it is, and to wrap it.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Where the network header begins: 14, 18 or 22 bytes into the frame.
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
    header_length: usize,
    /// Protocol behind that header.
    next: u8,
    /// An IPv4 fragment.
    fragment: bool,
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

#[inline(always)]
fn link<F: Frame>(frame: &F) -> Option<(NetworkU16, usize)> {
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
    })
}

/// The transport header.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// The 5-tuple.
    pub flow: Flow,
    /// Bytes 12 and 13 of a TCP header, the flags in the lower nine bits; 0 of UDP.
    tcp_flags: u16,
}

impl Transport {
    /// What the packet tells of its connection (RFC 9293, section 3.1); of UDP, nothing.
    #[inline(always)]
    pub const fn segment(&self) -> Segment {
        if self.tcp_flags & (FIN | RST) != 0 {
            Segment::Closing
        } else if self.tcp_flags & (SYN | ACK) == SYN {
            Segment::Opening
        } else {
            Segment::Middle
        }
    }
}

/// The transport header of a TCP or UDP packet that is as long as it claims and no fragment.
///
/// Errors, each a reason to drop what is ours: [`Reason::Truncated`], [`Reason::Fragment`],
/// [`Reason::TooManyHeaders`], and [`Reason::NoService`] for any other protocol. [`Reason::NotOurs`] is
/// neighbour discovery, which always belongs to the kernel.
#[inline(always)]
pub fn transport<F: Frame>(frame: &F, network: &Network) -> Result<Transport, Reason> {
    let end = network.offset + network.length;
    if network.header_length < IPV4_LENGTH || network.length < network.header_length || !frame.holds(end) {
        return Err(Reason::Truncated);
    }
    if network.fragment {
        return Err(Reason::Fragment);
    }
    let (protocol, offset) = match network.family {
        Family::V4 => (network.next, network.offset + network.header_length),
        Family::V6 => extensions(frame, network.next, network.offset + IPV6_LENGTH, end)?,
    };
    ports(frame, network, protocol, offset, end)
}

#[inline(always)]
fn ports<F: Frame>(
    frame: &F,
    network: &Network,
    protocol: u8,
    offset: usize,
    end: usize,
) -> Result<Transport, Reason> {
    let (ports, tcp_flags, least) = match protocol {
        protocol::TCP => {
            let header = frame.header::<TcpState>(offset).ok_or(Reason::Truncated)?;
            (header.ports, header.offset_flags.get(), TCP_LENGTH)
        }
        protocol::UDP => (*frame.header::<Ports>(offset).ok_or(Reason::Truncated)?, 0, UDP_LENGTH),
        protocol::ICMPV6 if is_neighbour_discovery(frame, network, offset, end) => {
            return Err(Reason::NotOurs);
        }
        _ => return Err(Reason::NoService),
    };
    // After the frame was asked, as in `is_neighbour_discovery`.
    if offset + least > end {
        return Err(Reason::Truncated);
    }
    let flow = Flow {
        family: network.family,
        source: network.source,
        destination: network.destination,
        source_port: ports.source,
        destination_port: ports.destination,
        protocol,
    };
    Ok(Transport { flow, tcp_flags })
}

#[inline(always)]
fn extensions<F: Frame>(
    frame: &F,
    mut next: u8,
    mut offset: usize,
    end: usize,
) -> Result<(u8, usize), Reason> {
    let mut count = 0;
    while is_extension(next) {
        if count == MAX_EXTENSIONS {
            return Err(Reason::TooManyHeaders);
        }
        let header = frame.header::<Extension>(offset).ok_or(Reason::Truncated)?;
        offset += extension_length(next, header.length);
        if offset > end {
            return Err(Reason::Truncated);
        }
        if next == protocol::FRAGMENT && header.fragment.get() & IPV6_FRAGMENT != 0 {
            return Err(Reason::Fragment);
        }
        next = header.next_header;
        count += 1;
    }
    Ok((next, offset))
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
    )
}

#[inline(always)]
fn extension_length(kind: u8, length: u8) -> usize {
    match kind {
        protocol::FRAGMENT => 8,
        protocol::AUTHENTICATION => (usize::from(length) + 2) * 4,
        _ => (usize::from(length) + 1) * 8,
    }
}

/// RFC 4861, types 133 to 137 of `ICMPv6`: a neighbour may ask for a VIP by the VIP's own address. In IPv4 the
/// protocol's number means nothing of the kind.
///
/// The frame is asked before the packet's own length: the other way round, the compiler concludes from the
/// length that the frame holds the message, and leaves out the comparison that the verifier wants to see.
#[inline(always)]
fn is_neighbour_discovery<F: Frame>(frame: &F, network: &Network, offset: usize, end: usize) -> bool {
    network.family == Family::V6
        && frame.header::<Icmp>(offset).is_some_and(|message| matches!(message.kind, 133..=137))
        && offset + size_of::<Icmp>() <= end
}

#[cfg(test)]
mod tests;
