//! ICMP errors about a flow: a router quotes a packet that a backend sent to the client. Ports and addresses of the
//! quotation, exchanged, are the flow's, so that any gateway finds the flow's owner.

use crate::frame::Frame;
use crate::parse::transport::{IPV4_OFFSET, Place, extensions};
use crate::parse::{IPV4_LENGTH, IPV6_LENGTH, Network};
use crate::wire::{IcmpMessage, Ipv4, Ipv6, Ports, protocol};
use lb_common::flow::Flow;
use lb_common::net::{Address, Family};
use lb_common::reason::Reason;

/// The flow that the error is about. `forgotten` is [`Tables::forgotten`](crate::tables::Tables::forgotten).
///
/// Errors: [`Reason::NoService`] for what is no error, or quotes a packet that a flow of this VIP has not;
/// [`Reason::Truncated`] where the ports are not quoted; [`Reason::Fragment`] where a later fragment is.
#[inline(always)]
pub fn flow<F: Frame>(
    frame: &F,
    network: &Network,
    place: &Place,
    kind_code: u16,
    forgotten: impl FnOnce(u64) -> u64,
) -> Result<Flow, Reason> {
    let [kind, _] = kind_code.to_ne_bytes();
    if !is_error(network.family, kind) {
        return Err(Reason::NoService);
    }
    let Quoted { source, client, place } = match network.family {
        Family::V4 => quoted_v4(frame, place.offset + size_of::<IcmpMessage>(), network.end())?,
        Family::V6 => quoted_v6(frame, place.offset + size_of::<IcmpMessage>(), network.end())?,
    };
    let place = Place::of_word(forgotten(place.word()));
    if source != network.destination || !matches!(place.protocol, protocol::TCP | protocol::UDP) {
        return Err(Reason::NoService);
    }
    if place.piece.is_some_and(|piece| !piece.first) {
        return Err(Reason::Fragment);
    }
    let ports = frame.header::<Ports>(place.offset).ok_or(Reason::Truncated)?;
    if place.offset + size_of::<Ports>() > network.end() {
        return Err(Reason::Truncated);
    }
    Ok(Flow {
        family: network.family,
        source: client,
        destination: source,
        source_port: ports.destination,
        destination_port: ports.source,
        protocol: place.protocol,
    })
}

/// Unreachable, time exceeded, parameter problem; of `ICMPv6` packet too big as well.
#[inline(always)]
const fn is_error(family: Family, kind: u8) -> bool {
    match family {
        Family::V4 => matches!(kind, 3 | 11 | 12),
        Family::V6 => matches!(kind, 1..=4),
    }
}

/// A packet from a backend to a client.
struct Quoted {
    source: Address,
    client: Address,
    place: Place,
}

#[inline(always)]
fn quoted_v4<F: Frame>(frame: &F, offset: usize, end: usize) -> Result<Quoted, Reason> {
    let header = frame.header::<Ipv4>(offset).ok_or(Reason::Truncated)?;
    if offset + IPV4_LENGTH > end {
        return Err(Reason::Truncated);
    }
    let length = usize::from(header.version_length & 15) * 4;
    if header.version_length >> 4 != 4 || length < IPV4_LENGTH {
        return Err(Reason::NoService);
    }
    if header.fragment.get() & IPV4_OFFSET != 0 {
        return Err(Reason::Fragment);
    }
    Ok(Quoted {
        source: Address::from_v4_word(header.source),
        client: Address::from_v4_word(header.destination),
        place: Place { protocol: header.protocol, offset: offset + length, piece: None },
    })
}

#[inline(always)]
fn quoted_v6<F: Frame>(frame: &F, offset: usize, end: usize) -> Result<Quoted, Reason> {
    let header = frame.header::<Ipv6>(offset).ok_or(Reason::Truncated)?;
    if offset + IPV6_LENGTH > end {
        return Err(Reason::Truncated);
    }
    if u32::from_be(header.first_word) >> 28 != 6 {
        return Err(Reason::NoService);
    }
    let (source, client) = (header.source.address(), header.destination.address());
    let place = extensions::<_, true>(frame, header.next_header, offset + IPV6_LENGTH, end)
        .map_err(crate::parse::Portless::reason)?;
    Ok(Quoted { source, client, place })
}
