//! Is a frame a tunnel packet for this node, from a gateway, and where does the packet in it begin?

use super::Node;
use crate::frame::Frame;
use crate::parse::{self, IPV4_LENGTH, Network};
use crate::wire::{Gue, Ports, Vxlan, ether_type, protocol};
use lb_common::abi::{Accepted, AcceptedFlags, AccessKey, TunnelKind};
use lb_common::net::Family;
use lb_common::reason::ReceiverReason as Reason;

/// GUE of variant 0, a data message without options or flags, before IPv4 and IPv6; native readings
/// (draft-ietf-intarea-gue, section 3).
const GUE_IPV4: u32 = ((protocol::IPV4 as u32) << 16).to_be();
const GUE_IPV6: u32 = ((protocol::IPV6 as u32) << 16).to_be();
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
}

/// The tunnel packet that a frame is.
///
/// Errors: [`Reason::NotTunnelled`] for what the kernel is to have as it is; all others are ends.
#[inline(always)]
pub fn find<F: Frame, N: Node>(frame: &F, node: &N) -> Result<Tunnel, Reason> {
    let outer = parse::network(frame).map_err(|_| Reason::NotTunnelled)?;
    let accepted = node.accepted().ok_or(Reason::NotTunnelled)?;
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
    let (family, inner) = match kind {
        TunnelKind::Ipip => (if outer.next == protocol::IPV4 { Family::V4 } else { Family::V6 }, start),
        TunnelKind::Gue => (gue(frame, start)?, start + size_of::<Gue>()),
        TunnelKind::Vxlan => (vxlan(frame, start, accepted)?, start + size_of::<Vxlan>()),
    };
    Ok(Tunnel { kind, outer, inner, family })
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

#[inline(always)]
fn gue<F: Frame>(frame: &F, offset: usize) -> Result<Family, Reason> {
    match frame.header::<Gue>(offset).ok_or(Reason::OuterTruncated)?.word {
        GUE_IPV4 => Ok(Family::V4),
        GUE_IPV6 => Ok(Family::V6),
        _ => Err(Reason::BadTunnel),
    }
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
