//! VXLAN (RFC 7348, section 5): the packet in an Ethernet frame of its own.

use super::mac;
use crate::frame::Frame;
use crate::wire::{Ethernet, Udp, Vxlan, ether_type};
use lb_common::abi::{INNER_SOURCE, TunnelEntry};
use lb_common::net::Family;

/// Bytes between the outer IP header and the packet.
pub const LENGTH: usize = size_of::<Vxlan>();
/// The I flag: there is a VNI. All others are reserved, and zero.
const HAS_VNI: u32 = 0x0800_0000_u32.to_be();

/// Writes UDP, VXLAN and Ethernet at `offset`. `None` if the frame ends before they do.
#[inline(always)]
pub(super) fn write<F: Frame>(
    frame: &mut F,
    offset: usize,
    udp: Udp,
    inner: Family,
    entry: &TunnelEntry,
) -> Option<()> {
    let header = frame.header_mut::<Vxlan>(offset)?;
    header.udp = udp;
    header.flags = HAS_VNI;
    header.vni = entry.vni;
    header.ethernet = Ethernet {
        destination: mac(&entry.mac),
        source: mac(&INNER_SOURCE),
        ether_type: match inner {
            Family::V4 => ether_type::IPV4,
            Family::V6 => ether_type::IPV6,
        },
    };
    Some(())
}
