//! Which of a row's owners takes the packet.
//!
//! Rows are CLEAN in this version: the current owner takes it, if it serves. Between the verdict on a
//! backend and the next table its rows point to one that does not; then:
//!
//! 1. two other rows of the pool, at hashes derived from the flow's own ([`FlowHash::fallback_row`]);
//! 2. the pool's spare, any backend that serves;
//! 3. nothing: [`Reason::NoBackend`].

use crate::select::{MISSING, place};
use crate::tables::Tables;
use crate::verdict::End;
use lb_common::abi::{BackendEntry, BackendFlags, PoolEntry, TableEntry};
use lb_common::flow::{FALLBACK_TRIES, FlowHash};
use lb_common::reason::Reason;

/// How a backend came to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It owns the flow's row.
    Current,
    /// The owner does not serve; it owns a fallback row, or is the pool's spare.
    Fallback,
}

/// The backend that takes the packet.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'t> {
    /// Index of the backend.
    pub index: u32,
    /// The backend.
    pub backend: &'t BackendEntry,
    /// Why this one.
    pub decision: Decision,
}

/// The row's owner, or who stands in for it.
#[inline(always)]
pub fn owner<'t, T: Tables>(
    index: u32,
    pool: &PoolEntry,
    table: &TableEntry,
    hash: FlowHash,
    tables: &'t T,
) -> Result<Owner<'t>, End> {
    let backend = tables.backend(index).ok_or(MISSING)?;
    if serves(backend) {
        return Ok(Owner { index, backend, decision: Decision::Current });
    }
    fallback(pool, table, hash, tables)
}

#[inline(always)]
fn fallback<'t, T: Tables>(
    pool: &PoolEntry,
    table: &TableEntry,
    hash: FlowHash,
    tables: &'t T,
) -> Result<Owner<'t>, End> {
    for try_number in 1..=FALLBACK_TRIES {
        let row = place(table, hash.fallback_row(try_number, table.log2_rows), tables)?.row;
        if let Some(owner) = standing_in(row.index(), tables) {
            return Ok(owner);
        }
    }
    standing_in(u32::from(pool.spare), tables).ok_or(End::drop(Reason::NoBackend))
}

#[inline(always)]
fn standing_in<T: Tables>(index: u32, tables: &T) -> Option<Owner<'_>> {
    let backend = tables.backend(index).filter(|backend| serves(backend))?;
    Some(Owner { index, backend, decision: Decision::Fallback })
}

#[inline(always)]
fn serves(backend: &BackendEntry) -> bool {
    backend.route.flags.has(BackendFlags::SERVES)
}
