//! The frame of the packet that is asked about, as a client's would come in: small, whole, with right checksums.

use std::net::IpAddr;

use lb_common::checksum;
use lb_ebpf::quic::ConnectionId;
use lb_ebpf::wire::protocol;

use super::query::Query;
use crate::config::model::Protocol;

/// From a neighbour to this machine: MACs that are nobody's (locally administered).
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
/// "Do not fragment", as the offset field has it (RFC 791).
const WHOLE: u16 = 0x4000;
const HOPS: u8 = 64;
/// Header length of TCP in words, and flags (RFC 9293).
const TCP_WORDS: u16 = 5 << 12;
const SYN: u16 = 0x002;
const ACK: u16 = 0x010;
/// Data of a datagram that is not QUIC's: too few for a packet with a connection id.
const DATA: [u8; 8] = *b"spillway";
/// First byte of a long header, of a kind that may be short (Handshake), and QUIC's version 1 (RFC 9000).
const LONG: [u8; 5] = [0xe0, 0, 0, 0, 1];
/// Bytes of a datagram that hold any packet whose connection id may name a server (RFC 8999).
const QUIC_LEAST: usize = 22;

/// The whole frame, from Ethernet on. Of TCP a SYN if the query is about a first packet, else an ACK without data.
pub fn frame(query: &Query) -> Vec<u8> {
    let segment = segment(query);
    let kind: [u8; 2] = if query.source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&MACS[..], &kind, &network(query, segment.len()), &segment].concat()
}

fn network(query: &Query, length: usize) -> Vec<u8> {
    let addresses = addresses(query);
    if query.source.is_ipv6() {
        let head = [0x60, 0, 0, 0];
        return [&head[..], &size(length), &[number(query), HOPS], &addresses].concat();
    }
    let head =
        [&[0x45, 0][..], &size(length + 20), &[0, 0], &WHOLE.to_be_bytes(), &[HOPS, number(query)]].concat();
    let sum = checksum::finish(sum(&head) + sum(&addresses)).to_ne_bytes();
    [&head[..], &sum, &addresses].concat()
}

/// What IP carries, under its checksum.
fn segment(query: &Query) -> Vec<u8> {
    let ports = [query.source.port().to_be_bytes(), query.destination.port().to_be_bytes()].concat();
    let (before, behind) = match query.protocol {
        Protocol::Tcp => {
            let flags = TCP_WORDS | if query.first { SYN } else { ACK };
            let acknowledged = u32::from(!query.first).to_be_bytes();
            let state = [&1_u32.to_be_bytes()[..], &acknowledged, &flags.to_be_bytes(), &[0xff, 0xff]];
            (state.concat(), vec![0, 0])
        }
        Protocol::Udp => {
            let data = query.connection_id.as_ref().map_or_else(|| DATA.to_vec(), long_header);
            (size(8 + data.len()).to_vec(), data)
        }
    };
    let length = ports.len() + before.len() + 2 + behind.len();
    let pseudo = [&addresses(query)[..], &[0, number(query)], &size(length)].concat();
    let sum = checksum::finish([&pseudo, &ports, &before, &behind].map(|part| sum(part)).iter().sum());
    // Of UDP, nothing but zeros would say that there is no checksum.
    let sum = if sum == 0 && query.protocol == Protocol::Udp { u16::MAX } else { sum };
    [ports, before, sum.to_ne_bytes().to_vec(), behind].concat()
}

/// A QUIC packet with this destination connection id, of which nothing behind it is looked at.
fn long_header(id: &ConnectionId) -> Vec<u8> {
    let length = u8::try_from(id.length).unwrap_or(u8::MAX);
    let mut bytes = [&LONG[..], &[length], bytemuck::bytes_of(&id.head)].concat();
    bytes.resize((LONG.len() + 1 + usize::from(length)).max(QUIC_LEAST), 0);
    bytes
}

/// The sum of native 16-bit words; an odd byte at the end is one with a zero behind it.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let odd = rest.iter().map(|last| [*last, 0]);
    words.iter().copied().chain(odd).map(|word| u64::from(u16::from_ne_bytes(word))).sum()
}

fn addresses(query: &Query) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    [octets(query.source.ip()), octets(query.destination.ip())].concat()
}

fn number(query: &Query) -> u8 {
    match query.protocol {
        Protocol::Tcp => protocol::TCP,
        Protocol::Udp => protocol::UDP,
    }
}

fn size(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::MemoryMaps;
    use lb_ebpf::frame::SliceFrame;
    use lb_ebpf::parse;
    use lb_ebpf::track::Segment;
    use proptest::prelude::*;

    fn queries() -> impl Strategy<Value = Query> {
        let families = prop_oneof![
            (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
            (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        ];
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        let id = prop::option::of(prop::collection::vec(any::<u8>(), 0..=255));
        (families, any::<(u16, u16)>(), protocol, any::<bool>(), id).prop_map(
            |((source, destination), (from, to), protocol, first, id)| {
                let query = Query::new(protocol, (source, from).into(), (destination, to).into()).unwrap();
                let query = if first { query.first() } else { query };
                match id.filter(|_| protocol == Protocol::Udp) {
                    Some(id) => query.with_connection_id(&id),
                    None => query,
                }
            },
        )
    }

    /// With the sum itself in it, a sum comes to nothing.
    fn is_right(parts: &[&[u8]]) -> bool {
        checksum::finish(parts.iter().map(|part| sum(part)).sum()) == 0
    }

    proptest! {
        /// What the gateway's parser reads is what was asked about, and a host would take it.
        #[test]
        fn the_packet_is_the_one_that_is_asked_about(query in queries()) {
            let mut bytes = frame(&query);
            let link = 14;
            let header = if query.source.is_ipv4() { 20 } else { 40 };
            let pseudo = [&addresses(&query)[..], &[0, number(&query)], &size(bytes.len() - link - header)].concat();
            prop_assert!(is_right(&[&pseudo, &bytes[link + header..]]));
            prop_assert!(query.source.is_ipv6() || is_right(&[&bytes[link..link + header]]));
            let frame = SliceFrame::new(&mut bytes, 0, 1);
            let network = parse::network(&frame).unwrap();
            prop_assert_eq!(network.end(), frame.bytes().len());
            let transport = parse::transport(&frame, &network).unwrap();
            prop_assert_eq!(transport.flow, query.flow());
            let segment = transport.segment();
            prop_assert_eq!(segment == Segment::Opening, query.segment() == Segment::Opening);
            if query.protocol == Protocol::Udp {
                prop_assert_eq!(ConnectionId::find(&frame, &MemoryMaps::default()), query.connection_id);
            }
        }
    }
}
