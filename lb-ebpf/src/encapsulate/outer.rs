//! The outer IP header, in all four combinations of families (RFC 2003, RFC 2473, RFC 4213).

use crate::frame::Frame;
use crate::parse::Network;
use crate::wire::{Ipv4, Ipv6};
use lb_common::abi::{BackendEntry, BackendFlags, OUTER_TTL};
use lb_common::checksum;
use lb_common::flow::FlowHash;
use lb_common::net::NetworkU16;

const DONT_FRAGMENT: NetworkU16 = NetworkU16::new(0x4000);
/// Bytes of an outer IPv4 header: no options.
pub const V4_LENGTH: usize = size_of::<Ipv4>();
/// Bytes of an outer IPv6 header: no extension headers.
pub const V6_LENGTH: usize = size_of::<Ipv6>();

/// Bytes of a backend's outer IP header.
#[inline(always)]
pub fn length(backend: &BackendEntry) -> usize {
    if backend.route.flags.has(BackendFlags::OUTER_V6) { V6_LENGTH } else { V4_LENGTH }
}

/// Writes the header at `offset`, before `carried`: protocol and bytes of what comes behind it. `None` if the
/// frame ends before it does.
#[inline(always)]
pub(super) fn write<F: Frame>(
    frame: &mut F,
    offset: usize,
    network: &Network,
    backend: &BackendEntry,
    hash: FlowHash,
    carried: (u8, usize),
) -> Option<()> {
    if backend.route.flags.has(BackendFlags::OUTER_V6) {
        ipv6(frame, offset, network, backend, hash, carried)
    } else {
        ipv4(frame, offset, network, backend, carried)
    }
}

#[inline(always)]
fn ipv4<F: Frame>(
    frame: &mut F,
    offset: usize,
    network: &Network,
    backend: &BackendEntry,
    (protocol, bytes): (u8, usize),
) -> Option<()> {
    let total_length = NetworkU16::new((bytes + V4_LENGTH) as u16);
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
    (protocol, bytes): (u8, usize),
) -> Option<()> {
    let first_word = 6 << 28 | u32::from(network.traffic_class) << 20 | hash.flow_label();
    let header = frame.header_mut::<Ipv6>(offset)?;
    header.first_word = first_word.to_be();
    header.payload_length = NetworkU16::new(bytes as u16);
    header.next_header = protocol;
    header.hop_limit = OUTER_TTL;
    header.source.set(&backend.source);
    header.destination.set(&backend.destination);
    Some(())
}
