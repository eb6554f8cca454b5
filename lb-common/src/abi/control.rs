use super::TunnelKey;
use crate::net::NetworkU16;
use crate::siphash::Key;
use bytemuck::{Pod, Zeroable};

/// The one entry of `control`: what every packet to a VIP needs first; its first 64 bytes are one cache line. 88 bytes.
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
    /// The key of tags in force.
    pub epoch: TagEpoch,
    /// Keys of tags. The one that is not in force may change, while no packet is under way that began with it.
    pub tunnel_keys: [TunnelKey; 2],
    /// UDP port on which other clusters' gateways send packets here; 0: none does.
    pub redirects: NetworkU16,
    /// Zero.
    pub padding: u16,
    /// Of [`Control::FLOWS`] flows so many are followed for evidence.
    pub sampled: u32,
}

impl Control {
    /// What `sampled` counts a part of.
    pub const FLOWS: u32 = 1 << 16;

    /// The flow hash's secret.
    #[inline(always)]
    pub const fn key(&self) -> Key {
        Key { k0: self.k0, k1: self.k1 }
    }

    /// Epoch and key of tags, of one time; `None`: there is none in force.
    #[inline(always)]
    pub const fn tunnel_key(&self) -> Option<(u8, &TunnelKey)> {
        let (epoch, [first, second]) = (self.epoch, &self.tunnel_keys);
        match epoch.number() {
            0 => None,
            number => Some((number, if epoch.slot() == 0 { first } else { second })),
        }
    }
}

/// Which key of tags is in force: its epoch (lowest 8 bits; 0: none) and its place (1 bit). One word, so that both are
/// exchanged by one store: no packet has the epoch of one key and the tag of another.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TagEpoch(u64);

impl TagEpoch {
    /// The epoch, from 1, whose key is at `slot`, 0 or 1.
    pub const fn new(number: u8, slot: usize) -> Self {
        Self(number as u64 | (slot as u64 & 1) << 8)
    }

    /// Its number; 0: there is none.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is meant")]
    pub const fn number(self) -> u8 {
        self.0 as u8
    }

    /// Where its key is, 0 or 1.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        (self.0 >> 8 & 1) as usize
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

const _: () = assert!(size_of::<Control>() == 88);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_one_word() {
        let table = VipTable::new(0x00ab_cdef, 17, 0xfeed_beef);
        assert_eq!((table.base(), table.log2(), table.seed()), (0x00ab_cdef, 17, 0xfeed_beef));
    }

    #[test]
    fn an_epoch_names_its_key() {
        let tunnel_keys = [TunnelKey { k0: 1, k1: 2 }, TunnelKey { k0: 3, k1: 4 }];
        let control = |epoch| Control { epoch, tunnel_keys, ..Control::default() };
        assert_eq!(control(TagEpoch::default()).tunnel_key(), None);
        assert_eq!(control(TagEpoch::new(255, 0)).tunnel_key(), Some((255, &tunnel_keys[0])));
        assert_eq!(control(TagEpoch::new(1, 1)).tunnel_key(), Some((1, &tunnel_keys[1])));
    }
}
