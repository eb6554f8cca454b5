//! What is put in front of a packet on its way to a backend: Ethernet, the [`outer`] IP header, and between
//! that and the packet nothing (IP in IP), [`gue`] or [`vxlan`].

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "header lengths are two-digit numbers, and what is sent fits an MTU of sixteen bits"
)]

pub mod gue;
pub mod outer;
pub mod vxlan;

use crate::chain::Earlier;
use crate::frame::Frame;
use crate::parse::{ETHERNET_LENGTH, Network, VLAN_LENGTH};
use crate::seal::seal;
use crate::select::MISSING;
use crate::tables::Tables;
use crate::verdict::End;
use crate::wire::{Ethernet, Mac, Udp, Vlan, ether_type, protocol};
use lb_common::abi::{BackendEntry, BackendFlags, Control, Features, LinkAddress, TunnelEntry};
use lb_common::flow::FlowHash;
use lb_common::net::{Family, NetworkU16};
use lb_common::reason::Reason;

const NO_ROOM: End = End::drop(Reason::NoHeadroom);

/// Bytes of what comes between Ethernet and a packet of which these earlier owners may be asked.
#[inline(always)]
pub fn overhead(backend: &BackendEntry, features: Features, earlier: Earlier) -> usize {
    overhead_with(backend, features, || gue::length(backend, features, earlier))
}

#[inline(always)]
fn overhead_with(backend: &BackendEntry, features: Features, gue: impl FnOnce() -> usize) -> usize {
    outer::length(backend)
        + if is_gue(backend, features) {
            gue()
        } else if is_vxlan(backend, features) {
            vxlan::LENGTH
        } else {
            0
        }
}

/// The longest packet that, with all that its outer headers may become, fits the path to the backend, in bytes.
#[inline(always)]
pub fn largest(backend: &BackendEntry, features: Features) -> usize {
    let overhead = overhead_with(backend, features, || gue::longest(backend, features));
    usize::from(backend.mtu).saturating_sub(overhead)
}

/// Whether a packet fits the path to the backend. To this machine there is no path.
#[inline(always)]
pub fn fits(network: &Network, backend: &BackendEntry, features: Features) -> bool {
    network.length <= largest(backend, features) || backend.route.flags.has(BackendFlags::LOCAL)
}

#[inline(always)]
fn is_gue(backend: &BackendEntry, features: Features) -> bool {
    features.has(Features::GUE) && backend.route.flags.has(BackendFlags::GUE)
}

#[inline(always)]
fn is_vxlan(backend: &BackendEntry, features: Features) -> bool {
    features.has(Features::VXLAN) && backend.route.flags.has(BackendFlags::VXLAN)
}

/// Puts the backend's outer header and next hop in front of the packet, with whom to ask after it. The inner packet is
/// untouched; VLAN tags it came with are gone, the egress's own is there. It must not be longer than [`largest`].
#[inline(always)]
pub fn wrap<F: Frame, T: Tables>(
    frame: &mut F,
    network: &Network,
    backend: &BackendEntry,
    hash: FlowHash,
    earlier: Earlier,
    tables: &T,
) -> Result<(), End> {
    let features = tables.features();
    let overhead = overhead(backend, features, earlier);
    let tunnel = Tunnel::toward(backend, earlier, tables)?;
    let link =
        if backend.destination_mac.number == 0 { ETHERNET_LENGTH } else { ETHERNET_LENGTH + VLAN_LENGTH };
    frame.grow((link + overhead) as i32 - network.offset as i32).ok_or(NO_ROOM)?;
    let kind =
        if backend.route.flags.has(BackendFlags::OUTER_V6) { ether_type::IPV6 } else { ether_type::IPV4 };
    outer::write(frame, link, network, backend, hash, tunnel.carried(network, backend, features))
        .and_then(|()| {
            tunnel.write(frame, link + outer::length(backend), network, (backend, features), hash, tables)
        })
        .and_then(|()| ethernet(frame, &backend.destination_mac, &backend.source_mac, kind))
        .ok_or(NO_ROOM)?;
    if matches!(tunnel, Tunnel::Gue(_)) && gue::is_tagged(backend, features) {
        tag(frame, network.family, link + outer::length(backend), link + overhead, tables)?;
    }
    Ok(())
}

/// What comes between the outer IP header and the packet.
#[derive(Clone, Copy)]
enum Tunnel<'t> {
    Ipip,
    Gue(Earlier),
    Vxlan(&'t TunnelEntry),
}

impl<'t> Tunnel<'t> {
    #[inline(always)]
    fn toward<T: Tables>(backend: &BackendEntry, earlier: Earlier, tables: &'t T) -> Result<Self, End> {
        let features = tables.features();
        if is_gue(backend, features) {
            Ok(Self::Gue(earlier))
        } else if is_vxlan(backend, features) {
            tables.tunnel(backend.pool.into()).map(Self::Vxlan).ok_or(MISSING)
        } else {
            Ok(Self::Ipip)
        }
    }

    /// What the outer header announces: protocol and bytes.
    #[inline(always)]
    fn carried(self, network: &Network, backend: &BackendEntry, features: Features) -> (u8, usize) {
        match self {
            Self::Ipip => (inner_protocol(network.family), network.length),
            Self::Gue(earlier) => (protocol::UDP, gue::length(backend, features, earlier) + network.length),
            Self::Vxlan(_) => (protocol::UDP, vxlan::LENGTH + network.length),
        }
    }

    #[inline(always)]
    fn write<F: Frame, T: Tables>(
        self,
        frame: &mut F,
        offset: usize,
        network: &Network,
        (backend, features): (&BackendEntry, Features),
        hash: FlowHash,
        tables: &T,
    ) -> Option<()> {
        let (_, bytes) = self.carried(network, backend, features);
        // The checksum is 0 over IPv6 too: what is inside has its own (RFC 6935, RFC 6936).
        let udp = Udp {
            source: NetworkU16::new(hash.source_port()),
            destination: backend.port,
            length: NetworkU16::new(bytes as u16),
            checksum: 0,
        };
        match self {
            Self::Ipip => Some(()),
            Self::Gue(earlier) => {
                let toward = (backend, features, earlier);
                gue::write(frame, offset, udp, network.family, toward, tables)
            }
            Self::Vxlan(entry) => vxlan::write(frame, offset, udp, network.family, entry),
        }
    }
}

/// Writes the packet's tag, under the key in force, into the room behind the tunnel header at `tunnel`; the packet itself
/// begins at `inner`. At the end, where the fewest live that the verifier would walk on with.
#[inline(always)]
fn tag<F: Frame, T: Tables>(
    frame: &mut F,
    family: Family,
    tunnel: usize,
    inner: usize,
    tables: &T,
) -> Result<(), End> {
    let places = tables.forgotten(tunnel as u64 | (inner as u64) << 8);
    let (tunnel, inner) = ((places & 0xff) as usize, (places >> 8 & 0xff) as usize);
    let key = tables.control().and_then(Control::tunnel_key).ok_or(MISSING)?;
    let tag = seal(frame, inner, family, key).ok_or(NO_ROOM)?;
    gue::write_tag(frame, tunnel, tag).ok_or(NO_ROOM)
}

#[inline(always)]
fn inner_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    }
}

/// Writes Ethernet, and the tag of the VLAN whose number stands beside the destination, if that is not 0.
#[inline(always)]
pub(crate) fn ethernet<F: Frame>(
    frame: &mut F,
    destination: &LinkAddress,
    source: &LinkAddress,
    kind: NetworkU16,
) -> Option<()> {
    let vlan = destination.number;
    let header = frame.header_mut::<Ethernet>(0)?;
    header.destination = mac(destination);
    header.source = mac(source);
    header.ether_type = if vlan == 0 { kind } else { ether_type::VLAN };
    if vlan != 0 {
        *frame.header_mut::<Vlan>(ETHERNET_LENGTH)? = Vlan { tag: NetworkU16::new(vlan), ether_type: kind };
    }
    Some(())
}

#[inline(always)]
fn mac(address: &LinkAddress) -> Mac {
    Mac { head: address.head, tail: address.tail }
}
