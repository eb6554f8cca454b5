//! The outer header: IP in IP in all four combinations of families (RFC 2003, RFC 2473, RFC 4213).

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "header lengths are two-digit numbers, and what is sent fits an MTU of sixteen bits"
)]

use crate::frame::Frame;
use crate::parse::{ETHERNET_LENGTH, Network, VLAN_LENGTH};
use crate::verdict::End;
use crate::wire::{Ethernet, Ipv4, Ipv6, Mac, Vlan, ether_type, protocol};
use lb_common::abi::{BackendEntry, BackendFlags, LinkAddress, OUTER_TTL};
use lb_common::checksum;
use lb_common::flow::FlowHash;
use lb_common::net::{Family, NetworkU16};
use lb_common::reason::Reason;

const DONT_FRAGMENT: NetworkU16 = NetworkU16::new(0x4000);
const OUTER_V4_LENGTH: usize = size_of::<Ipv4>();
const OUTER_V6_LENGTH: usize = size_of::<Ipv6>();

/// Bytes that the outer header adds to a packet for this backend.
#[inline(always)]
pub fn overhead(backend: &BackendEntry) -> usize {
    if backend.route.flags.has(BackendFlags::OUTER_V6) { OUTER_V6_LENGTH } else { OUTER_V4_LENGTH }
}

/// The longest packet that, with its outer header, fits the path to the backend, in bytes.
#[inline(always)]
pub fn largest(backend: &BackendEntry) -> usize {
    usize::from(backend.mtu).saturating_sub(overhead(backend))
}

/// Whether a packet fits the path to the backend. To this machine there is no path.
#[inline(always)]
pub fn fits(network: &Network, backend: &BackendEntry) -> bool {
    network.length <= largest(backend) || backend.route.flags.has(BackendFlags::LOCAL)
}

/// Puts the backend's outer header and next hop in front of the packet. The inner packet is untouched;
/// VLAN tags it came with are gone, the egress's own is there. It must not be longer than [`largest`].
#[inline(always)]
pub fn wrap<F: Frame>(
    frame: &mut F,
    network: &Network,
    backend: &BackendEntry,
    hash: FlowHash,
) -> Result<(), End> {
    let outer_v6 = backend.route.flags.has(BackendFlags::OUTER_V6);
    let overhead = overhead(backend);
    let link =
        if backend.destination_mac.number == 0 { ETHERNET_LENGTH } else { ETHERNET_LENGTH + VLAN_LENGTH };
    let kind = if outer_v6 { ether_type::IPV6 } else { ether_type::IPV4 };
    frame.grow((link + overhead) as i32 - network.offset as i32).ok_or(NO_ROOM)?;
    let written = if outer_v6 {
        ipv6(frame, link, network, backend, hash)
    } else {
        ipv4(frame, link, network, backend)
    };
    written.and_then(|()| ethernet(frame, backend, kind)).ok_or(NO_ROOM)
}

const NO_ROOM: End = End::drop(Reason::NoHeadroom);

#[inline(always)]
fn ethernet<F: Frame>(frame: &mut F, backend: &BackendEntry, kind: NetworkU16) -> Option<()> {
    let vlan = backend.destination_mac.number;
    let header = frame.header_mut::<Ethernet>(0)?;
    header.destination = mac(&backend.destination_mac);
    header.source = mac(&backend.source_mac);
    header.ether_type = if vlan == 0 { kind } else { ether_type::VLAN };
    if vlan != 0 {
        *frame.header_mut::<Vlan>(ETHERNET_LENGTH)? = Vlan { tag: NetworkU16::new(vlan), ether_type: kind };
    }
    Some(())
}

#[inline(always)]
fn mac(address: &LinkAddress) -> Mac {
    Mac { head: address.head, tail: address.tail }
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &mut F, offset: usize, network: &Network, backend: &BackendEntry) -> Option<()> {
    let total_length = NetworkU16::new((network.length + OUTER_V4_LENGTH) as u16);
    let protocol = inner_protocol(network.family);
    let header = frame.header_mut::<Ipv4>(offset)?;
    header.version_length = 0x45;
    header.tos = network.traffic_class;
    header.total_length = total_length;
    header.id = NetworkU16::new(0);
    header.fragment = DONT_FRAGMENT;
    header.ttl = OUTER_TTL;
    header.protocol = protocol;
    header.checksum = checksum::finish(
        u64::from(backend.header_sum)
            + u64::from(NetworkU16::new(u16::from(network.traffic_class)).wire())
            + u64::from(NetworkU16::new(u16::from(protocol)).wire())
            + u64::from(total_length.wire()),
    );
    header.source = backend.source.v4_word();
    header.destination = backend.destination.v4_word();
    Some(())
}

#[inline(always)]
fn ipv6<F: Frame>(
    frame: &mut F,
    offset: usize,
    network: &Network,
    backend: &BackendEntry,
    hash: FlowHash,
) -> Option<()> {
    let first_word = 6 << 28 | u32::from(network.traffic_class) << 20 | hash.flow_label();
    let header = frame.header_mut::<Ipv6>(offset)?;
    header.first_word = first_word.to_be();
    header.payload_length = NetworkU16::new(network.length as u16);
    header.next_header = inner_protocol(network.family);
    header.hop_limit = OUTER_TTL;
    header.source.set(&backend.source);
    header.destination.set(&backend.destination);
    Some(())
}

#[inline(always)]
fn inner_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    }
}
