//! Frames made with an independent packet library.

use std::net::IpAddr;

use etherparse::{EtherType, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

/// The client's TCP port in [`encapsulated_syn`].
pub(crate) const CLIENT_PORT: u16 = 4321;

/// A TCP SYN from `client` to port 80 of `vip`, inside an outer header from `gateway` to `node`,
/// inside Ethernet from `macs.0` to `macs.1`.
pub(crate) fn encapsulated_syn(
    (from, to): ([u8; 6], [u8; 6]),
    (gateway, node): (IpAddr, IpAddr),
    (client, vip): (IpAddr, IpAddr),
) -> Vec<u8> {
    let inner = syn(client, vip);
    let ether_type = if gateway.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
    let mut frame = [to.as_slice(), &from, &ether_type.0.to_be_bytes()].concat();
    let protocol = if client.is_ipv4() { IpNumber::IPV4 } else { IpNumber::IPV6 };
    frame.extend(outer(gateway, node, protocol, inner.len()));
    frame.extend(inner);
    frame
}

fn syn(client: IpAddr, vip: IpAddr) -> Vec<u8> {
    let builder = match (client, vip) {
        (IpAddr::V4(c), IpAddr::V4(v)) => PacketBuilder::ipv4(c.octets(), v.octets(), 64),
        (IpAddr::V6(c), IpAddr::V6(v)) => PacketBuilder::ipv6(c.octets(), v.octets(), 64),
        _ => panic!("client and VIP are of one family"),
    };
    let mut packet = Vec::new();
    builder.tcp(CLIENT_PORT, 80, 1000, 64_000).syn().write(&mut packet, &[]).unwrap();
    packet
}

fn outer(gateway: IpAddr, node: IpAddr, protocol: IpNumber, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap();
    match (gateway, node) {
        (IpAddr::V4(g), IpAddr::V4(n)) => {
            let mut header = Ipv4Header::new(length, 64, protocol, g.octets(), n.octets()).unwrap();
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        (IpAddr::V6(g), IpAddr::V6(n)) => Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: length,
            next_header: protocol,
            hop_limit: 64,
            source: g.octets(),
            destination: n.octets(),
        }
        .to_bytes()
        .to_vec(),
        _ => panic!("gateway and node are of one family"),
    }
}
