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
    fn every_carry_is_folded() {
        assert_eq!(finish(0), 0xffff);
        assert_eq!(finish(0xffff), 0);
        assert_eq!(finish(0x1_fffe), 0);
        assert_eq!(finish(0xffff_ffff), 0);
    }
}
