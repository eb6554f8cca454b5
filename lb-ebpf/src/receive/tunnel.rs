//! Is a frame a tunnel packet for this node, from a gateway, and where does the packet in it begin?

use super::Node;
use super::send_on::Chain;
use crate::chain::header::Header;
use crate::frame::Frame;
use crate::parse::{self, IPV4_LENGTH, Network};
use crate::wire::{Gue, HalfWord, Ports, Vxlan, ether_type, protocol};
use lb_common::abi::{Accepted, AcceptedFlags, AccessKey, TunnelKind};
use lb_common::net::Family;
use lb_common::reason::ReceiverReason as Reason;

/// GUE of variant 0, a data message without flags, before IPv4 and IPv6; native readings
/// (draft-ietf-intarea-gue, section 3).
const GUE_IPV4: u32 = ((protocol::IPV4 as u32) << 16).to_be();
const GUE_IPV6: u32 = ((protocol::IPV6 as u32) << 16).to_be();
/// The length of what else is in the header, in words of four bytes.
const GUE_LENGTH: u32 = 0x1f00_0000_u32.to_be();
/// There is a VNI (RFC 7348, section 5). All other bits are to be ignored.
const HAS_VNI: u32 = 0x0800_0000_u32.to_be();
/// The VNI without the reserved byte behind it.
const VNI: u32 = 0xffff_ff00_u32.to_be();

/// A tunnel packet.
#[derive(Debug)]
pub struct Tunnel {
    /// Its kind.
    pub kind: TunnelKind,
    /// The outer IP header.
    pub outer: Network,
    /// Offset of the packet in it, which ends within the outer one as far as that says.
    pub inner: usize,
    /// The family of the packet in it.
    pub family: Family,
    /// Who else may have it; only GUE has room for that.
    pub chain: Option<Chain>,
    /// Offset of its keyed tag; the same.
    pub tag: Option<usize>,
}

/// What lies between GUE's header and the packet.
#[derive(Clone, Copy, Default)]
struct Private {
    length: usize,
    chain: Option<Chain>,
    tag: Option<usize>,
}

/// The tunnel packet that a frame is.
///
/// Errors: [`Reason::NotTunnelled`] for what the kernel is to have as it is; all others are ends.
#[inline(always)]
pub fn find<F: Frame, N: Node>(frame: &F, node: &N, accepted: &Accepted) -> Result<Tunnel, Reason> {
    let outer = parse::network(frame).map_err(|_| Reason::NotTunnelled)?;
    let kind = kind(frame, &outer, accepted).ok_or(Reason::NotTunnelled)?;
    if outer.header_length < IPV4_LENGTH || !node.is_own(&outer.destination) {
        return Err(Reason::NotTunnelled);
    }
    // Who sent it is asked before what is wrong with it: counters of the latter are about gateways.
    if !node.is_peer(&AccessKey::of_source(0, outer.family, outer.source)) {
        return Err(Reason::UnknownPeer);
    }
    if outer.fragment {
        return Err(Reason::OuterFragment);
    }
    let start = outer.offset + outer.header_length;
    let mut private = Private::default();
    let (family, inner) = match kind {
        TunnelKind::Ipip => (if outer.next == protocol::IPV4 { Family::V4 } else { Family::V6 }, start),
        TunnelKind::Gue => {
            let family;
            (family, private) = gue(frame, start, &outer)?;
            (family, start + size_of::<Gue>() + private.length)
        }
        TunnelKind::Vxlan => (vxlan(frame, start, accepted)?, start + size_of::<Vxlan>()),
    };
    Ok(Tunnel { kind, outer, inner, family, chain: private.chain, tag: private.tag })
}

/// What it would be if it were for this node. Fragments of UDP but the first have no ports, and are nobody's.
#[inline(always)]
fn kind<F: Frame>(frame: &F, outer: &Network, accepted: &Accepted) -> Option<TunnelKind> {
    match outer.next {
        protocol::IPV4 | protocol::IPV6 => {
            accepted.flags.has(AcceptedFlags::IPIP).then_some(TunnelKind::Ipip)
        }
        protocol::UDP => {
            let port = frame.header::<Ports>(outer.offset + outer.header_length)?.destination;
            if port.wire() == 0 {
                None
            } else if port == accepted.gue {
                Some(TunnelKind::Gue)
            } else if port == accepted.vxlan {
                Some(TunnelKind::Vxlan)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The family of the packet, and what travels with it: all of GUE's private data.
#[inline(always)]
fn gue<F: Frame>(frame: &F, offset: usize, outer: &Network) -> Result<(Family, Private), Reason> {
    let word = frame.header::<Gue>(offset).ok_or(Reason::OuterTruncated)?.word;
    let family = match word & !GUE_LENGTH {
        GUE_IPV4 => Family::V4,
        GUE_IPV6 => Family::V6,
        _ => return Err(Reason::BadTunnel),
    };
    if word & GUE_LENGTH == 0 {
        return Ok((family, Private::default()));
    }
    let offset = offset + size_of::<Gue>();
    let header = frame.header::<HalfWord>(offset).ok_or(Reason::OuterTruncated)?.half;
    let header = Header::of_wire(header).ok_or(Reason::BadTunnel)?;
    let chained = header.addresses() > 0;
    let length = header.length(outer.family == Family::V6);
    let announced = 4 * (u32::from_be(word & GUE_LENGTH) >> 24) as usize;
    // Gateways write no options; what has some could not be sent on.
    let plain = outer.family == Family::V6 || outer.header_length == IPV4_LENGTH;
    if length != announced || chained && !plain {
        return Err(Reason::BadTunnel);
    }
    let chain = if chained { Some(Chain { header, offset }) } else { None };
    let tag = if header.is_tagged() { Some(offset + Header::LENGTH) } else { None };
    Ok((family, Private { length, chain, tag }))
}

#[inline(always)]
fn vxlan<F: Frame>(frame: &F, offset: usize, accepted: &Accepted) -> Result<Family, Reason> {
    let header = frame.header::<Vxlan>(offset).ok_or(Reason::OuterTruncated)?;
    let kind = header.ethernet.ether_type;
    if header.flags & HAS_VNI == 0 || header.vni & VNI != accepted.vni & VNI {
        return Err(Reason::BadTunnel);
    }
    match () {
        () if kind == ether_type::IPV4 => Ok(Family::V4),
        () if kind == ether_type::IPV6 => Ok(Family::V6),
        () => Err(Reason::BadTunnel),
    }
}
