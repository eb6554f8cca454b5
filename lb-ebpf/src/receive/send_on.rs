//! A packet whose connection is not this node's, on to the next who may have it.
//!
//! As a router does with a routing header (RFC 2460, section 4.4), the outer destination and the next address in the
//! list change places, so that the first address is that of the first node when all were asked; there nobody asks any
//! more. Each step counts up what is limited to three: no packet goes round for ever. The outer source becomes this
//! node's: no network need let it send in a gateway's name.

use super::{Node, Verdict};
use crate::chain::header::{Header, address_length, before};
use crate::encapsulate;
use crate::frame::Frame;
use crate::parse::{ETHERNET_LENGTH, Network, VLAN_LENGTH};
use crate::wire::{HalfWord, Ipv4, Ipv6, WideAddress, ether_type};
use lb_common::abi::NodeHop;
use lb_common::checksum;
use lb_common::net::{Address, Family};
use lb_common::reason::ReceiverReason as Reason;

/// What travels with a packet.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    /// Its first word.
    pub header: Header,
    /// Where that lies in the frame; the tag follows, if there is one, and the addresses.
    pub offset: usize,
}

/// Sends the packet on.
///
/// Errors: [`Reason::NoNextHop`]; [`Reason::NotMoved`].
#[inline(always)]
pub fn send_on<F: Frame, N: Node>(
    frame: &mut F,
    node: &N,
    outer: &Network,
    chain: Chain,
) -> Result<Verdict, Reason> {
    let (at, header, reason) = step(chain.header);
    let slot = chain.offset + before(header.is_tagged()) + at * address_length(outer.family == Family::V6);
    let next = address(frame, outer.family, slot).ok_or(Reason::NotMoved)?;
    let hop = node.hop(&next).ok_or(Reason::NoNextHop)?;
    let own = outer.destination;
    let done = set_address(frame, outer.family, slot, &own)
        .and_then(|()| set_header(frame, chain.offset, header))
        .and_then(|()| readdress(frame, outer, &own, &next))
        .and_then(|()| link(frame, outer, &hop));
    done.ok_or(Reason::NotMoved)?;
    node.count_reason(reason);
    Ok(Verdict::Send(hop.interface))
}

/// Which address is next, what the header becomes, and what it is counted as.
#[inline(always)]
const fn step(header: Header) -> (usize, Header, Reason) {
    if header.asked() < header.addresses() {
        (header.asked(), header.next(), Reason::SentOn)
    } else {
        (0, header.last(), Reason::SentBack)
    }
}

#[inline(always)]
fn address<F: Frame>(frame: &F, family: Family, offset: usize) -> Option<Address> {
    match family {
        Family::V4 => Some(Address::from_v4_word(frame.header::<HalfWord>(offset)?.half)),
        Family::V6 => Some(frame.header::<WideAddress>(offset)?.address()),
    }
}

#[inline(always)]
fn set_address<F: Frame>(frame: &mut F, family: Family, offset: usize, address: &Address) -> Option<()> {
    match family {
        Family::V4 => frame.header_mut::<HalfWord>(offset)?.half = address.v4_word(),
        Family::V6 => frame.header_mut::<WideAddress>(offset)?.set(address),
    }
    Some(())
}

#[inline(always)]
fn set_header<F: Frame>(frame: &mut F, offset: usize, header: Header) -> Option<()> {
    frame.header_mut::<HalfWord>(offset)?.half = header.wire();
    Some(())
}

#[inline(always)]
fn readdress<F: Frame>(frame: &mut F, outer: &Network, own: &Address, next: &Address) -> Option<()> {
    match outer.family {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(outer.offset)?;
            // The old destination is the new source, so that only one address leaves the sum, and one comes in
            // (RFC 1624, equation 3).
            let gone = checksum::halves(!header.source);
            let sum = u64::from(!header.checksum) + gone + checksum::halves(next.v4_word());
            header.checksum = checksum::finish(sum);
            (header.source, header.destination) = (own.v4_word(), next.v4_word());
        }
        Family::V6 => {
            let header = frame.header_mut::<Ipv6>(outer.offset)?;
            header.source.set(own);
            header.destination.set(next);
        }
    }
    Some(())
}

/// The link header toward the next hop in the place of the one that the packet came with.
#[inline(always)]
#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "lengths of link headers")]
fn link<F: Frame>(frame: &mut F, outer: &Network, hop: &NodeHop) -> Option<()> {
    let tag = if hop.destination_mac.number == 0 { 0 } else { VLAN_LENGTH };
    frame.grow((ETHERNET_LENGTH + tag) as i32 - outer.offset as i32)?;
    let kind = if outer.family == Family::V6 { ether_type::IPV6 } else { ether_type::IPV4 };
    encapsulate::ethernet(frame, &hop.destination_mac, &hop.source_mac, kind)
}
