use crate::siphash::Key;
use bytemuck::{Pod, Zeroable};
use core::fmt;

/// Entries of a receiver's `tunnel_keys`: one for each byte; 0 is no epoch.
pub const EPOCHS: u32 = 256;

/// A key of tags: two little-endian words. Its `Debug` does not show it. 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TunnelKey {
    /// Bytes 0 to 7.
    pub k0: u64,
    /// Bytes 8 to 15.
    pub k1: u64,
}

impl TunnelKey {
    /// For the hash.
    #[inline(always)]
    pub const fn key(&self) -> Key {
        Key { k0: self.k0, k1: self.k1 }
    }
}

impl fmt::Debug for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TunnelKey(…)")
    }
}

/// What a receiver knows of an epoch. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct KnownKey {
    /// 1; 0: the epoch is not known.
    pub known: u64,
    /// Its key.
    pub key: TunnelKey,
}

const _: () = assert!(size_of::<TunnelKey>() == 16 && size_of::<KnownKey>() == 24);
