//! Between clusters: a packet that another cluster's gateway sent here, for this cluster's nodes alone.
//!
//! The first gateway chooses a cluster and sends the packet to a gateway of that cluster ([`BackendFlags::GATEWAY`]), over
//! GUE, with one redirect left ([`Header::TO_GATEWAY`]). The second, [`uncovered`], looks past the outer headers, which are to
//! it a longer link header: all stages find the packet behind them, and what they write replaces them. It chooses among the
//! pool of its own cluster, and what it sends has no redirect left: no packet is redirected twice, whatever is configured.
//!
//! What has not that header is the kernel's, or is balanced, as if there were no such gateways: others may use the port.

use crate::chain::header::Header;
use crate::classify;
use crate::frame::Frame;
use crate::parse::{self, IPV4_LENGTH, Network};
use crate::receive::decapsulate;
use crate::receive::tunnel::Tunnel;
use crate::tables::Tables;
use crate::verdict::End;
use crate::wire::{Gue, HalfWord, Ports, protocol};
use lb_common::abi::{
    AccessKey, BackendEntry, BackendFlags, Control, Features, Redirected, TunnelKind, VipKey,
};
use lb_common::net::{Address, Family};
use lb_common::reason::{Reason, ReceiverReason};

/// Bytes between the outer IP header and the packet.
const BETWEEN: usize = size_of::<Gue>() + Header::LENGTH;
/// A data message with one word of private data, before IPv4 and IPv6; native readings.
const V4_INSIDE: u32 = (1 << 24 | (protocol::IPV4 as u32) << 16).to_be();
const V6_INSIDE: u32 = (1 << 24 | (protocol::IPV6 as u32) << 16).to_be();

/// The policy whose prefixes are those of other clusters' gateways: index 0, which no service has.
pub const GATEWAYS: u32 = 0;

/// Whether a packet to a backend leaves with one redirect left.
#[inline(always)]
pub fn is_gateway(backend: &BackendEntry, features: Features) -> bool {
    features.has(Features::REDIRECT) && backend.route.flags.has(BackendFlags::GATEWAY)
}

/// Whether another cluster's gateway may have sent this packet, to an address at which this one takes what is redirected.
#[inline(always)]
pub fn is_one<F: Frame, T: Tables>(frame: &F, outer: &Network, control: &Control, tables: &T) -> bool {
    if !tables.features().has(Features::REDIRECT) || inside(frame, outer, control).is_none() {
        return false;
    }
    let [high, low] = outer.destination.words();
    is_ours(high, low, outer.family, tables)
}

/// The packet in such a one, which is to be balanced.
///
/// Ends: [`Reason::UnknownGateway`]; [`Reason::BadRedirect`] for one that is not whole.
#[inline(always)]
pub fn uncovered<F: Frame, T: Tables>(
    frame: &F,
    outer: &Network,
    control: &Control,
    tables: &T,
) -> Result<Network, End> {
    let family = inside(frame, outer, control).ok_or(BAD)?;
    let [high, low] = outer.source.words();
    if !is_known(high, low, outer.family, tables) {
        return Err(End::drop(Reason::UnknownGateway));
    }
    inner(frame, outer, family, tables).ok_or(BAD)
}

/// The packet that is to be balanced: the one in a redirected packet to this gateway, else the packet itself.
///
/// Ends: as of [`uncovered`].
#[inline(always)]
pub fn arrive<F: Frame, T: Tables>(
    frame: &F,
    outer: Network,
    control: &Control,
    tables: &T,
) -> Result<Network, End> {
    if !tables.features().has(Features::REDIRECT) {
        return Ok(outer);
    }
    let network = if is_one(frame, &outer, control, tables) {
        uncovered(frame, &outer, control, tables)?
    } else {
        outer
    };
    // Whatever led here is one way to the verifier, which would else try all that follows once for each.
    let word = tables.forgotten(network.offset as u64 | u64::from(network.redirected.word()) << 32);
    let redirected = Redirected::of_word((word >> 32) as u32);
    Ok(Network { offset: (word & 0xff) as usize, redirected, ..network })
}

const BAD: End = End::drop(Reason::BadRedirect);

/// The family of the packet in one that may be redirected. A fragment of the outer packet has no such header.
#[inline(always)]
fn inside<F: Frame>(frame: &F, outer: &Network, control: &Control) -> Option<Family> {
    if outer.next != protocol::UDP || outer.fragment || outer.header_length < IPV4_LENGTH {
        return None;
    }
    let offset = outer.offset + outer.header_length;
    let port = frame.header::<Ports>(offset)?.destination;
    if port.wire() == 0 || port != control.redirects {
        return None;
    }
    let word = frame.header::<Gue>(offset)?.word;
    let header = frame.header::<HalfWord>(offset + size_of::<Gue>())?.half;
    match word {
        _ if header != Header::TO_GATEWAY.wire() => None,
        V4_INSIDE => Some(Family::V4),
        V6_INSIDE => Some(Family::V6),
        _ => None,
    }
}

/// Whether other clusters' gateways send to this address. Functions of their own in the kernel program, too, and called
/// with numbers, as in [`admit`](crate::admit): keys of maps lie on the stack.
#[inline(never)]
fn is_ours<T: Tables>(high: u64, low: u64, family: Family, tables: &T) -> bool {
    let Some(control) = tables.control() else { return false };
    let key = VipKey::of_tunnel(family, Address::from_v6_words([high, low]));
    classify::find(&key, family, control.vips, tables).is_some()
}

/// Whether this address is that of another cluster's gateway.
#[inline(never)]
fn is_known<T: Tables>(high: u64, low: u64, family: Family, tables: &T) -> bool {
    let source = AccessKey::of_source(GATEWAYS, family, Address::from_v6_words([high, low]));
    tables.access(&source).is_some()
}

/// The packet in it, with the congestion that was marked on the way, which whoever takes off the headers that are
/// written next is to see (RFC 6040).
#[inline(always)]
fn inner<F: Frame, T: Tables>(frame: &F, outer: &Network, family: Family, tables: &T) -> Option<Network> {
    let offset = outer.offset + outer.header_length + BETWEEN;
    // What led here is one way to the verifier.
    let offset = (tables.forgotten(offset as u64) & 0xff) as usize;
    let inner = parse::ip(frame, family, offset)?;
    let traffic_class = decapsulate::carried_on(outer.traffic_class, inner.traffic_class);
    let redirected = Redirected::YES;
    (inner.end() <= outer.end()).then_some(Network { traffic_class, redirected, ..inner })
}

/// The end of a packet that ended so: what was redirected is never the kernel's, but for a packet to this machine.
#[inline(always)]
pub fn end(end: End, redirected: Redirected) -> End {
    if end.is_pass() && end.reason() != Reason::LocalBackend as u32 && redirected.is() { BAD } else { end }
}

/// Moves the link header of a packet that begins at `offset` to it, so that its sender can be answered; that of any other
/// stays. A function of its own, and the same for both: what follows is long, and to be verified once.
#[inline(never)]
pub fn lay_bare<F: Frame>(frame: &mut F, offset: usize, family: Family) -> bool {
    let Some((_, length)) = parse::link(frame) else { return false };
    decapsulate::move_link(frame, length, offset - length, family).is_some()
}

/// Takes the outer headers of a redirected packet off, for the kernel. A function of its own, for few packets need it;
/// all is found again.
#[inline(never)]
pub fn uncover<F: Frame, T: Tables>(frame: &mut F, tables: &T) -> u32 {
    let Ok(outer) = parse::network(frame) else { return BAD.word() };
    let Some(family) = tables.control().and_then(|control| inside(frame, &outer, control)) else {
        return BAD.word();
    };
    let inner = outer.offset + outer.header_length + BETWEEN;
    let tunnel = Tunnel { kind: TunnelKind::Gue, outer, inner, family, chain: None, tag: None };
    match decapsulate::take_off(frame, &tunnel) {
        Ok(_) => UNCOVERED,
        Err(ReceiverReason::NotMoved) => End::drop(Reason::NoHeadroom).word(),
        Err(_) => BAD.word(),
    }
}

/// No end's word.
pub const UNCOVERED: u32 = u32::MAX;
