//! Headers as they lie in a packet: packed, so that they can be read at any offset.
//!
//! `network-types` names the protocols; its headers are arrays of bytes, which the kernel program would
//! load one by one, so the fields here are words.

use bytemuck::{Pod, Zeroable};
use lb_common::net::{Address, NetworkU16};
use network_types::eth::EtherType;
use network_types::ip::IpProto;

/// `EtherType` of IPv4, of IPv6, and of the VLAN tags of IEEE 802.1Q and 802.1ad.
pub mod ether_type {
    use super::{EtherType, NetworkU16};

    /// IPv4.
    pub const IPV4: NetworkU16 = NetworkU16::from_wire(EtherType::Ipv4 as u16);
    /// IPv6.
    pub const IPV6: NetworkU16 = NetworkU16::from_wire(EtherType::Ipv6 as u16);
    /// VLAN tag.
    pub const VLAN: NetworkU16 = NetworkU16::from_wire(EtherType::Ieee8021q as u16);
    /// Service VLAN tag.
    pub const SERVICE_VLAN: NetworkU16 = NetworkU16::from_wire(EtherType::Ieee8021ad as u16);
}

/// IP protocol numbers (IANA).
pub mod protocol {
    use super::IpProto;

    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = IpProto::Ipv4 as u8;
    /// IPv6 in IP (RFC 2473, RFC 4213).
    pub const IPV6: u8 = IpProto::Ipv6 as u8;
    /// TCP.
    pub const TCP: u8 = IpProto::Tcp as u8;
    /// UDP.
    pub const UDP: u8 = IpProto::Udp as u8;
    /// ICMP.
    pub const ICMP: u8 = IpProto::Icmp as u8;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
    /// IPv6 routing header.
    pub const ROUTING: u8 = IpProto::Ipv6Route as u8;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = IpProto::Ah as u8;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = IpProto::Ipv6Opts as u8;
    /// Mobility header (RFC 6275).
    pub const MOBILITY: u8 = IpProto::MobilityHeader as u8;
}

/// A MAC as two words, the native readings of its bytes.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Mac {
    /// First four bytes.
    pub head: u32,
    /// Last two.
    pub tail: u16,
}

/// Ethernet II header, 14 bytes.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Ethernet {
    /// Destination MAC.
    pub destination: Mac,
    /// Source MAC.
    pub source: Mac,
    /// Type of what follows.
    pub ether_type: NetworkU16,
}

/// What follows the `EtherType` of a VLAN tag, 4 bytes (IEEE 802.1Q).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Vlan {
    /// Priority, drop eligibility, VLAN id.
    pub tag: NetworkU16,
    /// Type of what follows.
    pub ether_type: NetworkU16,
}

/// IPv4 header without options, 20 bytes (RFC 791).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Ipv4 {
    /// Version (upper half) and header length in 32-bit words.
    pub version_length: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Bytes of header and payload.
    pub total_length: NetworkU16,
    /// Identification.
    pub id: NetworkU16,
    /// Flags (three bits) and fragment offset.
    pub fragment: NetworkU16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Header checksum, native reading.
    pub checksum: u16,
    /// Source, native reading.
    pub source: u32,
    /// Destination, native reading.
    pub destination: u32,
}

/// IPv6 header, 40 bytes (RFC 8200).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Ipv6 {
    /// Version, traffic class and flow label, native reading.
    pub first_word: u32,
    /// Bytes behind this header.
    pub payload_length: NetworkU16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source.
    pub source: WideAddress,
    /// Destination.
    pub destination: WideAddress,
}

/// The sixteen bytes of an IPv6 address. Two words rather than an array, which would be copied by a loop.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct WideAddress {
    /// First eight bytes, read natively.
    pub high: u64,
    /// Last eight bytes.
    pub low: u64,
}

impl WideAddress {
    /// As the tables know it.
    #[inline(always)]
    pub fn address(&self) -> Address {
        Address::from_v6_words([self.high, self.low])
    }

    /// Overwrites it.
    #[inline(always)]
    pub fn set(&mut self, address: &Address) {
        [self.high, self.low] = address.words();
    }
}

/// Four bytes, wherever they lie.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct HalfWord {
    /// Read natively.
    pub half: u32,
}

/// First bytes of an IPv6 extension header (RFC 8200, RFC 6564).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Extension {
    /// Protocol of what follows.
    pub next_header: u8,
    /// Length in 8-byte units beyond the first (authentication header: 4-byte units beyond the second).
    pub length: u8,
    /// In a fragment header: offset and the "more fragments" bit.
    pub fragment: NetworkU16,
}

/// Source and destination port: the first four bytes of TCP and UDP.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Ports {
    /// Source.
    pub source: NetworkU16,
    /// Destination.
    pub destination: NetworkU16,
}

/// UDP header, 8 bytes (RFC 768).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Udp {
    /// Source port.
    pub source: NetworkU16,
    /// Destination port.
    pub destination: NetworkU16,
    /// Bytes of header and payload.
    pub length: NetworkU16,
    /// Checksum, native reading; zero: there is none.
    pub checksum: u16,
}

/// UDP and Generic UDP Encapsulation without options, 12 bytes (draft-ietf-intarea-gue).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Gue {
    /// UDP.
    pub udp: Udp,
    /// Variant, control bit and header length (one byte), protocol of what follows, flags; native reading.
    pub word: u32,
}

/// UDP, VXLAN and the inner Ethernet header, 30 bytes (RFC 7348).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Vxlan {
    /// UDP.
    pub udp: Udp,
    /// Flags, native reading.
    pub flags: u32,
    /// VNI and a reserved byte, native reading.
    pub vni: u32,
    /// Of the inner frame.
    pub ethernet: Ethernet,
}

/// The TCP header as far as its flags, 14 bytes (RFC 9293).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct TcpState {
    /// Ports.
    pub ports: Ports,
    /// Sequence number, native reading.
    pub sequence: u32,
    /// Acknowledgement number, native reading.
    pub acknowledgement: u32,
    /// Header length in 32-bit words (upper four bits) and flags.
    pub offset_flags: NetworkU16,
}

/// What follows [`TcpState`] in the TCP header, 4 of its last 6 bytes.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct TcpChecksum {
    /// Window, native reading.
    pub window: u16,
    /// Checksum, native reading.
    pub checksum: u16,
}

/// The first four bytes of an option of TCP: all of a largest segment size (RFC 9293, section 3.1).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct TcpOption {
    /// Its kind.
    pub kind: u8,
    /// Its bytes, with these two; what has one byte alone has none of this.
    pub length: u8,
    /// Its value, or the beginning of that.
    pub value: NetworkU16,
}

/// The IPv6 fragment header, 8 bytes (RFC 8200, 4.5).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct FragmentHeader {
    /// Protocol of what follows.
    pub next_header: u8,
    /// Reserved.
    pub reserved: u8,
    /// Offset in units of eight bytes (13 bits), two reserved bits, "more fragments".
    pub fragment: NetworkU16,
    /// Which packet it is a part of, native reading.
    pub identification: u32,
}

/// First four bytes of an ICMP or `ICMPv6` message (RFC 792, RFC 4443).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum, native reading.
    pub checksum: u16,
}

/// The eight bytes before the body of an ICMP or `ICMPv6` message (RFC 792, RFC 1191, RFC 4443).
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct IcmpMessage {
    /// Type and code, native reading.
    pub kind_code: u16,
    /// Checksum, native reading.
    pub checksum: u16,
    /// Identifier and sequence number of an echo, MTU of an error; native reading.
    pub rest: u32,
}

/// Four bytes of anything.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Half {
    /// Native reading.
    pub half: u32,
}

/// The first 20 bytes of an IPv4 packet, by words.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct HeadV4 {
    /// Native readings.
    pub words: [u64; 2],
    /// Native reading.
    pub half: u32,
}

/// The 40 bytes of an IPv6 header, by words.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct HeadV6 {
    /// Native readings.
    pub words: [u64; 5],
}

/// Eight bytes of anything.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Word {
    /// Native reading.
    pub word: u64,
}

/// The first bytes of a QUIC packet with a short header (RFC 8999, section 5.2): 17 bytes, of the
/// connection id as much as a server id can reach.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct QuicShort {
    /// The uppermost bit is 0; all else is the version's.
    pub first: u8,
    /// Destination connection id, and perhaps what follows it, read natively.
    pub id: [u64; 2],
}

/// The first bytes of a QUIC packet with a long header (RFC 8999, section 5.1): 22 bytes.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct QuicLong {
    /// The uppermost bit is 1; all else is the version's.
    pub first: u8,
    /// Version, native reading.
    pub version: u32,
    /// Bytes of the destination connection id.
    pub length: u8,
    /// Destination connection id, and perhaps what follows it, read natively.
    pub id: [u64; 2],
}
