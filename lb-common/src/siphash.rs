//! `SipHash`-1-3 (Aumasson, Bernstein: "`SipHash`: a fast short-input PRF", with one compression and three
//! finalisation rounds). Fed word by word where lengths are known, so that the kernel program has
//! neither loop nor copy.

/// The 128-bit key: two little-endian words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Bytes 0 to 7.
    pub k0: u64,
    /// Bytes 8 to 15.
    pub k1: u64,
}

impl Key {
    /// From sixteen bytes, such as a public ASCII key.
    pub const fn from_bytes(bytes: &[u8; 16]) -> Self {
        let wide = u128::from_le_bytes(*bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the low and the high half are meant")]
        Self { k0: wide as u64, k1: (wide >> 64) as u64 }
    }
}

/// A hash under way.
#[derive(Debug, Clone, Copy)]
pub struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    /// Starts with the key.
    #[inline(always)]
    pub const fn new(key: Key) -> Self {
        Self {
            v0: key.k0 ^ 0x736f_6d65_7073_6575,
            v1: key.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: key.k0 ^ 0x6c79_6765_6e65_7261,
            v3: key.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    /// Takes in eight bytes, read as a little-endian word.
    #[inline(always)]
    #[must_use]
    pub const fn word(mut self, word: u64) -> Self {
        self.v3 ^= word;
        self = self.round();
        self.v0 ^= word;
        self
    }

    /// Ends a message of `length` bytes that was a whole number of words.
    #[inline(always)]
    pub const fn finish(self, length: u8) -> u64 {
        self.finish_with((length as u64) << 56)
    }

    /// Ends a message of `length` bytes that was a number of words and four bytes, read as a little-endian number.
    #[inline(always)]
    pub const fn finish_with_half(self, last: u32, length: u8) -> u64 {
        self.finish_with(last as u64 | (length as u64) << 56)
    }

    /// Ends with the last word: up to seven bytes of message, and its length in the top byte.
    #[inline(always)]
    const fn finish_with(self, last: u64) -> u64 {
        let mut end = self.word(last);
        end.v2 ^= 0xff;
        let end = end.round().round().round();
        end.v0 ^ end.v1 ^ end.v2 ^ end.v3
    }

    #[inline(always)]
    const fn round(self) -> Self {
        let Self { mut v0, mut v1, mut v2, mut v3 } = self;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        Self { v0, v1, v2, v3 }
    }
}

/// The hash of a message of any length.
pub fn siphash13(key: Key, message: &[u8]) -> u64 {
    let (words, tail) = message.as_chunks::<8>();
    let state = words.iter().fold(State::new(key), |state, word| state.word(u64::from_le_bytes(*word)));
    #[expect(clippy::cast_possible_truncation, reason = "SipHash keeps the length modulo 256")]
    let length = u64::from(message.len() as u8) << 56;
    let last = tail.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    state.finish_with(length | last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    proptest! {
        #[test]
        fn agrees_with_another_implementation(k0: u64, k1: u64, message: std::vec::Vec<u8>) {
            let mut other = SipHasher13::new_with_keys(k0, k1);
            other.write(&message);
            prop_assert_eq!(siphash13(Key { k0, k1 }, &message), other.finish());
        }

        #[test]
        fn words_are_the_bytes(k0: u64, k1: u64, a: u64, b: u64) {
            let key = Key { k0, k1 };
            let bytes = [a.to_le_bytes(), b.to_le_bytes()].concat();
            prop_assert_eq!(State::new(key).word(a).word(b).finish(16), siphash13(key, &bytes));
        }
    }

    #[test]
    fn a_key_is_its_bytes() {
        assert_eq!(Key::from_bytes(b"abcdefgh12345678").k0, u64::from_le_bytes(*b"abcdefgh"));
    }
}
