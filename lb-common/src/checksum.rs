//! The Internet checksum (RFC 1071), in the native byte order of the words it sums.

/// Folds a sum of 16-bit words to 16 bits and complements it. The sum may be as large as 2³².
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "two folds leave 16 bits")]
pub const fn finish(sum: u64) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The checksum after one 16-bit word of what it covers became another (RFC 1624, equation 3). Never 0xffff:
/// where nothing but zeros is left, that alone would be right.
#[inline(always)]
pub const fn replace(checksum: u16, old: u16, new: u16) -> u16 {
    finish(!checksum as u64 + !old as u64 + new as u64)
}

/// The four 16-bit words of a 64-bit one, added.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "its lower half is meant")]
pub const fn quarters(word: u64) -> u64 {
    halves(word as u32) + halves((word >> 32) as u32)
}

/// The two 16-bit words of a 32-bit one, added.
#[inline(always)]
pub const fn halves(word: u32) -> u64 {
    (word & 0xffff) as u64 + (word >> 16) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1071_example() {
        let words = [[0x00, 0x01], [0xf2, 0x03], [0xf4, 0xf5], [0xf6, 0xf7]];
        let sum = words.iter().map(|word| u64::from(u16::from_ne_bytes(*word))).sum();
        assert_eq!((!finish(sum)).to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn a_replaced_word_is_as_a_new_sum() {
        for rest in 0..=u16::MAX {
            let sum = |word: u16| finish(u64::from(word) + u64::from(rest) + 0x1234);
            assert_eq!(replace(sum(0x0008), 0x0008, 0x0081), sum(0x0081), "{rest:x}");
        }
    }

    #[test]
    fn every_carry_is_folded() {
        assert_eq!(finish(0), 0xffff);
        assert_eq!(finish(0xffff), 0);
        assert_eq!(finish(0x1_fffe), 0);
        assert_eq!(finish(0xffff_ffff), 0);
    }
}
