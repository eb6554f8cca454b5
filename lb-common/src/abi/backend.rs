use crate::checksum;
use crate::net::{Address, NetworkU16};
use bytemuck::{Pod, Zeroable};

/// An endpoint of a pool, with all that a packet to it needs. 64 bytes, one cache line.
///
/// Each eight-byte group changes by one store. A change of next hop stores `destination_mac`, then
/// `source_mac`, then `route`; a packet in between may leave with the old interface and the new MAC, once. So a
/// change of encapsulation stores the port before the flag.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct BackendEntry {
    /// Whether and how it is reached.
    pub route: Route,
    /// Next hop's MAC, and the VLAN (0: none) of the egress.
    pub destination_mac: LinkAddress,
    /// Our MAC on the egress; `number` is zero.
    pub source_mac: LinkAddress,
    /// Outer destination.
    pub destination: Address,
    /// Outer source.
    pub source: Address,
    /// Path MTU toward the backend in bytes, of the outer IP packet.
    pub mtu: u16,
    /// UDP port of the tunnel, network order; zero for IP in IP.
    pub port: NetworkU16,
    /// Index of its pool.
    pub pool: u16,
    /// Of an IPv4 outer header: [`outer_v4_sum`], so that the program adds only what differs per packet.
    pub header_sum: u16,
}

impl BackendEntry {
    /// Whether packets may be sent to it.
    #[inline(always)]
    pub const fn serves(&self) -> bool {
        self.route.flags.has(BackendFlags::SERVES)
    }
}

/// The sum of an outer IPv4 header's 16-bit words (native order, folded to 16 bits) with TOS, total
/// length, protocol and checksum zero: version and header length 0x45, DF, TTL 64, the addresses.
pub const fn outer_v4_sum(source: u32, destination: u32) -> u16 {
    let fixed = u16::from_ne_bytes([0x45, 0]) as u64
        + u16::from_ne_bytes([0x40, 0]) as u64
        + u16::from_ne_bytes([OUTER_TTL, 0]) as u64;
    !checksum::finish(fixed + checksum::halves(source) + checksum::halves(destination))
}

/// TTL or hop limit of every outer header.
pub const OUTER_TTL: u8 = 64;

/// Interface and flags. Eight bytes.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Route {
    /// Bits.
    pub flags: BackendFlags,
    /// Egress interface.
    pub interface: u32,
}

/// A MAC and a 16-bit number beside it. Eight bytes.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct LinkAddress {
    /// First four bytes of the MAC, read natively: the kernel program copies words, not bytes.
    pub head: u32,
    /// The other two.
    pub tail: u16,
    /// What is kept beside the MAC, host order.
    pub number: u16,
}

impl LinkAddress {
    /// From a MAC.
    pub const fn new(mac: [u8; 6], number: u16) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self { head: u32::from_ne_bytes([a, b, c, d]), tail: u16::from_ne_bytes([e, f]), number }
    }

    /// The MAC.
    pub const fn mac(&self) -> [u8; 6] {
        let ([a, b, c, d], [e, f]) = (self.head.to_ne_bytes(), self.tail.to_ne_bytes());
        [a, b, c, d, e, f]
    }
}

flag_set! {
    /// Bits of a backend.
    BackendFlags {
        /// It is up or draining, and its next hop is known. Cleared by one store when it must take nothing more.
        SERVES = 0;
        /// It is this machine: packets are passed to the kernel as they are.
        LOCAL = 1;
        /// The outer header is IPv6.
        OUTER_V6 = 2;
        /// Behind the outer header come UDP and Generic UDP Encapsulation.
        GUE = 3;
        /// Behind the outer header come UDP, VXLAN and an Ethernet header. Never with `GUE`.
        VXLAN = 4;
        /// A packet to it may carry earlier owners behind GUE, and must leave room for all of them. Only with `GUE`.
        CHAIN = 5;
        /// A packet to it carries a keyed tag behind GUE. Only with `GUE`, and only while `control` names a key.
        TAG = 6;
        /// It is a gateway of its cluster, which chooses among that cluster's nodes. Only with `GUE`, never with `CHAIN` or `TAG`.
        GATEWAY = 7;
    }
}

const _: () =
    assert!(size_of::<BackendEntry>() == 64 && size_of::<Route>() == 8 && size_of::<LinkAddress>() == 8);
