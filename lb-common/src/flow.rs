//! The flow hash and everything that is read off it: rows, fallback rows, outer source port, flow label.

use crate::net::{Address, Family, NetworkU16};
use crate::siphash::{Key, State};

/// Rows of every cluster table.
pub const CLUSTER_ROWS: u32 = 4096;
/// Tries of the fallback before the pool's spare is taken.
pub const FALLBACK_TRIES: u32 = 2;
/// More than any service's index.
const NO_SERVICE: u32 = u32::MAX;
const FALLBACK_FACTOR: u32 = 0x9E37_79B1;

/// What is hashed: a 5-tuple, or as much of it as the service's affinity leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Of the addresses.
    pub family: Family,
    /// Client.
    pub source: Address,
    /// VIP.
    pub destination: Address,
    /// Client's port.
    pub source_port: NetworkU16,
    /// VIP's port.
    pub destination_port: NetworkU16,
    /// IP protocol number.
    pub protocol: u8,
}

impl Flow {
    /// SipHash-1-3 over source, destination, source port, destination port, protocol and three zero
    /// bytes: 16 bytes for IPv4, 40 for IPv6, all in network order.
    #[inline(always)]
    pub const fn hash(&self, key: Key) -> FlowHash {
        FlowHash(self.digest(State::new(key), 0))
    }

    /// Key of the connection in a service's name: SipHash-1-3 over the service's index as a little-endian
    /// 64-bit word and what [`Flow::hash`] takes in (24 or 48 bytes). Never the hash of an affinity: two
    /// connections of one client are two.
    #[inline(always)]
    pub const fn connection(&self, service: u32, key: Key) -> u64 {
        self.digest(State::new(key).word(service as u64), 8)
    }

    /// Key of the packet that fragments with this identification (IPv4: 16 bits) belong to: as
    /// [`Flow::connection`] of a service that there is not, with the identification in the place of the ports.
    /// The protocol counts in IPv4 (RFC 791), and must be 0 in IPv6 (RFC 8200, 4.5).
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are meant")]
    pub const fn fragment(&self, identification: u32, key: Key) -> u64 {
        let source_port = NetworkU16::new((identification >> 16) as u16);
        let destination_port = NetworkU16::new(identification as u16);
        Self { source_port, destination_port, ..*self }.connection(NO_SERVICE, key)
    }

    #[inline(always)]
    const fn digest(&self, state: State, before: u8) -> u64 {
        let ports = self.source_port.word() as u64
            | (self.destination_port.word() as u64) << 16
            | (self.protocol as u64) << 32;
        match self.family {
            Family::V4 => {
                let addresses = pair(self.source.v4_word(), self.destination.v4_word());
                state.word(addresses).word(ports).finish(before + 16)
            }
            Family::V6 => self.digest_v6(state, ports, before),
        }
    }

    #[inline(always)]
    const fn digest_v6(&self, state: State, ports: u64, before: u8) -> u64 {
        let ([a, b], [c, d]) = (self.source.words(), self.destination.words());
        state.word(a.to_le()).word(b.to_le()).word(c.to_le()).word(d.to_le()).word(ports).finish(before + 40)
    }

    /// What is left of the flow without its ports: addresses and protocol.
    #[inline(always)]
    #[must_use]
    pub const fn three_tuple(&self) -> Self {
        let none = NetworkU16::new(0);
        Self { source_port: none, destination_port: none, ..*self }
    }

    /// What is left of the flow when only the client counts: its address under the mask of its family,
    /// the rest zero.
    #[inline(always)]
    #[must_use]
    pub const fn only_client(&self, mask_v4: u32, mask_v6: [u64; 2]) -> Self {
        let source = match self.family {
            Family::V4 => Address::from_v4_word(self.source.v4_word() & mask_v4),
            Family::V6 => self.source.masked(mask_v6),
        };
        let none = NetworkU16::new(0);
        let destination = Address::from_v6_words([0; 2]);
        Self {
            family: self.family,
            source,
            destination,
            source_port: none,
            destination_port: none,
            protocol: 0,
        }
    }
}

#[inline(always)]
const fn pair(first: u32, second: u32) -> u64 {
    u32::from_le(first) as u64 | (u32::from_le(second) as u64) << 32
}

/// A flow's 64-bit hash. The two tiers read different halves, since they must be independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowHash(pub u64);

#[expect(clippy::cast_possible_truncation, reason = "halves of the hash are meant")]
impl FlowHash {
    #[inline(always)]
    const fn low(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    const fn high(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Row of the service's cluster table, below [`CLUSTER_ROWS`].
    #[inline(always)]
    pub const fn cluster_row(self) -> u32 {
        ((self.low() as u64 * CLUSTER_ROWS as u64) >> 32) as u32
    }

    /// Row of a node table of 2^`log2_rows` rows.
    #[inline(always)]
    pub const fn node_row(self, log2_rows: u32) -> u32 {
        row(self.high(), log2_rows)
    }

    /// Row that is tried instead where a row's owner does not serve; `k` counts from 1.
    #[inline(always)]
    pub const fn fallback_row(self, k: u32, log2_rows: u32) -> u32 {
        let mut high = self.high();
        let mut step = 0;
        while step < k {
            high = high.wrapping_mul(FALLBACK_FACTOR);
            step += 1;
        }
        row(high, log2_rows)
    }

    /// Outer UDP source port in host order, 49,152 to 65,535.
    #[inline(always)]
    pub const fn source_port(self) -> u16 {
        0xC000 | (self.low() & 0x3FFF) as u16
    }

    /// Outer IPv6 flow label, the lower sixteen of its twenty bits.
    #[inline(always)]
    pub const fn flow_label(self) -> u32 {
        self.high() & 0xFFFF
    }
}

/// `(half * rows) >> 32` for a power of two. The mask tells the verifier what tables promise anyway.
#[inline(always)]
const fn row(half: u32, log2_rows: u32) -> u32 {
    (((half as u64) << (log2_rows & 31)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::siphash::siphash13;
    use core::net::IpAddr;
    use std::vec::Vec;

    const KEY: Key = Key { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

    fn flow(source: &str, destination: &str) -> Flow {
        let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
        let family = Family::of(source);
        let (source_port, destination_port) = (NetworkU16::new(40_000), NetworkU16::new(443));
        Flow {
            family,
            source: source.into(),
            destination: destination.into(),
            source_port,
            destination_port,
            protocol: 6,
        }
    }

    fn tail() -> [u8; 8] {
        [0x9c, 0x40, 0x01, 0xbb, 6, 0, 0, 0]
    }

    #[test]
    fn ipv4_message_is_sixteen_bytes() {
        let mut message = Vec::from([192, 0, 2, 7, 198, 51, 100, 10]);
        message.extend(tail());
        assert_eq!(flow("192.0.2.7", "198.51.100.10").hash(KEY).0, siphash13(KEY, &message));
    }

    #[test]
    fn ipv6_message_is_forty_bytes() {
        let flow = flow("2001:db8::7", "2001:db8:1::10");
        let message = [&flow.source.bytes()[..], &flow.destination.bytes(), &tail()].concat();
        assert_eq!(flow.hash(KEY).0, siphash13(KEY, &message));
    }

    #[test]
    fn a_connection_is_the_service_and_the_five_tuple() {
        let mut message = Vec::from(7_u64.to_le_bytes());
        message.extend([192, 0, 2, 7, 198, 51, 100, 10]);
        message.extend(tail());
        assert_eq!(flow("192.0.2.7", "198.51.100.10").connection(7, KEY), siphash13(KEY, &message));
        let flow = flow("2001:db8::7", "2001:db8:1::10");
        let addresses = [flow.source.bytes(), flow.destination.bytes()].concat();
        let message = [&7_u64.to_le_bytes()[..], &addresses, &tail()].concat();
        assert_eq!(flow.connection(7, KEY), siphash13(KEY, &message));
    }

    #[test]
    fn rows_stay_below_their_tables() {
        for hash in [0, u64::MAX, 0x8000_0000_7fff_ffff].map(FlowHash) {
            assert!(hash.cluster_row() < CLUSTER_ROWS);
            for log2 in 8..=20 {
                assert!(hash.node_row(log2) < 1 << log2);
                assert_eq!(hash.fallback_row(0, log2), hash.node_row(log2));
            }
        }
    }

    #[test]
    fn fallback_multiplies_the_high_half() {
        let hash = FlowHash(0x1234_5678_0000_0000);
        let high = 0x1234_5678_u32.wrapping_mul(FALLBACK_FACTOR);
        assert_eq!(hash.fallback_row(1, 16), high >> 16);
        assert_eq!(hash.fallback_row(2, 16), high.wrapping_mul(FALLBACK_FACTOR) >> 16);
    }

    #[test]
    fn a_three_tuple_forgets_the_ports_alone() {
        let a = flow("192.0.2.7", "198.51.100.10").three_tuple();
        let message = [192, 0, 2, 7, 198, 51, 100, 10, 0, 0, 0, 0, 6, 0, 0, 0];
        assert_eq!(a.hash(KEY).0, siphash13(KEY, &message));
        assert_ne!(Flow { protocol: 17, ..a }.hash(KEY), a.hash(KEY));
    }

    #[test]
    fn client_affinity_forgets_the_rest() {
        let (a, mut b) = (flow("192.0.2.7", "198.51.100.10"), flow("192.0.2.9", "198.51.100.11"));
        b.source_port = NetworkU16::new(1);
        let (mask, all) = (0xffff_ff00_u32.to_be(), [u64::MAX; 2]);
        assert_eq!(a.only_client(mask, all).hash(KEY), b.only_client(mask, all).hash(KEY));
        assert_ne!(a.only_client(u32::MAX, all).hash(KEY), b.only_client(u32::MAX, all).hash(KEY));
    }
}
