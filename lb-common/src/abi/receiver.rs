//! What lies in a receiver's maps, which are pinned apart from a gateway's.
//!
//! | map | type | key | value |
//! | --- | --- | --- | --- |
//! | `accepted` | array, 1 | 0 | [`Accepted`] |
//! | `own_addresses` | hash | [`Address`](crate::net::Address) | `u32`, 0 |
//! | `peers` | LPM trie | [`AccessKey`](super::AccessKey) of policy 0 | [`AccessFlags`](super::AccessFlags) |
//! | `tunnel_stats` | per-CPU array | [`TunnelKind`] | [`TunnelCounters`] |
//! | `receiver_stats` | per-CPU array | [`ReceiverReason`](crate::reason::ReceiverReason) | packets, `u64` |
//! | `clamp_stats` | per-CPU array, 1 | 0 | answers to SYNs that were made to ask for less, `u64` |
//! | `refusals` | per-CPU LRU hash | [`RefusedKey`] | connections that were refused, `u64` |
//! | `owned_flows` | LRU hash | [`OwnedKey`]: a flow that is remembered | [`Owned`] |
//! | `node_hops` | hash | [`Address`](crate::net::Address): another node's, or [`NodeHop::ANY_V4`], [`NodeHop::ANY_V6`] | [`NodeHop`] |
//! | `wanted_hops` | LRU hash | [`Address`](crate::net::Address): another node's, to which the way is not known | `u32`, 0 |
//! | `tunnel_keys` | array | epoch of a tag | [`KnownKey`](super::KnownKey) |
//! | `state` | array | word | the agent's own condition; the program never reads it |

use super::LinkAddress;
use crate::flow::Flow;
use crate::net::{Address, Family, NetworkU16};
use bytemuck::{Pod, Zeroable};

/// Entries of `peers`, of `own_addresses` and of `node_hops`.
pub const PEERS: u32 = 4096;

/// Entries of `owned_flows`, unless the receiver is loaded with another number.
pub const OWNED_FLOWS: u32 = 65_536;

/// Entries of `wanted_hops`.
pub const WANTED_HOPS: u32 = 64;

/// Entries of `refusals`.
pub const REFUSALS: u32 = 1024;

/// 64-bit words of a receiver's `state`.
pub const RECEIVER_STATE_WORDS: u32 = 4096;

/// Names of a receiver's maps, as pinned.
pub mod receiver_map {
    /// See the module's table.
    pub const ACCEPTED: &str = "accepted";
    /// See the module's table.
    pub const OWN_ADDRESSES: &str = "own_addresses";
    /// See the module's table.
    pub const PEERS: &str = "peers";
    /// See the module's table.
    pub const TUNNEL_STATS: &str = "tunnel_stats";
    /// See the module's table.
    pub const RECEIVER_STATS: &str = "receiver_stats";
    /// See the module's table.
    pub const CLAMP_STATS: &str = "clamp_stats";
    /// See the module's table.
    pub const REFUSALS: &str = "refusals";
    /// See the module's table.
    pub const OWNED_FLOWS: &str = "owned_flows";
    /// See the module's table.
    pub const NODE_HOPS: &str = "node_hops";
    /// See the module's table.
    pub const WANTED_HOPS: &str = "wanted_hops";
    /// See the module's table.
    pub const TUNNEL_KEYS: &str = "tunnel_keys";
    /// See the module's table. A gateway's map for the same has the same name.
    pub const STATE: &str = super::super::map::STATE;
    /// Every map.
    pub const ALL: [&str; 12] = [
        ACCEPTED,
        OWN_ADDRESSES,
        PEERS,
        TUNNEL_STATS,
        RECEIVER_STATS,
        CLAMP_STATS,
        REFUSALS,
        OWNED_FLOWS,
        NODE_HOPS,
        WANTED_HOPS,
        TUNNEL_KEYS,
        STATE,
    ];
}

/// What a receiver takes off. 16 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Accepted {
    /// UDP port of GUE; 0: none is accepted.
    pub gue: NetworkU16,
    /// UDP port of VXLAN; 0: none is accepted.
    pub vxlan: NetworkU16,
    /// VNI of VXLAN and a reserved byte, as they lie in the header, read natively.
    pub vni: u32,
    /// What else.
    pub flags: AcceptedFlags,
    /// What the node's answers are to say about the length of clients' segments
    /// ([`limits`](crate::segment::limits)).
    pub segments: SegmentLimits,
}

/// The longest segments of TCP that a node lets clients send to a VIP: its largest MSS option (RFC 9293, section
/// 3.7.1). Bytes, in host order; 0: what the node's kernel says is left. 4 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct SegmentLimits {
    /// Over IPv4.
    pub v4: u16,
    /// Over IPv6.
    pub v6: u16,
}

impl SegmentLimits {
    /// No limits.
    pub const NONE: Self = Self { v4: 0, v6: 0 };

    /// Of one family.
    #[inline(always)]
    pub const fn of(self, family: Family) -> u16 {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

impl Accepted {
    /// The number of a VXLAN network (VNI), as it lies in the header.
    pub const fn vni_of(network: u32) -> u32 {
        (network << 8).to_be()
    }

    /// The number of the VXLAN network that is accepted.
    pub const fn network(&self) -> u32 {
        u32::from_be(self.vni) >> 8
    }
}

flag_set! {
    /// Bits of what a receiver takes off.
    AcceptedFlags {
        /// IP in IP.
        IPIP = 0;
        /// UDP flows that are taken are remembered: their sockets tell nothing.
        REMEMBER_UDP = 1;
        /// TCP connections that are taken are remembered: their sockets are not this node's, as behind a service proxy.
        REMEMBER_TCP = 2;
        /// Keys of tags are known: a packet with a wrong one is dropped.
        KEYS = 3;
        /// So is a packet without one. Only with `KEYS`.
        TAG_REQUIRED = 4;
    }
}

/// A flow that a node took, as its map knows it. 40 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct OwnedKey {
    /// The client.
    pub source: Address,
    /// The VIP.
    pub destination: Address,
    /// Source and destination port, network order.
    pub ports: [NetworkU16; 2],
    /// IP protocol number.
    pub protocol: u32,
}

impl OwnedKey {
    /// Of a flow.
    #[inline(always)]
    pub fn of(flow: &Flow) -> Self {
        Self {
            source: flow.source,
            destination: flow.destination,
            ports: [flow.source_port, flow.destination_port],
            protocol: flow.protocol.into(),
        }
    }
}

/// When a packet of a flow was last taken (upper 32 bits, in units of 2^20 ns of the kernel's monotonic clock, round after
/// 52 days), and where in its sequence numbers the client ended it (lower 32; 0: it did not).
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Owned(u64);

impl Owned {
    const UNIT: u32 = 20;
    /// No segment is longer than that.
    const AFTER: u32 = 1 << 16;
    /// What comes again after the end was seen was sent so many bytes before it, at most. A connection that begins from
    /// the same port begins elsewhere: ahead by what its client's clock counted (RFC 6528), or anywhere.
    const BEFORE: u32 = 1 << 22;

    /// A packet that begins with this sequence number was taken `now` (nanoseconds); `ends`: the client sends nothing
    /// after it.
    #[inline(always)]
    #[must_use]
    pub const fn seen(self, now: u64, sequence: u32, ends: bool) -> Self {
        let end = match (ends, self.holds(sequence)) {
            // An odd number is not 0, and as good.
            (true, _) => sequence | 1,
            (false, true) => self.end(),
            // It is another connection.
            (false, false) => 0,
        };
        Self(now >> Self::UNIT << 32 | end as u64)
    }

    /// Whether a packet that begins with this sequence number is of the flow: any, until it has ended; then what the
    /// client sends again of it, or acknowledges.
    #[inline(always)]
    pub const fn holds(self, sequence: u32) -> bool {
        let end = self.end();
        end == 0 || sequence.wrapping_sub(end).wrapping_add(Self::BEFORE) <= Self::BEFORE + Self::AFTER
    }

    /// Whether it was seen to end.
    pub const fn has_ended(self) -> bool {
        self.end() != 0
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    const fn end(self) -> u32 {
        self.0 as u32
    }

    /// How long before `now` its last packet was taken, both in nanoseconds, to a millisecond.
    #[expect(clippy::cast_possible_truncation, reason = "both go round after 52 days")]
    pub const fn age(self, now: u64) -> u64 {
        let last = (self.0 >> 32) as u32;
        (((now >> Self::UNIT) as u32).wrapping_sub(last) as u64) << Self::UNIT
    }
}

/// To what connections are refused. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct RefusedKey {
    /// A VIP, or another address that is not the node's own.
    pub address: Address,
    /// The port, network order.
    pub port: NetworkU16,
    /// Zero.
    pub reserved: u16,
    /// IP protocol number.
    pub protocol: u32,
}

impl RefusedKey {
    /// Of a protocol's port at an address.
    #[inline(always)]
    pub const fn new(address: Address, port: NetworkU16, protocol: u8) -> Self {
        Self { address, port, reserved: 0, protocol: protocol as u32 }
    }
}

/// The way to another node: the next hop toward it. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct NodeHop {
    /// Egress interface.
    pub interface: u32,
    /// Zero.
    pub reserved: u32,
    /// Next hop's MAC, and the VLAN (0: none) of the egress.
    pub destination_mac: LinkAddress,
    /// Our MAC on the egress; `number` is zero.
    pub source_mac: LinkAddress,
}

impl NodeHop {
    /// In the place of the other node's address: the way to all others of its family.
    pub const ANY_V4: Address = Address::from_v4_word(0);
    /// The same for IPv6.
    pub const ANY_V6: Address = Address::from_v6_words([0; 2]);
}

/// What of one kind of tunnel was taken off, on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TunnelCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of them, without outer headers.
    pub bytes: u64,
}

/// Kinds of tunnels, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip = 0,
    /// Generic UDP Encapsulation.
    Gue = 1,
    /// VXLAN.
    Vxlan = 2,
}

impl TunnelKind {
    /// Every kind, by number.
    pub const ALL: [Self; 3] = [Self::Ipip, Self::Gue, Self::Vxlan];

    /// As a configuration calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Vxlan => "vxlan",
        }
    }
}

const _: () = assert!(
    size_of::<Accepted>() == 16
        && size_of::<TunnelCounters>() == 16
        && size_of::<OwnedKey>() == 40
        && size_of::<NodeHop>() == 24
        && size_of::<RefusedKey>() == 24
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_ended_is_known_by_its_sequence_numbers() {
        let begun = Owned::default().seen(1 << 30, 1000, false);
        assert!(!begun.has_ended() && begun.holds(u32::MAX));
        for end in [0, 5, 0x8000_0000, u32::MAX] {
            let ended = begun.seen(2 << 30, end, true);
            let near = [0, 1, 1460, u32::MAX, 0_u32.wrapping_sub(1 << 20)];
            assert!(ended.has_ended() && near.iter().all(|offset| ended.holds(end.wrapping_add(*offset))));
            let far = [1 << 17, 1 << 31, 0_u32.wrapping_sub(1 << 23)];
            assert!(far.iter().all(|offset| !ended.holds(end.wrapping_add(*offset))), "{end}");
            assert!(ended.seen(3 << 30, end.wrapping_add(1), false).has_ended(), "its last acknowledgement");
            assert!(
                !ended.seen(3 << 30, end.wrapping_add(1 << 24), false).has_ended(),
                "another from its port"
            );
        }
    }

    #[test]
    fn an_age_is_right_across_the_clocks_round() {
        let seen = |now: u64| Owned::default().seen(now, 0, false);
        assert_eq!(seen(5 << 20).age(12 << 20), 7 << 20);
        assert_eq!(seen((1 << 52) - (3 << 20)).age((1 << 52) + (4 << 20)), 7 << 20);
    }
}
