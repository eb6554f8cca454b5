//! What becomes of the flows of a cluster row: the node tables that it leads to before and after, row by row.

use std::sync::Arc;

use lb_common::abi::MAX_LOG2_ROWS;
use lb_common::row::Row;

use super::side::{End, Side};

/// Parts of a cluster row.
pub(super) const ROW: u64 = 1 << MAX_LOG2_ROWS;

/// What becomes of the flows of one cluster row, in parts of [`ROW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fates {
    pub(super) moved: u64,
    /// Open flows whose node does not serve any more.
    pub(super) dead: u64,
    /// Open flows whose node does not serve any more, or is another.
    pub(super) parted: u64,
    pub(super) lost: u64,
}

/// Node rows of a pool before and of one after, `None`: there is nobody, that a cluster row leads to.
pub(super) fn compare(rows: [Option<&Arc<[Row]>>; 2], old: &Side, new: &Side) -> Fates {
    let is_dead = |row: &Row| new.end(*row).is_none_or(|end| !end.alive);
    if let [Some(before), Some(after)] = rows
        && Arc::ptr_eq(before, after)
        && !after.iter().any(is_dead)
    {
        return Fates::default();
    }
    let size = rows.iter().flatten().map(|rows| rows.len()).max().unwrap_or(1);
    let part = ROW / size as u64;
    let mut fates = Fates::default();
    for place in 0..size {
        let [was, is] = rows.map(|rows| rows.map(|rows| rows[place * rows.len() / size]));
        let is = is.and_then(|row| new.end(row));
        let fate = fate(was.and_then(|row| old.end(row)), was.is_some_and(|row| !is_dead(&row)), is);
        fates.moved += u64::from(fate.moved) * part;
        fates.dead += u64::from(fate.dead) * part;
        fates.parted += u64::from(fate.parted) * part;
        fates.lost += u64::from(is.is_none_or(|end| !end.alive)) * part;
    }
    fates
}

/// What becomes of the flows of one node row.
struct Fate {
    moved: bool,
    dead: bool,
    parted: bool,
}

/// `survives`: the endpoint that had the row still serves. One that is configured anew at its address has its connections.
fn fate(was: Option<End>, survives: bool, is: Option<End>) -> Fate {
    let moved = was.map(|end| end.address) != is.map(|end| end.address);
    let goes_on = is.is_some_and(|end| survives || !moved && end.alive);
    let (dead, parted) = (was.is_some() && !goes_on, was.is_some() && (moved || !goes_on));
    Fate { moved, dead, parted }
}
