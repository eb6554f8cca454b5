use super::VipTable;
use crate::net::{Address, Family, NetworkU16};
use bytemuck::{Pod, Zeroable};

/// Words of `vip_filter`: 65,536 bits.
pub const FILTER_WORDS: u32 = 1024;
/// Keys that fit one bucket, which is one cache line.
pub const SLOTS_PER_BUCKET: usize = 2;

/// Beside a protocol: the key of its ranges of ports.
const RANGES: u8 = 0x80;
/// In the place of a protocol: the key of an address that other clusters' gateways send to.
const TUNNEL: u8 = 0x40;

const FACTOR_A: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR_B: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// What a packet is looked up by. Port and protocol zero stand for the address as such; port zero with a
/// protocol for any port.
#[repr(C)]
#[derive(Debug, Clone, Copy, Eq, Default, Pod, Zeroable)]
pub struct VipKey {
    address: Address,
    /// Port as it lies in the packet (two bytes), protocol, and 4 or 6 for the family. Zero in an empty
    /// slot, so that it equals no packet's key.
    rest: u32,
    reserved: u32,
}

// As for `Address`: one comparison per word, and none in memory.
impl PartialEq for VipKey {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.rest == other.rest && self.address == other.address
    }
}

#[expect(clippy::cast_possible_truncation, reason = "hashes are cut to the bits that are needed")]
impl VipKey {
    /// The key of a port of an address; port 0 is any port.
    #[inline(always)]
    pub const fn new(family: Family, address: Address, protocol: u8, port: NetworkU16) -> Self {
        let rest = port.word() as u32 | (protocol as u32) << 16 | (family.number() as u32) << 24;
        Self { address, rest, reserved: 0 }
    }

    /// The key of an address as such.
    #[inline(always)]
    pub const fn of_address(family: Family, address: Address) -> Self {
        Self::new(family, address, 0, NetworkU16::new(0))
    }

    /// The key of the ranges of ports of an address and protocol: no packet's, for it has a bit in the protocol that
    /// neither TCP nor UDP has. (A packet may be for port 0, and then has the key of any port.)
    #[inline(always)]
    pub const fn of_ranges(family: Family, address: Address, protocol: u8) -> Self {
        Self::new(family, address, protocol | RANGES, NetworkU16::new(0))
    }

    /// The key of an address of this gateway that other clusters' gateways send to: no packet's, as of ranges.
    #[inline(always)]
    pub const fn of_tunnel(family: Family, address: Address) -> Self {
        Self::new(family, address, TUNNEL, NetworkU16::new(0))
    }

    /// Whether it is the key of an address that other clusters' gateways send to.
    pub const fn is_of_tunnel(&self) -> bool {
        self.protocol() == TUNNEL
    }

    /// Whether it is the key of ranges of ports.
    pub const fn is_of_ranges(&self) -> bool {
        self.protocol() & RANGES != 0
    }

    /// The VIP.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Destination port.
    pub const fn port(&self) -> NetworkU16 {
        NetworkU16::from_wire((self.rest as u16).to_le())
    }

    /// IP protocol number; of ranges of ports, with bit 7.
    pub const fn protocol(&self) -> u8 {
        (self.rest >> 16) as u8
    }

    /// The address's bit in the filter: word and mask.
    #[inline(always)]
    pub const fn filter_bit(family: Family, address: &Address) -> (u32, u64) {
        let hash = fold(family, address).wrapping_mul(FACTOR_A) >> 48;
        ((hash >> 6) as u32, 1 << (hash & 63))
    }

    /// The two buckets of `table` that may hold the key. They may be the same.
    #[inline(always)]
    pub const fn buckets(&self, family: Family, table: VipTable) -> (u32, u32) {
        let rest = self.rest as u64 | (table.seed() as u64) << 32;
        let hash = (fold(family, &self.address) ^ rest.wrapping_mul(FACTOR_B)).wrapping_mul(FACTOR_A);
        let hash = (hash ^ hash >> 29).wrapping_mul(FACTOR_B);
        let mask = (1_u32 << table.log2()) - 1;
        (table.base() + ((hash >> 32) as u32 & mask), table.base() + ((hash >> 12) as u32 & mask))
    }

    /// The family, `None` in an empty slot.
    pub const fn family(&self) -> Option<Family> {
        match self.rest >> 24 {
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            _ => None,
        }
    }
}

#[inline(always)]
const fn fold(family: Family, address: &Address) -> u64 {
    let [high, low] = address.words();
    match family {
        Family::V4 => address.v4_word() as u64,
        Family::V6 => (high ^ high >> 31).wrapping_mul(FACTOR_B) ^ low,
    }
}

/// One key and what it stands for.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct VipSlot {
    /// What must match.
    pub key: VipKey,
    /// Index of the service, or of ranges a line of `port_ranges`; meaningless in the slot of an address as such.
    pub service: u32,
    /// Of an address as such.
    pub flags: VipFlags,
}

flag_set! {
    /// Bits of an address.
    VipFlags {
        /// The VIP is also an address of this machine: what no service matches is passed.
        LOCAL = 0;
        /// A service takes any port of this address.
        ANY_PORT = 1;
        /// Services take ranges of ports of this address.
        PORT_RANGES = 2;
    }
}

/// A bucket of the two-choice table. 64 bytes, one cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct VipBucket {
    /// Filled from the front.
    pub slots: [VipSlot; SLOTS_PER_BUCKET],
}

impl VipBucket {
    /// The slot with this key.
    #[inline(always)]
    pub fn find(&self, key: &VipKey) -> Option<&VipSlot> {
        let [first, second] = &self.slots;
        if first.key == *key {
            Some(first)
        } else if second.key == *key {
            Some(second)
        } else {
            None
        }
    }
}

const _: () = assert!(size_of::<VipSlot>() == 32 && size_of::<VipBucket>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr};
    use std::vec;

    fn key(last: u32) -> VipKey {
        let address = IpAddr::V4(Ipv4Addr::from(0xc633_6400 + last)).into();
        VipKey::new(Family::V4, address, 6, NetworkU16::new(443))
    }

    #[test]
    fn buckets_lie_in_their_table_and_spread() {
        let table = VipTable::new(1000, 8, 3);
        let mut hits = vec![0; 256];
        for last in 0..2560 {
            let (first, second) = key(last).buckets(Family::V4, table);
            assert!((1000..1256).contains(&first) && (1000..1256).contains(&second));
            hits[first as usize - 1000] += 1;
            hits[second as usize - 1000] += 1;
        }
        assert!(hits.iter().all(|count| (1..80).contains(count)), "{hits:?}");
    }

    #[test]
    fn filter_bits_spread() {
        let mut words = vec![0_u64; FILTER_WORDS as usize];
        for last in 0..1000 {
            let (word, bit) = VipKey::filter_bit(Family::V4, &key(last).address());
            words[word as usize] |= bit;
        }
        assert!(words.iter().map(|word| word.count_ones()).sum::<u32>() > 950);
    }

    #[test]
    fn an_empty_slot_is_nobodys() {
        let bucket = VipBucket::default();
        assert_eq!(bucket.find(&VipKey::of_address(Family::V4, Address::default())), None);
        assert_eq!(bucket.slots[0].key.family(), None);
    }
}
