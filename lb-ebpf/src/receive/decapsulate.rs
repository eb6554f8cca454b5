//! The packet in a tunnel packet to the front of the frame.

use super::tunnel::Tunnel;
use crate::frame::Frame;
use crate::parse::{self, ETHERNET_LENGTH, Network, VLAN_LENGTH};
use crate::wire::{Ethernet, Ipv4, Ipv6, Vlan, ether_type};
use lb_common::net::{Family, NetworkU16};
use lb_common::reason::ReceiverReason as Reason;

/// Explicit congestion notification: the lower two bits of the traffic class (RFC 3168).
const ECN: u8 = 3;
const CONGESTION: u8 = 3;
const ECT_1: u8 = 1;

/// Takes the outer headers off, and returns the packet's length in bytes. Link header and VLAN tags stay.
///
/// Errors: [`Reason::OuterTruncated`] and [`Reason::BadTunnel`] for a packet that is not whole or not of the family that
/// the tunnel says; [`Reason::Congested`], [`Reason::NotMoved`].
#[inline(always)]
pub fn take_off<F: Frame>(frame: &mut F, tunnel: &Tunnel) -> Result<usize, Reason> {
    let inner = parse::ip(frame, tunnel.family, tunnel.inner).ok_or(Reason::BadTunnel)?;
    if inner.end() > tunnel.outer.end() || !frame.holds(inner.end()) {
        return Err(Reason::OuterTruncated);
    }
    let mark = mark(tunnel.outer.traffic_class & ECN, inner.traffic_class & ECN)?;
    if mark != inner.traffic_class & ECN {
        set_ecn(frame, &inner, mark).ok_or(Reason::NotMoved)?;
    }
    let by = tunnel.inner - tunnel.outer.offset;
    move_link(frame, tunnel.outer.offset, by, tunnel.family).ok_or(Reason::NotMoved)?;
    Ok(inner.length)
}

/// What the packet's congestion bits become (RFC 6040, section 4.2).
#[inline(always)]
const fn mark(outer: u8, inner: u8) -> Result<u8, Reason> {
    match (outer, inner) {
        (CONGESTION, 0) => Err(Reason::Congested),
        (CONGESTION, _) => Ok(CONGESTION),
        (ECT_1, 2) => Ok(ECT_1),
        _ => Ok(inner),
    }
}

/// The traffic class of other outer headers that a packet is put into which keeps its own: with the congestion that the
/// ones before were marked with.
#[inline(always)]
pub const fn carried_on(outer: u8, inner: u8) -> u8 {
    match (outer & ECN, inner & ECN) {
        (CONGESTION, _) | (ECT_1, 2) => inner & !ECN | outer & ECN,
        _ => inner,
    }
}

#[inline(always)]
fn set_ecn<F: Frame>(frame: &mut F, inner: &Network, mark: u8) -> Option<()> {
    match inner.family {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(inner.offset)?;
            let tos = header.tos & !ECN | mark;
            header.checksum = updated(header.checksum, header.tos, tos);
            header.tos = tos;
        }
        Family::V6 => {
            let header = frame.header_mut::<Ipv6>(inner.offset)?;
            let word = u32::from_be(header.first_word) & !(u32::from(ECN) << 20) | u32::from(mark) << 20;
            header.first_word = word.to_be();
        }
    }
    Some(())
}

/// The checksum (native reading) of a header in which one byte of odd place changed (RFC 1624, equation 3).
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "what is carried out was added in")]
const fn updated(checksum: u16, before: u8, after: u8) -> u16 {
    let sum = !u16::from_be(checksum) as u32 + !(before as u16) as u32 + after as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_be()
}

/// Moves the link header and up to two tags, `length` bytes, over the `by` bytes behind them.
#[inline(always)]
pub(crate) fn move_link<F: Frame>(frame: &mut F, length: usize, by: usize, family: Family) -> Option<()> {
    let Ethernet { destination, source, ether_type: first } = *frame.header::<Ethernet>(0)?;
    let tags = [tag(frame, length, 0), tag(frame, length, 1)];
    frame.grow(-i32::try_from(by).ok()?)?;
    let kind = match family {
        Family::V4 => ether_type::IPV4,
        Family::V6 => ether_type::IPV6,
    };
    let last = length == ETHERNET_LENGTH;
    *frame.header_mut::<Ethernet>(0)? =
        Ethernet { destination, source, ether_type: if last { kind } else { first } };
    if length > ETHERNET_LENGTH {
        let ether_type = if length > ETHERNET_LENGTH + VLAN_LENGTH { tags[0].1 } else { kind };
        *frame.header_mut::<Vlan>(ETHERNET_LENGTH)? = Vlan { tag: tags[0].0, ether_type };
    }
    if length > ETHERNET_LENGTH + VLAN_LENGTH {
        *frame.header_mut::<Vlan>(ETHERNET_LENGTH + VLAN_LENGTH)? = Vlan { tag: tags[1].0, ether_type: kind };
    }
    Some(())
}

/// Tag number `number` of a link header of `length` bytes, and the type behind it; zeros if there is none.
#[inline(always)]
fn tag<F: Frame>(frame: &F, length: usize, number: usize) -> (NetworkU16, NetworkU16) {
    let offset = ETHERNET_LENGTH + number * VLAN_LENGTH;
    match frame.header::<Vlan>(offset) {
        Some(header) if offset < length => (header.tag, header.ether_type),
        _ => (NetworkU16::default(), NetworkU16::default()),
    }
}
