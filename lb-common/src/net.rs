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
}

/// An IPv4 or IPv6 address: 16 bytes in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2).
///
/// Held as four words, each the native reading of four packet bytes: one load and one comparison per
/// word in the kernel program, where bytes would be compared one by one.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Address([u32; 4]);

const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Address {
    /// From the four bytes of an IPv4 address, read natively from a packet.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// From the sixteen bytes of an IPv6 address, read natively from a packet.
    #[inline(always)]
    pub const fn from_v6_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The last four bytes: of an IPv4 address, all there is.
    #[inline(always)]
    pub const fn v4_word(&self) -> u32 {
        let [_, _, _, word] = self.0;
        word
    }

    /// All four words.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    /// The sixteen bytes in network order.
    pub const fn bytes(&self) -> [u8; 16] {
        let [a, b, c, d] = self.0;
        let (a, b, c, d) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// Word by word AND, for prefixes.
    #[inline(always)]
    #[must_use]
    pub const fn masked(&self, mask: [u32; 4]) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, mask);
        Self([a & e, b & f, c & g, d & h])
    }

    /// Whether this is an IPv4 address in its mapped form.
    pub const fn is_v4(&self) -> bool {
        let [a, b, c, _] = self.0;
        a == 0 && b == 0 && c == MAPPED
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
pub const fn prefix_mask_v6(length: u32) -> [u32; 4] {
    [
        mask_word(length),
        mask_word(length.saturating_sub(32)),
        mask_word(length.saturating_sub(64)),
        mask_word(length.saturating_sub(96)),
    ]
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
        assert_eq!(prefix_mask_v6(0), [0; 4]);
        assert_eq!(prefix_mask_v6(128), [u32::MAX; 4]);
    }
}
