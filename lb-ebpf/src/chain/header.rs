//! What travels between the GUE header and the packet: GUE's private data (draft-ietf-intarea-gue, section 3.4).
//! docs/contract.md, section 10, has its bytes.

use lb_common::abi::ASKED;
use lb_common::tag::Tag;

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
    /// A keyed tag follows, before the addresses.
    const TAGGED: u32 = 2;
    /// The hop count: a gateway may redirect it once more. Whatever has not this bit may be redirected no more.
    const REDIRECT: u32 = 4;
    /// To another cluster's gateway: no addresses, one redirect left.
    pub const TO_GATEWAY: Self = Self(Self::VERSION << 24 | Self::REDIRECT);

    /// Before so many addresses of whom none was asked.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "there are three at most")]
    pub const fn new(addresses: usize) -> Self {
        Self(Self::VERSION << 24 | (addresses as u32 & 0xff) << 16)
    }

    /// The same before a keyed tag, if there is one.
    #[inline(always)]
    #[must_use]
    pub const fn tagged(self, tagged: bool) -> Self {
        if tagged { Self(self.0 | Self::TAGGED) } else { self }
    }

    /// As it lies in a packet, read natively. `None`: it is of another version, or contradicts itself.
    #[inline(always)]
    pub const fn of_wire(word: u32) -> Option<Self> {
        let header = Self(u32::from_be(word));
        let flags = header.0 & 0xff;
        let known = header.0 >> 24 == Self::VERSION && flags & !(Self::FINAL | Self::TAGGED) == 0;
        let fits = header.addresses() <= ASKED && header.asked() <= header.addresses();
        let means = header.addresses() > 0 || header.is_tagged() && !header.is_final();
        if known && fits && means || header.0 == Self::TO_GATEWAY.0 { Some(header) } else { None }
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

    /// Whether a keyed tag follows, before the addresses.
    #[inline(always)]
    pub const fn is_tagged(self) -> bool {
        self.0 & Self::TAGGED != 0
    }

    /// Bytes of all that travels with the packet.
    #[inline(always)]
    pub const fn length(self, v6: bool) -> usize {
        length(self.addresses(), v6, self.is_tagged())
    }

    /// How often it may still be redirected: once or never. Only what a gateway sends to another cluster's may.
    #[inline(always)]
    pub const fn redirects(self) -> usize {
        (self.0 & Self::REDIRECT != 0) as usize
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

/// Bytes before the addresses: its first word, and the tag, if there is one.
#[inline(always)]
pub const fn before(tagged: bool) -> usize {
    if tagged { Header::LENGTH + Tag::LENGTH } else { Header::LENGTH }
}

/// Bytes of all that travels with a packet; nothing, if there is neither a tag nor anybody to ask.
#[inline(always)]
pub const fn length(addresses: usize, v6: bool, tagged: bool) -> usize {
    if addresses == 0 && !tagged { 0 } else { before(tagged) + addresses * address_length(v6) }
}

/// Bytes that are kept free for it: for all addresses where somebody may have to be asked.
#[inline(always)]
pub const fn room(v6: bool, chained: bool, tagged: bool) -> usize {
    length(if chained { ASKED } else { 0 }, v6, tagged)
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
    fn a_tag_is_a_flag_and_stays_one_on_the_way() {
        let header = Header::new(2).tagged(true);
        assert_eq!(header.next().next().last().wire().to_ne_bytes(), [1, 2, 2, 3]);
        assert_eq!(Header::of_wire(header.wire()).map(|read| read.length(false)), Some(20));
        let alone = Header::new(0).tagged(true);
        assert_eq!(alone.wire().to_ne_bytes(), [1, 0, 0, 2]);
        assert_eq!(Header::of_wire(alone.wire()).map(|read| read.length(true)), Some(12));
        assert_eq!(Header::new(1).tagged(false), Header::new(1));
    }

    #[test]
    fn one_redirect_is_left_before_a_gateway_and_none_before_a_node() {
        let header = Header::of_wire(u32::from_ne_bytes([1, 0, 0, 4]));
        assert_eq!(header, Some(Header::TO_GATEWAY));
        assert_eq!(header.map(|header| (header.redirects(), header.addresses())), Some((1, 0)));
        assert_eq!([Header::new(0).redirects(), Header::new(2).last().redirects()], [0; 2]);
    }

    #[test]
    fn what_contradicts_itself_is_no_header() {
        let versions = [[0, 2, 0, 0], [2, 2, 0, 0], [2, 0, 0, 4]];
        let numbers = [[1, 4, 0, 0], [1, 1, 2, 0], [1, 255, 255, 0], [1, 0, 1, 2], [1, 1, 0, 4]];
        let flags = [[1, 2, 0, 8], [1, 2, 0, 128], [1, 0, 0, 0], [1, 0, 0, 1], [1, 0, 0, 3]];
        let redirects = [[1, 0, 0, 5], [1, 0, 0, 6], [1, 0, 1, 4]];
        for bytes in [&versions[..], &numbers, &flags, &redirects].concat() {
            assert_eq!(Header::of_wire(u32::from_ne_bytes(bytes)), None, "{bytes:?}");
        }
    }

    #[test]
    fn nothing_travels_where_nobody_is_to_be_asked() {
        let [v4, v6] = [false, true].map(|v6| move |addresses, tagged| length(addresses, v6, tagged));
        assert_eq!([v4(0, false), v4(1, false), v4(3, false), v4(0, true), v4(3, true)], [0, 8, 16, 12, 24]);
        assert_eq!([v6(0, false), v6(1, false), v6(3, false), v6(0, true), v6(3, true)], [0, 20, 52, 12, 60]);
        assert_eq!([room(true, false, false), room(true, false, true), room(false, true, true)], [0, 12, 24]);
    }
}
