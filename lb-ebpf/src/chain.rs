//! The earlier owners of a packet's rows, of a service that tracks by chain: nothing is recorded here; the packet
//! carries their addresses, and their receivers find out whose its connection is ([`receive`](crate::receive)).
//!
//! A connection that is there already may be with whoever owned its rows before. Those who may have it, the likelier
//! first:
//!
//! 1. the node before in the pool at hand;
//! 2. in the pool before, if the cluster row had another: its node;
//! 3. and the node before that one;
//! 4. the older node in the pool at hand;
//! 5. the node in the older pool.
//!
//! Three of them travel with the packet, so that each tier may move once, or one of them twice: others than the one it is
//! sent to, that serve, of its family. In the place of one that does not serve is asked who stood in for it: new flows
//! went there until the tables were made anew.

pub mod header;

use crate::select::{node_table, place};
use crate::tables::Tables;
use crate::track::{self, Owner};
use lb_common::abi::{ASKED, BackendEntry, BackendFlags, Selector, TableEntry};
use lb_common::flow::FlowHash;
use lb_common::row::{ROWS_PER_WORD, Row};

/// Backends that are asked if the one that a packet is sent to does not know its connection: one word, which stays in a
/// register. From below: three indices of sixteen bits, how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier(u64);

impl Earlier {
    const INDEX: u64 = 0xffff;
    const COUNT: u32 = 48;
    /// Nobody.
    pub const NONE: Self = Self(0);

    /// How many they are; its mask tells the verifier that it is a small number.
    #[inline(always)]
    pub const fn count(self) -> usize {
        (self.0 >> Self::COUNT & 3) as usize
    }

    /// Index of number `at`, 0 to 2, of those who are.
    #[inline(always)]
    pub const fn index(self, at: usize) -> u32 {
        (self.0 >> (16 * (at & 3)) & Self::INDEX) as u32
    }

    /// With another at the end, of whom there is room for one.
    #[inline(always)]
    const fn with(self, index: u32) -> Self {
        let index = (index as u64 & Self::INDEX) << (16 * self.count());
        Self((self.0 | index) + (1 << Self::COUNT))
    }

    /// The same, of which the verifier does not know how it was found.
    #[inline(always)]
    #[must_use]
    pub fn forgotten<T: Tables>(self, tables: &T) -> Self {
        Self(tables.forgotten(self.0))
    }

    #[inline(always)]
    const fn has(self, index: u32) -> bool {
        let count = self.count();
        count > 0 && self.index(0) == index
            || count > 1 && self.index(1) == index
            || count > 2 && self.index(2) == index
    }
}

/// Who is asked if the backend that is `first` does not know the connection of a packet with this hash.
#[inline(always)]
pub fn earlier<T: Tables>(
    hash: FlowHash,
    select: Selector,
    pool: u32,
    first: &Owner<'_>,
    tables: &T,
) -> Earlier {
    let cluster = if select.single_pool().is_some() { NO_TABLE } else { select.table() };
    let from = pool & POOL | u32::from(!first.clean) << POOL.count_ones();
    collect(hash, cluster, from, first.index, tables)
}

/// Owner of a row before the current one (`at` 0), or before that.
#[inline(always)]
fn before<T: Tables>(table: &TableEntry, at: usize, number: u32, tables: &T) -> Option<u32> {
    let [newer, older] = table.earlier;
    let slot = if at == 0 { newer } else { older }.wrapping_add(number);
    Some(Row::of_word(tables.slab(slot / ROWS_PER_WORD)?, slot).index())
}

/// Bits of a pool's index.
const POOL: u32 = 0xffff;
/// In the place of a cluster table: there is none. Index 0 is never used.
const NO_TABLE: u32 = 0;
/// In the place of a pool: there is none.
const NO_POOL: u32 = u32::MAX;

/// Which owner of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Which {
    Current,
    Newer,
    Older,
}

/// A function of its own in the kernel program: few packets need it, and all is found again from the hash. `from`: the
/// pool, and above it whether the flow's rows are not clean. That is asked here, where the compiler cannot know that
/// it was asked before: it makes ways of that which the verifier refuses.
#[inline(never)]
fn collect<T: Tables>(hash: FlowHash, cluster: u32, from: u32, first: u32, tables: &T) -> Earlier {
    // A row that remembers another owner is not clean: who never had one costs nothing more.
    if from <= POOL {
        return Earlier::NONE;
    }
    let pool = from & POOL;
    let Some(family) = tables.backend(first).map(|first| first.route.flags.only(BackendFlags::OUTER_V6))
    else {
        return Earlier::NONE;
    };
    let asked = Asked { hash, first, family, found: Earlier::NONE };
    let [newer, older] = [pool_before(hash, cluster, 0, tables), pool_before(hash, cluster, 1, tables)];
    // Where the cluster row had no other owner, the pool before is the one at hand, of which all are asked anyway.
    let newer = if newer == pool { NO_POOL } else { newer };
    let older = if older == pool { NO_POOL } else { older };
    let asked = asked.and(pool, Which::Newer, tables).and(newer, Which::Current, tables);
    let asked = asked.and(newer, Which::Newer, tables).and(pool, Which::Older, tables);
    asked.and(older, Which::Current, tables).found
}

#[inline(always)]
fn pool_before<T: Tables>(hash: FlowHash, cluster: u32, at: usize, tables: &T) -> u32 {
    if cluster == NO_TABLE {
        return NO_POOL;
    }
    match tables.table(cluster) {
        Some(table) if table.remembers() => before(table, at, hash.cluster_row(), tables).unwrap_or(NO_POOL),
        _ => NO_POOL,
    }
}

/// Who is asked, as far as it is known: the first, and those after it.
#[derive(Clone, Copy)]
struct Asked {
    hash: FlowHash,
    first: u32,
    /// Of the outer headers.
    family: BackendFlags,
    found: Earlier,
}

impl Asked {
    /// With an owner of the flow's row in a pool too.
    #[inline(always)]
    fn and<T: Tables>(self, pool: u32, which: Which, tables: &T) -> Self {
        if pool == NO_POOL || self.found.count() == ASKED {
            return self;
        }
        let index = serving(self.hash, pool, which, self.family, tables);
        let is_new = index != NOBODY && index != self.first && !self.found.has(index);
        let found = if is_new { self.found.with(index) } else { self.found };
        Self { found: found.forgotten(tables), ..self }
    }
}

/// In the place of a backend: there is none.
const NOBODY: u32 = u32::MAX;

/// An owner of the flow's row in a pool, or who stands in for it, if a packet with outer headers of this family can go on
/// to it. A function of its own: it is called for each, and what is in an option that is none would be undefined on the
/// stack.
#[inline(never)]
fn serving<T: Tables>(hash: FlowHash, pool: u32, which: Which, family: BackendFlags, tables: &T) -> u32 {
    let Some(pool) = tables.pool(pool) else { return NOBODY };
    let Ok(table) = node_table(&pool, tables) else { return NOBODY };
    let number = hash.node_row(table.log2_rows);
    let owner = match which {
        Which::Current => place(table, number, tables).ok().map(|place| place.row.index()),
        _ if !table.remembers() => None,
        Which::Newer => before(table, 0, number, tables),
        Which::Older => before(table, 1, number, tables),
    };
    let Some(owner) = owner else { return NOBODY };
    let backend = tables.backend(owner);
    if backend.is_some_and(BackendEntry::serves) {
        return if backend.is_some_and(|backend| may_go_on_to(backend, family)) { owner } else { NOBODY };
    }
    match track::stand_in(hash, table, pool.spare, tables) {
        Some(other) if tables.backend(other).is_some_and(|other| may_go_on_to(other, family)) => other,
        _ => NOBODY,
    }
}

#[inline(always)]
fn may_go_on_to(backend: &BackendEntry, family: BackendFlags) -> bool {
    const LOOKED_AT: BackendFlags =
        BackendFlags::OUTER_V6.with(BackendFlags::CHAIN).with(BackendFlags::LOCAL);
    backend.route.flags.only(LOOKED_AT) == family.with(BackendFlags::CHAIN)
}

#[cfg(test)]
mod tests;
