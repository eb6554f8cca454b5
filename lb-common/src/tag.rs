//! The keyed tag of a tunnel packet: that somebody with the key put this outer header in front of a packet with this IP
//! header. docs/contract.md, section 11, has its bytes, and what it proves.

use crate::siphash::{Key, State};
use core::num::NonZeroU64;

/// An epoch and, of the digest under its key, the upper seven bytes: one word, as eight bytes in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(NonZeroU64);

impl Tag {
    /// Bytes of it.
    pub const LENGTH: usize = size_of::<u64>();
    const EPOCH: u32 = 56;

    /// Its number, of an epoch and a digest under its key; 0, if the epoch is none, is no tag's.
    #[inline(always)]
    pub const fn word(epoch: u8, digest: u64) -> u64 {
        if epoch == 0 { 0 } else { (epoch as u64) << Self::EPOCH | digest >> 8 }
    }

    /// As it lies in a packet, read natively. `None`: it has nothing but zeros.
    #[inline(always)]
    pub const fn of_wire(word: u64) -> Option<Self> {
        Self::of_word(u64::from_be(word))
    }

    /// From [`Tag::word`].
    #[inline(always)]
    pub const fn of_word(word: u64) -> Option<Self> {
        match NonZeroU64::new(word) {
            Some(word) => Some(Self(word)),
            None => None,
        }
    }

    /// As it lies in a packet, read natively.
    #[inline(always)]
    pub const fn wire(self) -> u64 {
        self.0.get().to_be()
    }

    /// The epoch that it claims.
    #[inline(always)]
    pub const fn epoch(self) -> u8 {
        (self.0.get() >> Self::EPOCH) as u8
    }
}

/// SipHash-1-3 over the first 20 bytes of an IPv4 packet: two words of eight bytes and one of four, read natively.
#[inline(always)]
pub const fn digest_v4(key: Key, [a, b]: [u64; 2], c: u32) -> u64 {
    State::new(key).word(a.to_le()).word(b.to_le()).finish_with_half(c.to_le(), 20)
}

/// SipHash-1-3 over the 40 bytes of an IPv6 header: five words of eight bytes, read natively.
#[inline(always)]
pub const fn digest_v6(key: Key, [a, b, c, d, e]: [u64; 5]) -> u64 {
    let state = State::new(key).word(a.to_le()).word(b.to_le()).word(c.to_le());
    state.word(d.to_le()).word(e.to_le()).finish(40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::siphash::siphash13;
    use proptest::prelude::*;

    const KEY: Key = Key { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };

    fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
        core::array::from_fn(|at| u64::from_ne_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap()))
    }

    proptest! {
        #[test]
        fn a_digest_is_of_the_bytes_as_they_lie(header: [u8; 32], rest: [u8; 8]) {
            let half = u32::from_ne_bytes(header[16..20].try_into().unwrap());
            prop_assert_eq!(digest_v4(KEY, words(&header), half), siphash13(KEY, &header[..20]));
            let header = [&header[..], &rest].concat();
            prop_assert_eq!(digest_v6(KEY, words(&header)), siphash13(KEY, &header));
        }
    }

    #[test]
    fn a_tag_lies_as_on_the_wire() {
        let tag = Tag::of_word(Tag::word(3, 0x1122_3344_5566_7788)).unwrap();
        assert_eq!(tag.wire().to_ne_bytes(), [3, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
        assert_eq!((Tag::of_wire(tag.wire()), tag.epoch()), (Some(tag), 3));
        assert_eq!((Tag::word(0, u64::MAX), Tag::of_wire(0)), (0, None));
    }
}
