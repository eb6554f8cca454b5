//! What a gateway does with a frame that a health check of its own sends to a VIP: it goes to the one backend that is
//! probed, by the way that the data path would take, and not to where the gateway's routes lead.
//!
//! The check is an ordinary socket of the kernel's, whose mark says which backend it means. What it sends is encapsulated
//! on its way out ([`encapsulate::wrap`], with the backend's entry as it is in force); the backend answers as the VIP,
//! straight to the gateway's own address, where the answer is a packet like any other. So a probe that passes has proved
//! the entry, the next hop, the tunnel, the node's receiver, the VIP there and the way back.
//!
//! What has a probe's mark and cannot go that way is dropped. It must not leave as it is: a router would bring it to a
//! gateway as a client's packet, and whichever backend it came to would answer for the one that was meant. Nor must it
//! come back from a node that has no such VIP and sends it on. Hence its hop limit: no router forwards it as the socket
//! sends it, and none behind the tunnel as it is sent here.

use crate::chain::Earlier;
use crate::encapsulate::{fits, wrap};
use crate::frame::{Frame, SliceFrame};
use crate::parse::{self, ETHERNET_LENGTH, Network};
use crate::tables::Tables;
use crate::wire::{Ipv4, Ipv6, Ports};
use lb_common::abi::{BackendEntry, BackendFlags, ProbeEntry, ProbeMark};
use lb_common::checksum;
use lb_common::flow::FlowHash;
use lb_common::net::Family;

/// Hop limit of what is in the tunnel: the node may hand it on to a pod of its own, and no router behind it.
pub const HOPS: u8 = 2;

/// Bytes of an Ethernet header in a tunnel.
const LINK: u32 = 14;
const _: () = assert!(LINK as usize == ETHERNET_LENGTH);

/// What may be looked up and counted beside the data path's own tables.
pub trait Probes: Tables {
    /// Whom a mark means.
    fn probe(&self, mark: ProbeMark) -> Option<ProbeEntry>;

    /// A frame of a probe went, or did not.
    fn count(&self, fate: Fate);
}

/// A frame before which headers are put by somebody who wants to know which.
pub trait Wrapped: Frame {
    /// What the next [`Frame::grow`] makes room for.
    fn carries(&mut self, what: Carries);
}

/// Headers that are put before a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carries {
    /// The outer IP header is IPv6.
    pub outer_v6: bool,
    /// Behind it comes UDP.
    pub udp: bool,
    /// Bytes of the Ethernet header directly before the packet; 0: there is none.
    pub link: u32,
}

/// How a frame came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Index of the interface that it is to leave by.
    pub interface: u32,
    /// The frame is yet to be cut into segments that fit: its length says nothing.
    pub segmented: bool,
}

/// What became of a frame of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is encapsulated, and leaves by the interface with this index.
    Sent(u32),
    /// It must not leave.
    Dropped,
}

/// The way of a frame with a probe's mark.
#[inline(always)]
pub fn process<F: Wrapped, P: Probes>(frame: &mut F, mark: ProbeMark, way: Way, tables: &P) -> Fate {
    let fate = encapsulated(frame, mark, way, tables).map_or(Fate::Dropped, Fate::Sent);
    tables.count(fate);
    fate
}

#[inline(always)]
fn encapsulated<F: Wrapped, P: Probes>(frame: &mut F, mark: ProbeMark, way: Way, tables: &P) -> Option<u32> {
    let backend = meant(mark, way, tables)?;
    let network = parse::network(frame).ok()?;
    // A tag would be of another network than the backend's way.
    if network.offset != ETHERNET_LENGTH || !(way.segmented || fits(&network, backend, tables.features())) {
        return None;
    }
    let hash = hash(frame, &network, tables)?;
    limit_hops(frame, &network)?;
    frame.carries(carried(backend));
    wrap(frame, &network, backend, hash, Earlier::NONE, tables).ok()?;
    Some(backend.route.interface)
}

#[inline(always)]
fn limit_hops<F: Frame>(frame: &mut F, network: &Network) -> Option<()> {
    match network.family {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(network.offset)?;
            let word = |ttl: u8| u16::from_ne_bytes([ttl, header.protocol]);
            header.checksum = checksum::replace(header.checksum, word(header.ttl), word(HOPS));
            header.ttl = HOPS;
        }
        Family::V6 => frame.header_mut::<Ipv6>(network.offset)?.hop_limit = HOPS,
    }
    Some(())
}

/// The backend, if it is the one that the check means and can be reached so. Whether it serves is not asked: one that
/// does not is probed, or it never would again.
#[inline(always)]
fn meant<P: Probes>(mark: ProbeMark, way: Way, tables: &P) -> Option<&BackendEntry> {
    let probe = tables.probe(mark)?;
    let backend = tables.backend(probe.backend.into())?;
    let same = backend.destination == probe.destination && backend.pool == probe.pool;
    let reached = backend.route.interface != 0 && !backend.route.flags.has(BackendFlags::LOCAL);
    // The tag of a VLAN is sent beside the frame, not in it.
    let tagged = backend.destination_mac.number != 0;
    (same && probe.interface == way.interface && reached && !tagged).then_some(backend)
}

/// The hash that the data path would take of a client's packet with these addresses and ports.
#[inline(always)]
fn hash<F: Frame, P: Probes>(frame: &F, network: &Network, tables: &P) -> Option<FlowHash> {
    let ports = *frame.header::<Ports>(network.offset + network.header_length)?;
    Some(network.flow(ports, network.next).hash(tables.control()?.key()))
}

#[inline(always)]
fn carried(backend: &BackendEntry) -> Carries {
    let flags = backend.route.flags;
    let link = if flags.has(BackendFlags::VXLAN) { LINK } else { 0 };
    Carries {
        outer_v6: flags.has(BackendFlags::OUTER_V6),
        udp: flags.has_any(BackendFlags::GUE.with(BackendFlags::VXLAN)),
        link,
    }
}

/// In ordinary memory nobody asks.
impl Wrapped for SliceFrame<'_> {
    fn carries(&mut self, _what: Carries) {}
}
