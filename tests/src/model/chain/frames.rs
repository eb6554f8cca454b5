//! What clients send, as frames.

use etherparse::{Icmpv4Type, PacketBuilder, TcpHeader, icmpv4};
use lb_common::flow::Flow;
use lb_ebpf::track::Segment;
use lb_ebpf::wire::protocol;

/// Bytes of a link header.
pub(super) const LINK: usize = 14;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const DATA: &[u8] = b"some data";

/// A packet of a flow between addresses of IPv4.
pub(super) fn frame(flow: &Flow, segment: Segment) -> Vec<u8> {
    let ends = [flow.source, flow.destination].map(|address| address.v4_word().to_ne_bytes());
    let ports = [flow.source_port.get(), flow.destination_port.get()];
    if segment == Segment::Related {
        return about(ends, ports, flow.protocol);
    }
    let builder = PacketBuilder::ethernet2(MACS[0], MACS[1]).ipv4(ends[0], ends[1], 61);
    let mut bytes = Vec::new();
    let written = if flow.protocol == protocol::UDP {
        builder.udp(ports[0], ports[1]).write(&mut bytes, DATA)
    } else {
        builder.tcp_header(tcp(ports, segment)).write(&mut bytes, DATA)
    };
    written.expect("memory is never full");
    bytes
}

fn tcp([source, destination]: [u16; 2], segment: Segment) -> TcpHeader {
    let opening = segment == Segment::Opening;
    let header = TcpHeader::new(source, destination, 1, 1024);
    TcpHeader { syn: opening, ack: !opening, fin: segment == Segment::Closing, ..header }
}

/// A router tells of a packet that the VIP sent to the client.
fn about([client, vip]: [[u8; 4]; 2], ports: [u16; 2], protocol: u8) -> Vec<u8> {
    let builder = PacketBuilder::ipv4(vip, client, 61);
    let mut quoted = Vec::new();
    let written = if protocol == protocol::UDP {
        builder.udp(ports[1], ports[0]).write(&mut quoted, DATA)
    } else {
        builder.tcp(ports[1], ports[0], 1, 1024).write(&mut quoted, DATA)
    };
    written.expect("memory is never full");
    let header = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    let builder = PacketBuilder::ethernet2(MACS[0], MACS[1]).ipv4([192, 0, 2, 254], vip, 61);
    let mut bytes = Vec::new();
    let message = builder.icmpv4(Icmpv4Type::DestinationUnreachable(header));
    message.write(&mut bytes, &quoted).expect("memory is never full");
    bytes
}
