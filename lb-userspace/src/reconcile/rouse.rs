//! Rows of a backend that is about to serve again.

use super::KernelView;
use super::diff::read;
use lb_common::abi::{MAX_LOG2_ROWS, PoolEntry, TableEntry, map};
use lb_common::row::{Mode, ROWS_PER_WORD, Row};
use std::collections::BTreeMap;

/// The words of a pool's table in force that hold clean rows of a backend, and what they become with those rows as
/// RESIDUE: word, held, new.
pub(super) fn clean_rows<K: KernelView>(kernel: &K, backend: u32, pool: u32) -> Vec<(usize, u64, u64)> {
    let entry: PoolEntry = read(kernel, map::POOLS, pool);
    let table: TableEntry = read(kernel, map::TABLES, entry.table);
    if entry.table == 0 || table.log2_rows > MAX_LOG2_ROWS {
        return Vec::new();
    }
    let first = (table.current / ROWS_PER_WORD) as usize;
    let mut words = vec![0; (1 << table.log2_rows) / ROWS_PER_WORD as usize];
    kernel.read(map::SLAB, first, &mut words);
    let roused = |held: u64| -> u64 {
        let rows: [Row; ROWS_PER_WORD as usize] = bytemuck::cast(held);
        let rouse = |row: Row| {
            let is_its = row.index() == backend && row.is_clean();
            if is_its { row.in_mode(Mode::Residue) } else { row }
        };
        bytemuck::cast(rows.map(rouse))
    };
    let words = (first..).zip(words).map(|(word, held)| (word, held, roused(held)));
    words.filter(|(_, held, new)| held != new).collect()
}

/// Several changes of the same words as one: each sets bits of its own rows' modes.
pub(super) fn merged(changes: Vec<(usize, u64, u64)>) -> Vec<(usize, u64)> {
    let mut words = BTreeMap::new();
    for (word, held, new) in changes {
        *words.entry(word).or_insert(held) |= new;
    }
    words.into_iter().collect()
}
