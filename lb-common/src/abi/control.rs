use crate::siphash::Key;
use bytemuck::{Pod, Zeroable};

/// The one entry of `control`: what every packet to a VIP needs first. 64 bytes, one cache line.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Control {
    /// The VIP table in force.
    pub vips: VipTable,
    /// The flow hash's secret, bytes 0 to 7 as a little-endian word.
    pub k0: u64,
    /// The flow hash's secret, bytes 8 to 15.
    pub k1: u64,
    /// Connections that may be recorded in a second, by [`Insert`](super::Insert).
    pub inserts: [u32; 2],
    /// Packets of its own that the gateway may send in a second, by [`Reply`](super::Reply).
    pub replies: [u32; 2],
    /// Zero.
    pub reserved: [u64; 3],
}

impl Control {
    /// The flow hash's secret.
    #[inline(always)]
    pub const fn key(&self) -> Key {
        Key { k0: self.k0, k1: self.k1 }
    }
}

/// Which part of `vips` is in force: seed (upper 32 bits), log2 of the number of buckets (8 bits), first
/// bucket (24 bits). One word, so that a table is exchanged by one store.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct VipTable(u64);

impl VipTable {
    /// A table of 2^`log2` buckets (at most 2^20) from bucket `base` (below 2^24) on.
    pub const fn new(base: u32, log2: u8, seed: u32) -> Self {
        Self((base & 0xff_ffff) as u64 | (log2 as u64) << 24 | (seed as u64) << 32)
    }

    /// First bucket.
    #[inline(always)]
    pub const fn base(self) -> u32 {
        (self.0 & 0xff_ffff) as u32
    }

    /// Log2 of the number of buckets; its mask tells the verifier that shifts by it are in range.
    #[inline(always)]
    pub const fn log2(self) -> u32 {
        (self.0 >> 24 & 0x1f) as u32
    }

    /// Seed of the bucket hash.
    #[inline(always)]
    pub const fn seed(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

const _: () = assert!(size_of::<Control>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_one_word() {
        let table = VipTable::new(0x00ab_cdef, 17, 0xfeed_beef);
        assert_eq!((table.base(), table.log2(), table.seed()), (0x00ab_cdef, 17, 0xfeed_beef));
    }
}
