//! Is a packet's connection this node's?
//!
//! A packet with which nobody else travels is taken without a question; if its flow is to be remembered, it is. So is
//! what begins a connection, and what came back since nobody knows it. Else the node's sockets are asked, and what it
//! remembers. What has no ports to go by is taken: nobody could tell more of it.

use super::Node;
use super::tunnel::Tunnel;
use crate::frame::Frame;
use crate::icmp;
use crate::parse::transport::{Place, locate, ports};
use crate::parse::{self, Network};
use crate::track::Segment;
use crate::wire::{HalfWord, protocol};
use lb_common::abi::{Accepted, AcceptedFlags};
use lb_common::flow::Flow;

/// Whether the packet is to be taken here.
#[inline(always)]
pub fn is_ours<F: Frame, N: Node>(frame: &F, node: &N, accepted: &Accepted, tunnel: &Tunnel) -> bool {
    let asks = tunnel.chain.is_some_and(|chain| !chain.header.is_final());
    if !asks && !accepted.flags.has_any(REMEMBER) {
        return true;
    }
    let inner = (node.forgotten(tunnel.inner as u64) & 0xff) as usize;
    let Some(packet) = parse::ip(frame, tunnel.family, inner) else { return true };
    // Of nearly all packets that says it: what is neither asked after nor remembered is not looked into.
    if !asks && packet.next == protocol::TCP && !accepted.flags.has(AcceptedFlags::REMEMBER_TCP) {
        return true;
    }
    let Some(found) = find(frame, node, accepted, &packet) else { return true };
    let is_known = !asks || found.is_known(frame, node, accepted, packet.offset);
    if is_known && found.is_remembered(accepted) {
        node.own(&found.flow, found.sequence, found.segment == Segment::Closing);
    }
    is_known
}

const REMEMBER: AcceptedFlags = AcceptedFlags::REMEMBER_UDP.with(AcceptedFlags::REMEMBER_TCP);

/// What a packet tells of its flow.
struct Found {
    flow: Flow,
    segment: Segment,
    /// Of a TCP segment, where those are remembered; else 0. Host order.
    sequence: u32,
    /// Where its transport header lies.
    offset: usize,
}

impl Found {
    #[inline(always)]
    fn is_known<F: Frame, N: Node>(&self, frame: &F, node: &N, accepted: &Accepted, ip: usize) -> bool {
        let tcp = self.flow.protocol == protocol::TCP;
        self.segment == Segment::Opening
            || tcp && node.has_socket(frame, &self.flow, ip, self.offset)
            || accepted.flags.has_any(remembering(tcp)) && node.owns(&self.flow, self.sequence)
    }

    /// Not by its SYN, for a flood of those is cheap; nor by what is only about it.
    #[inline(always)]
    fn is_remembered(&self, accepted: &Accepted) -> bool {
        let flags = remembering(self.flow.protocol == protocol::TCP);
        accepted.flags.has_any(flags) && matches!(self.segment, Segment::Middle | Segment::Closing)
    }
}

#[inline(always)]
const fn remembering(tcp: bool) -> AcceptedFlags {
    if tcp { AcceptedFlags::REMEMBER_TCP } else { AcceptedFlags::REMEMBER_UDP }
}

#[inline(always)]
fn find<F: Frame, N: Node>(frame: &F, node: &N, accepted: &Accepted, packet: &Network) -> Option<Found> {
    let place = Place::of_word(node.forgotten(locate(frame, packet).ok()?.word()));
    if place.piece.is_some() {
        return None;
    }
    if matches!(place.protocol, protocol::TCP | protocol::UDP) {
        let transport = ports(frame, packet, &place).ok()?;
        let counts = place.protocol == protocol::TCP && accepted.flags.has(AcceptedFlags::REMEMBER_TCP);
        let sequence = if counts { sequence(frame, place.offset)? } else { 0 };
        let (flow, segment) = (transport.flow, transport.segment());
        return Some(Found { flow, segment, sequence, offset: place.offset });
    }
    let kind = icmp::kind(frame, packet, &place).ok()?;
    let flow = icmp::error::flow(frame, packet, &place, kind, |word| node.forgotten(word)).ok()?;
    Some(Found { flow, segment: Segment::Related, sequence: 0, offset: place.offset })
}

/// Of a TCP header, in host order (RFC 9293, section 3.1).
#[inline(always)]
fn sequence<F: Frame>(frame: &F, offset: usize) -> Option<u32> {
    Some(u32::from_be(frame.header::<HalfWord>(offset + SEQUENCE)?.half))
}

/// Where it lies.
const SEQUENCE: usize = 4;
