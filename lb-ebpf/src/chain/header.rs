//! What travels between the GUE header and the packet: GUE's private data (draft-ietf-intarea-gue, section 3.4).
//! docs/contract.md, section 9, has its bytes.

use lb_common::abi::ASKED;

/// Bytes of an IPv4 and of an IPv6 address in it.
const V4: usize = 4;
const V6: usize = 16;

/// Its first word: version, addresses that follow, how many of those were asked, flags; a byte each, the first in the
/// upper bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header(u32);

impl Header {
    /// Bytes of it.
    pub const LENGTH: usize = size_of::<u32>();
    /// The first byte of all that Spillway sends.
    const VERSION: u32 = 1;
    /// Everybody was asked: whoever gets it takes it.
    const FINAL: u32 = 1;

    /// Before so many addresses of whom none was asked.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "there are three at most")]
    pub const fn new(addresses: usize) -> Self {
        Self(Self::VERSION << 24 | (addresses as u32 & 0xff) << 16)
    }

    /// As it lies in a packet, read natively. `None`: it is of another version, or contradicts itself.
    #[inline(always)]
    pub const fn of_wire(word: u32) -> Option<Self> {
        let header = Self(u32::from_be(word));
        let flags = header.0 & 0xff;
        let known = header.0 >> 24 == Self::VERSION && flags & !Self::FINAL == 0;
        let fits = header.addresses() <= ASKED && header.asked() <= header.addresses();
        if known && fits { Some(header) } else { None }
    }

    /// As it lies in a packet, read natively.
    #[inline(always)]
    pub const fn wire(self) -> u32 {
        self.0.to_be()
    }

    /// How many addresses follow.
    #[inline(always)]
    pub const fn addresses(self) -> usize {
        (self.0 >> 16 & 0xff) as usize
    }

    /// How many of them were asked.
    #[inline(always)]
    pub const fn asked(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    /// Whether whoever gets it is to take it.
    #[inline(always)]
    pub const fn is_final(self) -> bool {
        self.0 & Self::FINAL != 0
    }

    /// When the next one is asked.
    #[inline(always)]
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 0x100)
    }

    /// When nobody is left to ask.
    #[inline(always)]
    #[must_use]
    pub const fn last(self) -> Self {
        Self(self.0 | Self::FINAL)
    }
}

/// Bytes of an address behind an outer header of IPv4, or of IPv6.
#[inline(always)]
pub const fn address_length(v6: bool) -> usize {
    if v6 { V6 } else { V4 }
}

/// Bytes of all that travels with a packet; nothing, if there is nobody to ask.
#[inline(always)]
pub const fn length(addresses: usize, v6: bool) -> usize {
    if addresses == 0 { 0 } else { Header::LENGTH + addresses * address_length(v6) }
}

/// Bytes that are kept free for it where somebody may have to be asked.
#[inline(always)]
pub const fn room(v6: bool) -> usize {
    length(ASKED, v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lies_as_on_the_wire() {
        let header = Header::new(2);
        assert_eq!(header.wire().to_ne_bytes(), [1, 2, 0, 0]);
        assert_eq!(header.next().wire().to_ne_bytes(), [1, 2, 1, 0]);
        assert_eq!(header.next().next().last().wire().to_ne_bytes(), [1, 2, 2, 1]);
        let read = |bytes: [u8; 4]| Header::of_wire(u32::from_ne_bytes(bytes));
        assert_eq!(read([1, 2, 1, 0]), Some(header.next()));
        assert_eq!(
            read([1, 2, 2, 1]).map(|last| (last.addresses(), last.asked(), last.is_final())),
            Some((2, 2, true))
        );
    }

    #[test]
    fn what_contradicts_itself_is_no_header() {
        for bytes in [[0, 2, 0, 0], [2, 2, 0, 0], [1, 4, 0, 0], [1, 1, 2, 0], [1, 2, 0, 2], [1, 255, 255, 0]]
        {
            assert_eq!(Header::of_wire(u32::from_ne_bytes(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn nothing_travels_where_nobody_is_to_be_asked() {
        assert_eq!([length(0, false), length(1, false), length(3, false)], [0, 8, 16]);
        assert_eq!([length(0, true), length(1, true), length(3, true)], [0, 20, 52]);
    }
}
