//! Addresses and ports as they lie in a packet. A value in host order has another type, so that a
//! forgotten swap does not compile.

use bytemuck::{Pod, Zeroable};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A 16-bit number in network byte order.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct NetworkU16(u16);

impl NetworkU16 {
    /// From a number in host order.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// From the two bytes as they lie in the packet, read natively.
    #[inline(always)]
    pub const fn from_wire(native: u16) -> Self {
        Self(native)
    }

    /// The two bytes as they lie in the packet, read natively.
    #[inline(always)]
    pub const fn wire(self) -> u16 {
        self.0
    }

    /// The number in host order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The two bytes as they lie in the packet, read as a little-endian number.
    #[inline(always)]
    pub const fn word(self) -> u16 {
        u16::from_le(self.0)
    }
}

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// As it stands in a map key: 4 or 6.
    #[inline(always)]
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// Of an address. An IPv4 address in its mapped form is one of IPv6 here.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
///
/// Held as two words, each the native reading of eight packet bytes: one load and one comparison per
/// word in the kernel program, where bytes would be compared one by one.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, Default, Eq, Pod, Zeroable)]
pub struct Address([u64; 2]);

/// The first four bytes of the second word of a mapped IPv4 address.
const MAPPED: [u8; 4] = [0, 0, 0xff, 0xff];

impl Address {
    /// From the four bytes of an IPv4 address, read natively from a packet.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (MAPPED, word.to_ne_bytes());
        Self([0, u64::from_ne_bytes([a, b, c, d, e, f, g, h])])
    }

    /// From the sixteen bytes of an IPv6 address, read natively from a packet.
    #[inline(always)]
    pub const fn from_v6_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The last four bytes: of an IPv4 address, all there is.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        let [_, low] = self.0;
        ((u64::from_le(low) >> 32) as u32).to_le()
    }

    /// Both words.
    #[inline(always)]
    pub const fn words(&self) -> [u64; 2] {
        self.0
    }

    /// The sixteen bytes in network order.
    pub fn bytes(&self) -> [u8; 16] {
        bytemuck::cast(self.0)
    }

    /// Word by word AND, for prefixes.
    #[inline(always)]
    #[must_use]
    pub const fn masked(&self, mask: [u64; 2]) -> Self {
        let ([a, b], [c, d]) = (self.0, mask);
        Self([a & c, b & d])
    }

    /// Whether this is an IPv4 address in its mapped form.
    pub const fn is_v4(&self) -> bool {
        let [high, low] = self.0;
        let [a, b, c, d, ..] = low.to_ne_bytes();
        high == 0 && u32::from_ne_bytes([a, b, c, d]) == u32::from_ne_bytes(MAPPED)
    }
}

// Derived, this compares memory, for which the compiler puts both addresses on the stack.
impl PartialEq for Address {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b], [c, d]) = (self.0, other.0);
        a == c && b == d
    }
}

impl Address {
    /// As an address of a family: a mapped IPv4 address of IPv6 stays one.
    pub fn ip(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.into(),
            Family::V6 => IpAddr::V6(self.bytes().into()),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => Self(bytemuck::cast(v6.octets())),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            Self::V4(Ipv4Addr::from(address.v4_word().to_ne_bytes()))
        } else {
            Self::V6(Ipv6Addr::from(address.bytes()))
        }
    }
}

/// The first `length` bits set, in network order: the mask of an IPv4 prefix. More than 32 counts as 32.
pub const fn prefix_mask_v4(length: u32) -> u32 {
    mask_word(length)
}

/// The first `length` bits set, in network order: the mask of an IPv6 prefix. More than 128 counts as 128.
pub const fn prefix_mask_v6(length: u32) -> [u64; 2] {
    [mask_double(length), mask_double(length.saturating_sub(64))]
}

const fn mask_double(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (!(u64::MAX >> bits)).to_be() }
}

const fn mask_word(bits: u32) -> u32 {
    if bits >= 32 { u32::MAX } else { (!(u32::MAX >> bits)).to_be() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_keep_their_bytes() {
        let port = NetworkU16::new(443);
        assert_eq!(bytemuck::bytes_of(&port), [1, 187]);
        assert_eq!(port.get(), 443);
        assert_eq!(port.word(), u16::from_le_bytes([1, 187]));
    }

    #[test]
    fn addresses_round_trip() {
        for text in ["192.0.2.1", "2001:db8::1", "::", "255.255.255.255"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
    }

    #[test]
    fn ipv4_is_mapped() {
        let address = Address::from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(address.bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    }

    #[test]
    fn masks_keep_the_prefix() {
        assert_eq!(prefix_mask_v4(24).to_ne_bytes(), [255, 255, 255, 0]);
        assert_eq!(prefix_mask_v4(0), 0);
        let client: IpAddr = "2001:db8:1:2ff:3::4".parse().unwrap();
        let prefix: IpAddr = "2001:db8:1:200::".parse().unwrap();
        assert_eq!(IpAddr::from(Address::from(client).masked(prefix_mask_v6(56))), prefix);
        assert_eq!(prefix_mask_v6(0), [0; 2]);
        assert_eq!(prefix_mask_v6(128), [u64::MAX; 2]);
    }
}
