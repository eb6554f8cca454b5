//! Who has which index, from generation to generation.

use super::error::{AdoptError, Resource};
use super::record::{Record, TableRecord};
use super::sizes::Sizes;
use super::slab::Slab;
use std::collections::HashSet;

/// Log2 of the rows of the largest table.
const MAX_LOG2_ROWS: u32 = 20;

/// The record, and the sizes of the maps that its indices must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    record: Record,
    sizes: Sizes,
}

impl Ledger {
    /// Of maps that hold nothing yet.
    pub fn new(sizes: Sizes) -> Self {
        Self { record: Record::default(), sizes }
    }

    /// Continues where another agent ended. Whatever it left in quarantine stays there until released.
    ///
    /// # Errors
    /// [`AdoptError`] if the record does not fit the maps or contradicts itself. The maps are to be made anew
    /// then: indices given out without their record might still mean something else in them.
    pub fn adopt(record: Record, sizes: Sizes) -> Result<Self, AdoptError> {
        let services = record.services.values().map(|service| service.index);
        distinct(Resource::Services, services, sizes.services)?;
        distinct(Resource::Pools, record.pools.values().map(|pool| pool.index.into()), sizes.pools)?;
        let backends = record.pools.values().flat_map(|pool| pool.backends.values());
        distinct(Resource::Backends, backends.map(|backend| backend.index.into()), sizes.backends)?;
        distinct(Resource::Tables, record.tables.keys().copied(), sizes.tables)?;
        let mut slab = Slab::new(sizes.rows);
        record.tables.values().try_for_each(|table| occupy(&mut slab, table))?;
        Ok(Self { record, sizes })
    }

    /// What is to be kept beside the maps.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Sizes of the maps.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Ends the quarantine of all that `generation`, or one before it, no longer named. To be called once
    /// that generation is applied, its grace is over, and no recorded connection names the old indices.
    pub fn release(&mut self, generation: u32) {
        let stays = |gone: Option<u32>| gone.is_none_or(|gone| gone > generation);
        self.record.services.retain(|_, service| stays(service.gone));
        self.record.tables.retain(|_, table| stays(table.gone));
        self.record.pools.retain(|_, pool| {
            pool.backends.retain(|_, backend| stays(backend.gone));
            stays(pool.gone)
        });
    }

    pub(super) fn advance(&mut self, record: Record) {
        self.record = record;
    }
}

fn distinct(resource: Resource, indices: impl Iterator<Item = u32>, limit: u32) -> Result<(), AdoptError> {
    let mut seen = HashSet::new();
    for index in indices {
        if index >= limit {
            return Err(AdoptError::OutOfRange { resource, index: index.into(), limit: limit.into() });
        }
        if !seen.insert(index) {
            return Err(AdoptError::Twice { resource, index: index.into() });
        }
    }
    Ok(())
}

fn occupy(slab: &mut Slab, table: &TableRecord) -> Result<(), AdoptError> {
    let resource = Resource::Rows;
    let limit = u64::from(slab.rows());
    for base in table.regions() {
        let end = u64::from(base) + (1_u64 << table.log2_rows.min(MAX_LOG2_ROWS + 1));
        if table.log2_rows > MAX_LOG2_ROWS || base % 4 != 0 || end > limit {
            return Err(AdoptError::OutOfRange { resource, index: end, limit });
        }
        if !slab.occupy(base, 1 << table.log2_rows) {
            return Err(AdoptError::Twice { resource, index: base.into() });
        }
    }
    Ok(())
}
