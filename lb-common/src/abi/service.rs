use super::QuicLengths;
use bytemuck::{Pod, Zeroable};

/// A service. 64 bytes: one cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct ServiceEntry {
    /// Where its pools are found.
    pub select: Selector,
    /// How its packets are treated.
    pub flags: ServiceFlags,
    /// Under client affinity: the part of an IPv4 client's address that is hashed, as a network-order mask.
    pub mask_v4: u32,
    /// Where QUIC is routed by connection id: the lengths of the server ids.
    pub quic: QuicLengths,
    /// Under client affinity: the part of an IPv6 client's address that is hashed, as a network-order mask.
    pub mask_v6: [u64; 2],
    /// Index of its access policy; 0: none.
    pub access: u32,
    /// Where packets go that another cluster's gateway sent here: one more than the index of its pool in this gateway's own
    /// cluster ([`ServiceEntry::local`]); 0: nowhere.
    pub local: u32,
    /// Zero.
    pub reserved: [u32; 6],
}

impl ServiceEntry {
    /// What says that such packets go to this pool.
    pub const fn local(pool: Option<u16>) -> u32 {
        match pool {
            Some(index) => index as u32 + 1,
            None => 0,
        }
    }

    /// Where the pools are found of a packet that was redirected here, or was not.
    #[inline(always)]
    pub const fn selector(&self, redirected: Redirected) -> Selector {
        Selector(redirected.pick(self.select.0, self.local.wrapping_sub(1)))
    }
}

/// Whether another cluster's gateway sent a packet here. All bits or none: what depends on it is found without a branch,
/// behind which the verifier would try everything once for each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirected(u32);

impl Redirected {
    /// It came from somewhere else.
    pub const NO: Self = Self(0);
    /// It did.
    pub const YES: Self = Self(u32::MAX);

    /// The word it is.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// From [`Redirected::word`].
    #[inline(always)]
    pub const fn of_word(word: u32) -> Self {
        Self(word)
    }

    /// Whether it did, as a branch.
    #[inline(always)]
    pub const fn is(self) -> bool {
        self.0 != 0
    }

    /// These bits if it did, else none.
    #[inline(always)]
    pub const fn bits(self, bits: u32) -> u32 {
        bits & self.0
    }

    /// One of two words.
    #[inline(always)]
    const fn pick(self, no: u32, yes: u32) -> u32 {
        no ^ self.bits(no ^ yes)
    }
}

/// A service with one pool names it; one with several names a cluster table. One word, stored as one.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Selector(u32);

impl Selector {
    const TABLE: u32 = 1 << 31;
    /// No pool at all.
    pub const NONE: Self = Self(u32::MAX);

    /// The one pool with this index.
    pub const fn pool(index: u16) -> Self {
        Self(index as u32)
    }

    /// The cluster table with this index (below 2³¹ − 1).
    pub const fn cluster_table(index: u32) -> Self {
        Self(index | Self::TABLE)
    }

    /// The pool's index, if there is just one.
    #[inline(always)]
    pub const fn single_pool(self) -> Option<u32> {
        if self.0 & Self::TABLE == 0 { Some(self.0) } else { None }
    }

    /// The table's index in any other case. [`Selector::NONE`] gives one that no map has.
    #[inline(always)]
    pub const fn table(self) -> u32 {
        self.0 & !Self::TABLE
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::NONE
    }
}

flag_set! {
    /// Bits of a service.
    ServiceFlags {
        /// Only the client's address (under the masks) is hashed.
        CLIENT_AFFINITY = 0;
        /// No connection of it is looked up or recorded.
        UNTRACKED = 1;
        /// Every connection of it is looked up and recorded.
        FULLY_TRACKED = 2;
        /// On a row that moves, UDP without a record goes to the current owner, not the stable one.
        UDP_MOVES = 3;
        /// Its ports are not hashed. It takes all ports of its protocol, alone on each of its VIPs.
        THREE_TUPLE = 4;
        /// It admits by source.
        ADMISSION = 5;
        /// QUIC goes to the server that its connection id names.
        QUIC = 6;
        /// Packets that are not the first of a flow carry the earlier owners of their rows. Only with `UNTRACKED`.
        CHAIN = 7;
    }
}

impl ServiceFlags {
    /// Bits under which less than the 5-tuple is hashed; at most one of them is set.
    pub const AFFINITY: Self = Self::CLIENT_AFFINITY.with(Self::THREE_TUPLE);
}

const _: () = assert!(size_of::<ServiceEntry>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_redirected_has_a_selector_of_its_own() {
        let entry = ServiceEntry {
            select: Selector::cluster_table(7),
            local: ServiceEntry::local(Some(3)),
            ..ServiceEntry::default()
        };
        assert_eq!(entry.selector(Redirected::NO), entry.select);
        assert_eq!(entry.selector(Redirected::YES), Selector::pool(3));
        assert_eq!(ServiceEntry::default().selector(Redirected::YES), Selector::NONE);
    }

    #[test]
    fn a_selector_is_a_pool_or_a_table() {
        assert_eq!(Selector::pool(7).single_pool(), Some(7));
        assert_eq!(Selector::cluster_table(7).single_pool(), None);
        assert_eq!(Selector::cluster_table(7).table(), 7);
        assert_eq!(Selector::NONE.single_pool(), None);
        assert_eq!(Selector::NONE.table(), u32::MAX >> 1);
    }
}
