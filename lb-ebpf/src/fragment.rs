//! Fragments: the first has the ports, the others do not. What the first told is kept for them, under the packet's
//! identification, in a small table that forgets the oldest.
//!
//! One that comes before its first is lost; so is one of a packet that was pushed out. Fragments of one packet on
//! two gateways do not find each other either. None of that is so for a 3-tuple service, which needs no ports: its
//! fragments go by their addresses alone.

use crate::classify;
use crate::parse::Network;
use crate::parse::transport::Piece;
use crate::tables::Tables;
use crate::wire::protocol;
use lb_common::abi::{Control, FragmentEntry, ServiceFlags, VipKey};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family, NetworkU16};
use lb_common::reason::Reason;
use lb_common::siphash::Key;

/// The flow of a fragment that is not the first: what the first of its packet told, or, to a 3-tuple service, one
/// without ports.
///
/// Error: [`Reason::Fragment`], the first was not seen.
#[inline(always)]
pub fn later<T: Tables>(
    network: &Network,
    protocol: u8,
    piece: Piece,
    control: &Control,
    tables: &T,
) -> Result<Flow, Reason> {
    let packet = packet(network, protocol, piece, control.key());
    #[expect(clippy::cast_possible_truncation, reason = "a protocol's number, kept in a word")]
    let flow = |FragmentEntry { source_port, destination_port, protocol }| Flow {
        source_port,
        destination_port,
        protocol: protocol as u8,
        ..addresses(network, 0)
    };
    if let Some(known) = tables.fragment(packet) {
        return Ok(flow(known));
    }
    let [high, low] = network.destination.words();
    if !needs_no_ports(high, low, network.family, protocol, tables) {
        return Err(Reason::Fragment);
    }
    Ok(addresses(network, protocol))
}

/// Whether a VIP, given by its two words, has a 3-tuple service of the protocol. A function of its own in the kernel
/// program, too, and called with numbers: its caller has no room on its stack.
#[inline(never)]
fn needs_no_ports<T: Tables>(high: u64, low: u64, family: Family, protocol: u8, tables: &T) -> bool {
    // Other numbers are those of keys that no packet has.
    if !matches!(protocol, protocol::TCP | protocol::UDP) {
        return false;
    }
    let Some(control) = tables.control() else { return false };
    let key = VipKey::new(family, Address::from_v6_words([high, low]), protocol, NetworkU16::new(0));
    let slot = classify::find(&key, family, control.vips, tables);
    let service = slot.and_then(|slot| tables.service(slot.service));
    service.is_some_and(|service| service.flags.has(ServiceFlags::THREE_TUPLE))
}

/// Keeps what the first fragment of a packet tells.
#[inline(always)]
pub fn remember<T: Tables>(network: &Network, protocol: u8, flow: &Flow, piece: Piece, key: Key, tables: &T) {
    let Flow { source_port, destination_port, .. } = *flow;
    let entry = FragmentEntry { source_port, destination_port, protocol: flow.protocol.into() };
    tables.remember_fragment(packet(network, protocol, piece, key), &entry);
}

/// What the fragments of a packet have in common (RFC 791; RFC 8200, 4.5: not the protocol).
#[inline(always)]
fn packet(network: &Network, protocol: u8, piece: Piece, key: Key) -> u64 {
    let protocol = if network.family == Family::V4 { protocol } else { 0 };
    addresses(network, protocol).fragment(piece.identification, key)
}

#[inline(always)]
fn addresses(network: &Network, protocol: u8) -> Flow {
    let none = NetworkU16::new(0);
    Flow {
        family: network.family,
        source: network.source,
        destination: network.destination,
        source_port: none,
        destination_port: none,
        protocol,
    }
}
