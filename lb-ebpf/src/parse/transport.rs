//! The transport header, or what a packet has instead of one.

use super::{IPV4_LENGTH, IPV6_LENGTH, Network};
use crate::evidence::Signal;
use crate::frame::Frame;
use crate::track::Segment;
use crate::wire::{Extension, FragmentHeader, Icmp, Ipv4, Ports, TcpState, protocol};
use lb_common::flow::Flow;
use lb_common::net::Family;
use lb_common::reason::Reason;

/// Most IPv6 extension headers that are followed.
pub const MAX_EXTENSIONS: usize = 6;

const TCP_LENGTH: usize = 20;
/// Bytes of a UDP header.
pub const UDP_LENGTH: usize = 8;
const FIN: u16 = 1;
const SYN: u16 = 2;
const RST: u16 = 4;
const ACK: u16 = 16;
/// The offset of a fragment of IPv4, in units of eight bytes.
pub const IPV4_OFFSET: u16 = 0x1fff;
/// Offset and "more fragments" in an IPv6 fragment header; what is between is reserved.
const IPV6_FRAGMENT: u16 = 0xfff9;
/// The offset alone, in bytes.
const IPV6_OFFSET: u16 = 0xfff8;

/// The transport header.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// The 5-tuple.
    pub flow: Flow,
    /// Bytes 12 and 13 of a TCP header, the flags in the lower nine bits; 0 of UDP.
    tcp_flags: u16,
}

impl Transport {
    /// What the packet tells of its connection (RFC 9293, section 3.1); of UDP, nothing.
    #[inline(always)]
    pub const fn segment(&self) -> Segment {
        if self.tcp_flags & (FIN | RST) != 0 {
            Segment::Closing
        } else if self.opens() {
            Segment::Opening
        } else {
            Segment::Middle
        }
    }

    /// Whether it is a SYN without ACK.
    #[inline(always)]
    const fn opens(&self) -> bool {
        self.tcp_flags & (SYN | ACK) == SYN
    }

    /// What it tells of the backend that its connection is with.
    #[inline(always)]
    pub const fn signal(&self) -> Signal {
        if self.flow.protocol != protocol::TCP {
            Signal::Datagram
        } else if self.tcp_flags & RST != 0 {
            Signal::Resets
        } else if self.opens() {
            Signal::Opens
        } else {
            Signal::Acknowledges
        }
    }
}

/// Why a packet has no transport header to go by. A plain number, which stays in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Portless {
    /// It is shorter than its headers claim.
    Truncated,
    /// It is a fragment.
    Fragment,
    /// It has more extension headers than are followed.
    TooManyHeaders,
    /// It is ICMP over IPv4, or `ICMPv6` over IPv6, but for neighbour discovery.
    Icmp,
    /// It is neighbour discovery, which always belongs to the kernel.
    Discovery,
    /// Any other protocol.
    Unknown,
}

impl Portless {
    /// The reason to drop it, if there is no other way to its flow.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Truncated => Reason::Truncated,
            Self::Fragment => Reason::Fragment,
            Self::TooManyHeaders => Reason::TooManyHeaders,
            Self::Icmp | Self::Discovery | Self::Unknown => Reason::NoService,
        }
    }
}

/// The transport header of a TCP or UDP packet that is as long as it claims and no fragment.
#[inline(always)]
pub fn transport<F: Frame>(frame: &F, network: &Network) -> Result<Transport, Portless> {
    whole(frame, network)?;
    if network.fragment {
        return Err(Portless::Fragment);
    }
    let place = match network.family {
        Family::V4 => Place::at(network.next, network.offset + network.header_length),
        Family::V6 => {
            extensions::<_, false>(frame, network.next, network.offset + IPV6_LENGTH, network.end())?
        }
    };
    ports(frame, network, &place)
}

/// What is behind the network header and its extensions: as [`transport`], and of fragments too.
#[inline(always)]
pub fn locate<F: Frame>(frame: &F, network: &Network) -> Result<Place, Portless> {
    whole(frame, network)?;
    match network.family {
        Family::V4 => {
            let place = Place::at(network.next, network.offset + network.header_length);
            let piece = if network.fragment { Some(piece_v4(frame, network.offset)?) } else { None };
            Ok(Place { piece, ..place })
        }
        Family::V6 => extensions::<_, true>(frame, network.next, network.offset + IPV6_LENGTH, network.end()),
    }
}

#[inline(always)]
fn whole<F: Frame>(frame: &F, network: &Network) -> Result<(), Portless> {
    let short = network.header_length < IPV4_LENGTH || network.length < network.header_length;
    if short || !frame.holds(network.end()) { Err(Portless::Truncated) } else { Ok(()) }
}

/// Where a packet's payload begins, and what it is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its protocol.
    pub protocol: u8,
    /// Its offset in the frame.
    pub offset: usize,
    /// Of a fragment: which.
    pub piece: Option<Piece>,
}

#[expect(clippy::cast_possible_truncation, reason = "the bits of one of its parts are meant")]
impl Place {
    const PIECE: u64 = 1 << 24;
    const FIRST: u64 = 1 << 25;

    /// All of it in one word: the offset (16 bits), the protocol (8), which part it is (2), of what (32).
    #[inline(always)]
    pub const fn word(&self) -> u64 {
        let word = (self.offset & 0xffff) as u64 | (self.protocol as u64) << 16;
        match self.piece {
            None => word,
            Some(Piece { identification, first }) => {
                let first = if first { Self::FIRST } else { 0 };
                word | Self::PIECE | first | (identification as u64) << 32
            }
        }
    }

    /// From [`Place::word`].
    #[inline(always)]
    pub const fn of_word(word: u64) -> Self {
        let piece = Piece { identification: (word >> 32) as u32, first: word & Self::FIRST != 0 };
        Self {
            protocol: (word >> 16) as u8,
            offset: (word & 0xffff) as usize,
            piece: if word & Self::PIECE == 0 { None } else { Some(piece) },
        }
    }

    #[inline(always)]
    const fn at(protocol: u8, offset: usize) -> Self {
        Self { protocol, offset, piece: None }
    }
}

/// A part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What the parts of a packet have in common, beside the addresses.
    pub identification: u32,
    /// Whether it is the one that has the transport header.
    pub first: bool,
}

#[inline(always)]
fn piece_v4<F: Frame>(frame: &F, offset: usize) -> Result<Piece, Portless> {
    let header = frame.header::<Ipv4>(offset).ok_or(Portless::Truncated)?;
    let first = header.fragment.get() & IPV4_OFFSET == 0;
    Ok(Piece { identification: header.id.get().into(), first })
}

/// The ports behind `place`, and all that the header tells.
#[inline(always)]
pub fn ports<F: Frame>(frame: &F, network: &Network, place: &Place) -> Result<Transport, Portless> {
    let (protocol, offset, end) = (place.protocol, place.offset, network.end());
    let (ports, tcp_flags, least) = match protocol {
        protocol::TCP => {
            let header = frame.header::<TcpState>(offset).ok_or(Portless::Truncated)?;
            (header.ports, header.offset_flags.get(), TCP_LENGTH)
        }
        protocol::UDP => (*frame.header::<Ports>(offset).ok_or(Portless::Truncated)?, 0, UDP_LENGTH),
        _ => return Err(other(frame, network, place)),
    };
    // After the frame was asked, as in `is_neighbour_discovery`.
    if offset + least > end {
        return Err(Portless::Truncated);
    }
    Ok(Transport { flow: network.flow(ports, protocol), tcp_flags })
}

/// Protocol number of ICMP over this family.
#[inline(always)]
pub const fn icmp_of(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    }
}

#[inline(always)]
fn other<F: Frame>(frame: &F, network: &Network, place: &Place) -> Portless {
    if place.protocol != icmp_of(network.family) {
        Portless::Unknown
    } else if network.family == Family::V6 && is_neighbour_discovery(frame, network, place.offset) {
        Portless::Discovery
    } else {
        Portless::Icmp
    }
}

/// What is behind the extension headers of an IPv6 packet that ends at `end`. A fragment is an error, or if `PARTS`
/// are wanted a piece; behind the header of one that is not the first there is nothing to read.
#[inline(always)]
pub fn extensions<F: Frame, const PARTS: bool>(
    frame: &F,
    mut next: u8,
    mut offset: usize,
    end: usize,
) -> Result<Place, Portless> {
    let mut count = 0;
    let mut piece = None;
    while is_extension(next) {
        if count == MAX_EXTENSIONS {
            return Err(Portless::TooManyHeaders);
        }
        let header = frame.header::<Extension>(offset).ok_or(Portless::Truncated)?;
        let (kind, at) = (next, offset);
        offset += extension_length(kind, header.length);
        if offset > end {
            return Err(Portless::Truncated);
        }
        next = header.next_header;
        if kind == protocol::FRAGMENT && header.fragment.get() & IPV6_FRAGMENT != 0 {
            if !PARTS {
                return Err(Portless::Fragment);
            }
            let header = frame.header::<FragmentHeader>(at).ok_or(Portless::Truncated)?;
            let first = header.fragment.get() & IPV6_OFFSET == 0;
            piece = Some(Piece { identification: u32::from_be(header.identification), first });
            if !first {
                break;
            }
        }
        count += 1;
    }
    Ok(Place { protocol: next, offset, piece })
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
    )
}

#[inline(always)]
fn extension_length(kind: u8, length: u8) -> usize {
    match kind {
        protocol::FRAGMENT => 8,
        protocol::AUTHENTICATION => (usize::from(length) + 2) * 4,
        _ => (usize::from(length) + 1) * 8,
    }
}

/// RFC 4861, types 133 to 137 of `ICMPv6`: a neighbour may ask for a VIP by the VIP's own address. In IPv4 the
/// protocol's number means nothing of the kind.
///
/// The frame is asked before the packet's own length: the other way round, the compiler concludes from the
/// length that the frame holds the message, and leaves out the comparison that the verifier wants to see.
#[inline(always)]
fn is_neighbour_discovery<F: Frame>(frame: &F, network: &Network, offset: usize) -> bool {
    frame.header::<Icmp>(offset).is_some_and(|message| matches!(message.kind, 133..=137))
        && offset + size_of::<Icmp>() <= network.end()
}
