use crate::net::{Address, Family, prefix_mask_v6};
use bytemuck::{Pod, Zeroable};
use core::cmp::Ordering;

/// Entries of `source_buckets`.
pub const SOURCE_BUCKETS: u32 = 65_536;

/// Entries of `access_policies`. Index 0 is never used: it admits every source.
pub const ACCESS_POLICIES: u32 = 4096;

/// Bits of a key before those of the address, and those of an IPv4 address in its mapped form before its own.
const SCOPE_BITS: u32 = 32;
const MAPPED_BITS: u32 = 96;

/// How a service admits by source. 16 bytes; each word is stored as one.
#[repr(C, align(16))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct AccessPolicy {
    /// What becomes of a source that none of its prefixes holds, and whether it has any.
    pub flags: AccessFlags,
    /// Nanoseconds between two flows that a source begins, on average over a second; 0: it may begin any number.
    pub interval: u32,
    /// Names its prefixes. Stored once all of them are in `access_prefixes`; the program never reads it.
    pub seal: u64,
}

flag_set! {
    /// What becomes of a source: of a policy's entry, of one that no prefix holds; of a prefix, of those in it.
    AccessFlags {
        /// It is not admitted.
        DENY = 0;
        /// Of a policy: it has prefixes.
        PREFIXES = 1;
    }
}

/// A prefix of an access policy: the key of a trie that finds the longest one (`struct bpf_lpm_trie_key` of
/// `linux/bpf.h`). 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct AccessKey {
    /// Bits from the scope on that must match: 32 of the scope, then those of the address.
    pub bits: u32,
    /// The policy's index (bits 0 to 23) and the family, 4 or 6 (bits 24 to 31): a prefix holds sources of its
    /// own policy and family alone.
    scope: u32,
    /// The prefix's address; what is behind the prefix is zero. IPv4 in its mapped form.
    address: Address,
}

impl AccessKey {
    /// What a source is looked up by.
    #[inline(always)]
    pub const fn of_source(policy: u32, family: Family, source: Address) -> Self {
        let scope = policy & 0xff_ffff | (family.number() as u32) << 24;
        Self { bits: SCOPE_BITS + 128, scope, address: source }
    }

    /// A prefix of `length` bits, counted as its family does.
    pub const fn of_prefix(policy: u32, family: Family, address: Address, length: u8) -> Self {
        let before = match family {
            Family::V4 => SCOPE_BITS + MAPPED_BITS,
            Family::V6 => SCOPE_BITS,
        };
        Self::of_source(policy, family, address).cut(before + length as u32)
    }

    /// The first `bits` bits of it, at least those of the scope.
    #[must_use]
    pub const fn cut(self, bits: u32) -> Self {
        let address = self.address.masked(prefix_mask_v6(bits.saturating_sub(SCOPE_BITS)));
        Self { bits, scope: self.scope, address }
    }

    /// Index of the policy.
    pub const fn policy(&self) -> u32 {
        self.scope & 0xff_ffff
    }

    /// The prefix's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The prefix's family and length, as its family counts.
    pub const fn length(&self) -> (Family, u32) {
        if self.scope >> 24 == Family::V4.number() as u32 {
            (Family::V4, self.bits.saturating_sub(SCOPE_BITS + MAPPED_BITS))
        } else {
            (Family::V6, self.bits.saturating_sub(SCOPE_BITS))
        }
    }

    fn order(&self) -> (u32, [u8; 16], u32) {
        (self.scope, self.address.bytes(), self.bits)
    }
}

/// Whose new flows are counted together. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct SourceKey {
    /// Index of the access policy.
    pub policy: u32,
    /// 4 or 6.
    family: u32,
    /// An IPv4 address in its mapped form, or the first 64 bits of an IPv6 address.
    source: Address,
}

impl SourceKey {
    /// Of a packet's source: an IPv6 client has a whole /64 to choose addresses from (RFC 7421).
    #[inline(always)]
    pub const fn new(policy: u32, family: Family, source: Address) -> Self {
        let source = match family {
            Family::V4 => source,
            Family::V6 => source.masked([u64::MAX, 0]),
        };
        Self { policy, family: family.number() as u32, source }
    }

    /// The address, or a /64's first.
    pub const fn source(&self) -> Address {
        self.source
    }

    /// IPv6 rather than IPv4.
    pub const fn is_v6(&self) -> bool {
        self.family == Family::V6.number() as u32
    }
}

/// What a source may begin: a token bucket that holds a second's worth. Zero, as one that is new, is full.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct SourceBucket {
    /// When it is full again, in nanoseconds of the kernel's monotonic clock.
    pub full: u64,
}

impl SourceBucket {
    /// Nanoseconds in which an empty bucket fills.
    pub const SECOND: u64 = 1_000_000_000;

    /// Takes one flow at `now` (nanoseconds); false: there is none left. CPUs that do this at once may lose each
    /// other's count, so that a few more flows may begin.
    #[inline(always)]
    pub const fn take(&mut self, now: u64, interval: u32) -> bool {
        let full = if self.full > now { self.full } else { now } + interval as u64;
        if full > now + Self::SECOND {
            return false;
        }
        self.full = full;
        true
    }
}

impl Ord for AccessKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for AccessKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

const _: () = assert!(size_of::<AccessPolicy>() == 16 && size_of::<AccessKey>() == 24);
const _: () = assert!(size_of::<SourceKey>() == 24 && size_of::<SourceBucket>() == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_prefix_is_the_key_of_each_of_its_sources_cut() {
        let prefix = AccessKey::of_prefix(7, Family::V4, address("192.0.2.0"), 24);
        assert_eq!((prefix.bits, prefix.policy(), prefix.length()), (152, 7, (Family::V4, 24)));
        let cut = |policy, source| AccessKey::of_source(policy, Family::V4, address(source)).cut(prefix.bits);
        assert_eq!(cut(7, "192.0.2.255"), prefix);
        assert_ne!(cut(7, "192.0.3.0"), prefix);
        assert_ne!(cut(8, "192.0.2.255"), prefix);
    }

    #[test]
    fn a_bucket_holds_a_seconds_worth_and_fills_evenly() {
        for start in [0, 7_000_000_000] {
            let mut bucket = SourceBucket::default();
            let mut taken =
                |now: u64, tries| (0..tries).filter(|_| bucket.take(start + now, 200_000_000)).count();
            assert_eq!(taken(0, 9), 5);
            assert_eq!(taken(199_999_999, 3), 0);
            assert_eq!(taken(200_000_000, 3), 1);
            assert_eq!(taken(600_000_000, 3), 2);
            assert_eq!(taken(9_000_000_000, 9), 5, "no more than a second's worth is saved");
        }
        let mut one = SourceBucket::default();
        assert!(one.take(5, 1_000_000_000) && !one.take(6, 1_000_000_000));
        assert!(one.take(1_000_000_005, 1_000_000_000));
    }

    #[test]
    fn ipv6_sources_count_by_their_64() {
        let key = |family, source| SourceKey::new(1, family, address(source));
        assert_eq!(key(Family::V6, "2001:db8::1"), key(Family::V6, "2001:db8::ffff:0:0:2"));
        assert_ne!(key(Family::V6, "2001:db8::1"), key(Family::V6, "2001:db8:0:1::1"));
        assert_ne!(key(Family::V4, "192.0.2.1"), key(Family::V4, "192.0.2.2"));
    }

    #[test]
    fn all_of_ipv6_is_none_of_ipv4() {
        let all = AccessKey::of_prefix(1, Family::V6, address("::"), 0);
        assert_eq!((all.bits, all.length()), (SCOPE_BITS, (Family::V6, 0)));
        let v6 = AccessKey::of_source(1, Family::V6, address("2001:db8::1"));
        let v4 = AccessKey::of_source(1, Family::V4, address("192.0.2.1"));
        assert_eq!(v6.cut(all.bits), all);
        assert_ne!(v4.cut(all.bits), all);
    }

    /// The trie compares bytes from the first on, each from its highest bit.
    #[test]
    fn the_address_lies_in_network_order_behind_the_scope() {
        let key = AccessKey::of_prefix(0x0102, Family::V6, address("2001:db8::"), 32);
        let bytes = bytemuck::bytes_of(&key);
        assert_eq!(bytes[..8], [64, 0, 0, 0, 2, 1, 0, 6]);
        assert_eq!(bytes[8..14], [0x20, 1, 0xd, 0xb8, 0, 0]);
    }
}
