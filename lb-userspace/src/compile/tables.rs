//! Which table lies where. A table is named by a fingerprint of all that its rows follow from: one that is
//! wanted again is found again, in force or in quarantine, and never built twice.

use super::error::{CompileError, Resource};
use super::identity::{Free, fits};
use super::record::{Record, TableRecord};
use super::rendezvous::Rendezvous;
use super::sizes::Sizes;
use super::slab::Slab;
use lb_common::row::Row;
use lb_common::siphash::{Key, siphash13};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

const KEY: Key = Key::from_bytes(b"spillway.tables1");

/// What compilations share to be fast. It may be thrown away at any time.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    /// Logarithms of the clusters.
    pub(super) rendezvous: Rendezvous,
    rows: HashMap<u64, Arc<[Row]>>,
}

/// The name of a table's content.
pub(super) fn fingerprint(content: &[u8]) -> u64 {
    siphash13(KEY, content)
}

/// The tables of the generation that is being made.
pub(super) struct Book<'a> {
    old: &'a BTreeMap<u32, TableRecord>,
    by_fingerprint: HashMap<u64, u32>,
    in_force: BTreeMap<u32, TableRecord>,
    free: Free,
    slab: Slab,
    limit: u32,
    generation: u32,
}

impl<'a> Book<'a> {
    /// Begins with the tables of the old record, none of them in force yet.
    pub(super) fn new(old: &'a Record, generation: u32, sizes: &Sizes) -> Self {
        let mut slab = Slab::new(sizes.rows);
        for table in old.tables.values() {
            table.regions().for_each(|base| _ = slab.occupy(base, 1 << table.log2_rows));
        }
        Self {
            old: &old.tables,
            by_fingerprint: old.tables.iter().map(|(index, table)| (table.fingerprint, *index)).collect(),
            in_force: BTreeMap::new(),
            free: Free::new(1, old.tables.keys().copied()),
            slab,
            limit: sizes.tables,
            generation,
        }
    }

    /// Index of the table with this fingerprint and 2^`log2_rows` rows, which `build` makes if nobody has.
    ///
    /// # Errors
    /// [`CompileError`] if it finds no index or no rows.
    pub(super) fn table(
        &mut self,
        cache: &mut Cache,
        fingerprint: u64,
        log2_rows: u32,
        build: impl FnOnce(&mut Rendezvous) -> Vec<Row>,
    ) -> Result<u32, CompileError> {
        let index = match self.by_fingerprint.get(&fingerprint) {
            Some(&index) => index,
            None => self.found(fingerprint, log2_rows)?,
        };
        if let Some(known) = self.old.get(&index) {
            self.in_force.insert(index, TableRecord { gone: None, ..*known });
        }
        if !cache.rows.contains_key(&fingerprint) {
            let rows = build(&mut cache.rendezvous);
            cache.rows.insert(fingerprint, rows.into());
        }
        Ok(index)
    }

    fn found(&mut self, fingerprint: u64, log2_rows: u32) -> Result<u32, CompileError> {
        fits(Resource::Tables, self.by_fingerprint.len() + 2, self.limit)?;
        let base = self.region(1 << log2_rows)?;
        let (index, generation) = (self.free.take(), self.generation);
        let (current, stable, previous, gone) = (base, base, base, None);
        let table = TableRecord { fingerprint, log2_rows, current, stable, previous, generation, gone };
        self.in_force.insert(index, table);
        self.by_fingerprint.insert(fingerprint, index);
        Ok(index)
    }

    fn region(&mut self, rows: u32) -> Result<u32, CompileError> {
        let (needed, limit) = (self.slab.used() + u64::from(rows), self.slab.rows());
        if needed > u64::from(limit) {
            return Err(CompileError::Full { resource: Resource::Rows, needed, limit: limit.into() });
        }
        self.slab.take(rows).ok_or(CompileError::Fragmented { rows, limit })
    }

    /// The tables in force, then all with the others in quarantine.
    pub(super) fn close(self) -> (BTreeMap<u32, TableRecord>, BTreeMap<u32, TableRecord>) {
        let mut all = self.in_force.clone();
        for (index, known) in self.old {
            let leave = || TableRecord { gone: known.gone.or(Some(self.generation)), ..*known };
            all.entry(*index).or_insert_with(leave);
        }
        (self.in_force, all)
    }
}

impl Cache {
    /// The rows of the tables in force, by first row. Forgets all others, and clusters that are not `known`.
    pub(super) fn settle(
        &mut self,
        in_force: &BTreeMap<u32, TableRecord>,
        known: impl Fn(&str) -> bool,
    ) -> BTreeMap<u32, Arc<[Row]>> {
        self.rendezvous.retain(known);
        let rows = |table: &TableRecord| Some((table.current, self.rows.get(&table.fingerprint)?.clone()));
        let slab: BTreeMap<_, _> = in_force.values().filter_map(rows).collect();
        let wanted: HashSet<_> = in_force.values().map(|table| table.fingerprint).collect();
        self.rows.retain(|fingerprint, _| wanted.contains(fingerprint));
        slab
    }
}
