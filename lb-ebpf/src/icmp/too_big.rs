//! "Fragmentation needed" (RFC 792, RFC 1191) and "packet too big" (RFC 4443, 3.2), from the VIP to the sender of a
//! packet that with its outer header would not fit the path.
//!
//! What is quoted is as much of the packet as the smallest packet that every host takes has room for, to a word:
//! 544 bytes behind 28 in IPv4, 1,232 behind 48 in IPv6. A packet that does not fit has more than that.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "lengths of headers and of what is quoted, and an MTU of sixteen bits"
)]

use super::{TTL, kind_code};
use crate::frame::Frame;
use crate::parse::{self, ETHERNET_LENGTH, IPV4_LENGTH, IPV6_LENGTH, Network, VLAN_LENGTH};
use crate::wire::{Ethernet, Half, IcmpMessage, Ipv4, Ipv6, Mac, Word, protocol};
use lb_common::checksum;
use lb_common::net::{Family, NetworkU16};

const MESSAGE: usize = size_of::<IcmpMessage>();
/// Quoted bytes, multiples of eight.
const QUOTE_V4: usize = 544;
const QUOTE_V6: usize = 1232;
const DONT_FRAGMENT: u16 = 0x4000;

/// Whether the sender of such a packet is told: in IPv4 only if it asked that the packet not be cut (RFC 1191).
#[inline(always)]
pub fn is_told<F: Frame>(frame: &F, network: &Network) -> bool {
    match network.family {
        Family::V4 => {
            let header = frame.header::<Ipv4>(network.offset);
            header.is_some_and(|header| header.fragment.get() & DONT_FRAGMENT != 0)
        }
        Family::V6 => true,
    }
}

/// Turns the packet into the error; `mtu`: the longest packet that would have fitted, in bytes. `None`: there is
/// no room for it, or the packet is shorter than what is to be quoted. A function of its own in the kernel
/// program, for the sake of its stack; the packet is parsed again for the same reason.
#[inline(never)]
pub fn answer<F: Frame>(frame: &mut F, mtu: usize) -> Option<()> {
    let network = &parse::network(frame).ok()?;
    let (header, quote) = match network.family {
        Family::V4 => (IPV4_LENGTH, QUOTE_V4),
        Family::V6 => (IPV6_LENGTH, QUOTE_V6),
    };
    if network.length <= quote {
        return None;
    }
    frame.cut(network.offset + quote)?;
    exchange_link(frame, network.offset, header + MESSAGE)?;
    match network.family {
        Family::V4 => ipv4(frame, network),
        Family::V6 => ipv6(frame, network),
    }?;
    message(frame, network, network.offset + header, mtu, quote)
}

/// Makes room of `room` bytes behind a link header of `length`, and turns that back to where it came from.
///
/// Number by number: structs and options of them on the stack are copied by pieces, of which older verifiers take
/// some for bytes that nobody wrote.
#[inline(always)]
fn exchange_link<F: Frame>(frame: &mut F, length: usize, room: usize) -> Option<()> {
    let header = frame.header::<Ethernet>(0)?;
    let (to_head, to_tail) = (header.destination.head, header.destination.tail);
    let (from_head, from_tail, kind) = (header.source.head, header.source.tail, header.ether_type);
    let (first, second) = (tag(frame, FIRST_TAG, length), tag(frame, SECOND_TAG, length));
    frame.grow(room as i32)?;
    let header = frame.header_mut::<Ethernet>(0)?;
    header.destination = Mac { head: from_head, tail: from_tail };
    header.source = Mac { head: to_head, tail: to_tail };
    header.ether_type = kind;
    put(frame, FIRST_TAG, length, first)?;
    put(frame, SECOND_TAG, length, second)
}

const FIRST_TAG: usize = ETHERNET_LENGTH;
const SECOND_TAG: usize = ETHERNET_LENGTH + VLAN_LENGTH;

/// The tag at `offset` of a link header of `length`, as one number; 0 if it has none there.
#[inline(always)]
fn tag<F: Frame>(frame: &F, offset: usize, length: usize) -> u32 {
    if offset >= length { 0 } else { frame.header::<Half>(offset).map_or(0, |tag| tag.half) }
}

#[inline(always)]
fn put<F: Frame>(frame: &mut F, offset: usize, length: usize, tag: u32) -> Option<()> {
    if offset < length {
        frame.header_mut::<Half>(offset)?.half = tag;
    }
    Some(())
}

#[inline(always)]
fn ipv4<F: Frame>(frame: &mut F, network: &Network) -> Option<()> {
    let length = NetworkU16::new((IPV4_LENGTH + MESSAGE + QUOTE_V4) as u16);
    let (source, destination) = (network.destination.v4_word(), network.source.v4_word());
    let header = frame.header_mut::<Ipv4>(network.offset)?;
    header.version_length = 0x45;
    header.tos = 0;
    header.total_length = length;
    header.id = NetworkU16::new(0);
    header.fragment = NetworkU16::new(DONT_FRAGMENT);
    header.ttl = TTL;
    header.protocol = protocol::ICMP;
    header.source = source;
    header.destination = destination;
    header.checksum = checksum::finish(
        u64::from(kind_code(0x45, 0))
            + u64::from(length.wire())
            + u64::from(NetworkU16::new(DONT_FRAGMENT).wire())
            + u64::from(kind_code(TTL, protocol::ICMP))
            + checksum::halves(source)
            + checksum::halves(destination),
    );
    Some(())
}

#[inline(always)]
fn ipv6<F: Frame>(frame: &mut F, network: &Network) -> Option<()> {
    let header = frame.header_mut::<Ipv6>(network.offset)?;
    header.first_word = (6_u32 << 28).to_be();
    header.payload_length = NetworkU16::new((MESSAGE + QUOTE_V6) as u16);
    header.next_header = protocol::ICMPV6;
    header.hop_limit = TTL;
    header.source.set(&network.destination);
    header.destination.set(&network.source);
    Some(())
}

#[inline(always)]
fn message<F: Frame>(
    frame: &mut F,
    network: &Network,
    offset: usize,
    mtu: usize,
    quote: usize,
) -> Option<()> {
    let kind_code = match network.family {
        Family::V4 => kind_code(3, 4),
        Family::V6 => kind_code(2, 0),
    };
    let rest = (mtu as u32).to_be();
    let sum = pseudo_header(network) + u64::from(kind_code) + checksum::halves(rest);
    let checksum = checksum::finish(sum + quoted(frame, offset + MESSAGE, quote)?);
    *frame.header_mut::<IcmpMessage>(offset)? = IcmpMessage { kind_code, checksum, rest };
    Some(())
}

/// The sum of the bytes quoted, by words.
#[inline(always)]
fn quoted<F: Frame>(frame: &F, offset: usize, bytes: usize) -> Option<u64> {
    let mut sum = 0;
    let mut at = 0;
    while at < bytes {
        sum += checksum::quarters(frame.header::<Word>(offset + at)?.word);
        at += size_of::<Word>();
    }
    Some(sum)
}

/// The sum of what `ICMPv6` covers beside the message (RFC 8200, 8.1); ICMP covers no more than that.
#[inline(always)]
fn pseudo_header(network: &Network) -> u64 {
    if network.family == Family::V4 {
        return 0;
    }
    let ([a, b], [c, d]) = (network.source.words(), network.destination.words());
    let length = u64::from(NetworkU16::new((MESSAGE + QUOTE_V6) as u16).wire());
    let next = u64::from(NetworkU16::new(protocol::ICMPV6.into()).wire());
    let addresses = [a, b, c, d].map(checksum::quarters);
    let [a, b, c, d] = addresses;
    a + b + c + d + length + next
}
