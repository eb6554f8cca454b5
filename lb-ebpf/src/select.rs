//! Flow hash, cluster row, pool, node row: where the tables say a flow belongs.

use crate::tables::Tables;
use crate::verdict::End;
use lb_common::abi::{NO_BACKEND, PoolEntry, Selector, ServiceEntry, ServiceFlags, TableEntry};
use lb_common::flow::{Flow, FlowHash};
use lb_common::reason::Reason;
use lb_common::row::{Mode, ROWS_PER_WORD, Row};
use lb_common::siphash::Key;

/// The end of a packet for which a table names an entry that is not there.
pub const MISSING: End = End::drop(Reason::MissingEntry);

/// The hash that decides the flow's way: of the 5-tuple, or of what the service's affinity leaves of it.
#[inline(always)]
pub fn hash(flow: &Flow, service: &ServiceEntry, key: Key) -> FlowHash {
    if !service.flags.has_any(ServiceFlags::AFFINITY) {
        return flow.hash(key);
    }
    let part = if service.flags.has(ServiceFlags::THREE_TUPLE) {
        flow.three_tuple()
    } else {
        flow.only_client(service.mask_v4, service.mask_v6)
    };
    part.hash(key)
}

/// A row, and its number in its table. Aligned, for the compiler copies it by words, and the verifier wants
/// those aligned on the stack.
#[repr(align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the row, from 0.
    pub number: u32,
    /// Owner and mode.
    pub row: Row,
}

/// Where the tables say a flow belongs.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'t> {
    /// The hash that decided.
    pub hash: FlowHash,
    /// Row of the cluster table; `None` where the service has one pool.
    pub cluster: Option<Place>,
    /// Index of the pool.
    pub pool: u32,
    /// A backend of the pool that serves, or [`NO_BACKEND`].
    pub spare: u16,
    /// The pool's node table.
    pub table: &'t TableEntry,
    /// Row of that table.
    pub node: Place,
}

impl Selection<'_> {
    /// Whether nothing moved lately on the flow's way.
    #[inline(always)]
    pub const fn is_clean(&self) -> bool {
        match self.cluster {
            Some(cluster) => self.node.row.or(cluster.row).is_clean(),
            None => self.node.row.is_clean(),
        }
    }

    /// Whether a row of the flow's way is MOVING.
    #[inline(always)]
    pub fn is_moving(&self) -> bool {
        let cluster = self.cluster.is_some_and(|cluster| cluster.row.mode() == Mode::Moving);
        cluster || self.node.row.mode() == Mode::Moving
    }
}

/// The pool and the rows of a flow with this [`hash()`], of a service's pools that are found so.
#[inline(always)]
pub fn select<T: Tables>(hash: FlowHash, selector: Selector, tables: &T) -> Result<Selection<'_>, End> {
    let (pool, cluster) = pool(selector, hash, tables)?;
    let entry = tables.pool(pool).ok_or(MISSING)?;
    let table = node_table(&entry, tables)?;
    let node = place(table, hash.node_row(table.log2_rows), tables)?;
    Ok(Selection { hash, cluster, pool, spare: entry.spare, table, node })
}

/// The pool that takes the flow: the only one, or the owner of the flow's cluster row.
#[inline(always)]
pub fn pool<T: Tables>(selector: Selector, hash: FlowHash, tables: &T) -> Result<(u32, Option<Place>), End> {
    if let Some(index) = selector.single_pool() {
        return Ok((index, None));
    }
    let Some(table) = tables.table(selector.table()) else {
        return Err(End::drop(Reason::NoBackend));
    };
    let place = place(table, hash.cluster_row(), tables)?;
    Ok((place.row.index(), Some(place)))
}

/// The node table of a pool.
#[inline(always)]
pub fn node_table<'t, T: Tables>(pool: &PoolEntry, tables: &'t T) -> Result<&'t TableEntry, End> {
    if pool.table == 0 && pool.spare == NO_BACKEND {
        return Err(End::drop(Reason::NoBackend));
    }
    tables.table(pool.table).ok_or(MISSING)
}

/// Row `number` of a table.
#[inline(always)]
pub fn place<T: Tables>(table: &TableEntry, number: u32, tables: &T) -> Result<Place, End> {
    let slot = table.current.wrapping_add(number);
    let word = tables.slab(slot / ROWS_PER_WORD).ok_or(MISSING)?;
    Ok(Place { number, row: Row::of_word(word, slot) })
}

/// Who owned row `number` of a table before it began to move.
#[inline(always)]
pub fn stable<T: Tables>(table: &TableEntry, number: u32, tables: &T) -> Option<u32> {
    let slot = table.stable.wrapping_add(number);
    Some(Row::of_word(tables.slab(slot / ROWS_PER_WORD)?, slot).index())
}
