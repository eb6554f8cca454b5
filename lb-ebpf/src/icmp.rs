//! ICMP for a VIP (RFC 792, RFC 4443): echo requests are answered here, errors belong to the flow that they are
//! about, and a packet that would not fit is answered with an error.

pub mod echo;
pub mod error;
pub mod too_big;

use crate::frame::Frame;
use crate::parse::transport::Place;
use crate::parse::{ETHERNET_LENGTH, Network};
use crate::wire::{Ethernet, IcmpMessage, Ipv4, Ipv6, Mac};
use lb_common::abi::OUTER_TTL;
use lb_common::net::Family;
use lb_common::reason::Reason;

/// Type and code of the message at `place`, as their two bytes are read natively.
///
/// Error: [`Reason::Truncated`], the packet does not hold the eight bytes that every message begins with.
#[inline(always)]
pub fn kind<F: Frame>(frame: &F, network: &Network, place: &Place) -> Result<u16, Reason> {
    let message = frame.header::<IcmpMessage>(place.offset).ok_or(Reason::Truncated)?;
    if place.offset + size_of::<IcmpMessage>() > network.end() {
        return Err(Reason::Truncated);
    }
    Ok(message.kind_code)
}

/// Type and code as their two bytes are read natively.
#[inline(always)]
const fn kind_code(kind: u8, code: u8) -> u16 {
    u16::from_ne_bytes([kind, code])
}

/// TTL or hop limit of what the gateway sends by itself.
const TTL: u8 = OUTER_TTL;

/// Sends a frame back to where it came from: both MACs exchanged.
#[inline(always)]
fn return_link<F: Frame>(frame: &mut F) -> Option<()> {
    const { assert!(size_of::<Ethernet>() == ETHERNET_LENGTH) }
    let header = frame.header_mut::<Ethernet>(0)?;
    // Field by field: packed structs that are moved whole are moved byte by byte.
    let (to, from) = (header.destination, header.source);
    header.destination = Mac { head: from.head, tail: from.tail };
    header.source = Mac { head: to.head, tail: to.tail };
    Some(())
}

/// Exchanges the addresses of the IP header at `offset`; for IPv4 the time to live is set anew too.
#[inline(always)]
fn return_network<F: Frame>(frame: &mut F, family: Family, offset: usize) -> Option<()> {
    match family {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(offset)?;
            let (from, to) = (header.source, header.destination);
            header.source = to;
            header.destination = from;
            let word = |ttl| u16::from_ne_bytes([ttl, header.protocol]);
            let (old, new) = (word(header.ttl), word(TTL));
            header.checksum = lb_common::checksum::replace(header.checksum, old, new);
            header.ttl = TTL;
        }
        Family::V6 => {
            let header = frame.header_mut::<Ipv6>(offset)?;
            let (from, to) = (header.source.address(), header.destination.address());
            header.source.set(&to);
            header.destination.set(&from);
            header.hop_limit = TTL;
        }
    }
    Some(())
}
