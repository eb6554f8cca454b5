//! Who has which index, from generation to generation, and what the rows of its tables have been through.

use super::error::{AdoptError, Resource};
use super::history::History;
use super::record::{PoolRecord, Record, TableRecord, Tier};
use super::sizes::Sizes;
use super::slab::Slab;
use lb_common::abi::{ACCESS_POLICIES, MAX_LOG2_ROWS};
use lb_common::row::MAX_INDEX;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

/// The record, the past of its tables, and the sizes of the maps that its indices must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    record: Record,
    histories: BTreeMap<u32, History>,
    /// Backends whose entries are in the maps and do not serve.
    resting: BTreeSet<u16>,
    /// Rows that forgot an owner that serves, since this was last asked.
    forgot: u64,
    sizes: Sizes,
}

impl Ledger {
    /// Of maps that hold nothing yet.
    pub fn new(sizes: Sizes) -> Self {
        Self {
            record: Record::default(),
            histories: BTreeMap::new(),
            resting: BTreeSet::new(),
            forgot: 0,
            sizes,
        }
    }

    /// Continues where another agent ended, with what `maps` hold of it: the tables that they name, whether or
    /// not the record was a step ahead of them. Other tables are forgotten: to be called once no packet is under
    /// way that began before. Services, pools and backends in quarantine stay there until released.
    ///
    /// # Errors
    /// [`AdoptError`] if the record does not fit the maps or contradicts itself. The maps are to be made anew
    /// then: indices given out without their record might still mean something else in them.
    pub fn adopt(record: Record, sizes: Sizes, maps: &impl Held, now: u64) -> Result<Self, AdoptError> {
        check(&record, &sizes)?;
        let mut ledger = Self { record, ..Self::new(sizes) };
        let named = ledger.name_as_held(maps);
        ledger.record.tables.retain(|index, _| named.contains(index));
        for (index, table) in &mut ledger.record.tables {
            table.gone = None;
            let rows = |base| maps.rows(base, 1 << table.log2_rows);
            let history = History::adopt(&rows(table.current), rows(table.stable).into(), now);
            let earlier = table.earlier.map(|base| rows(base).into());
            ledger.histories.insert(*index, history.adopt_earlier(earlier));
        }
        let backends = ledger.record.pools.values().flat_map(|pool| pool.backends.values());
        ledger.resting = backends.map(|backend| backend.index).filter(|index| maps.rests(*index)).collect();
        Ok(ledger)
    }

    /// Lets pools and services have the tables that the maps give them, and returns those tables.
    fn name_as_held(&mut self, maps: &impl Held) -> BTreeSet<u32> {
        let Record { pools, services, tables, .. } = &mut self.record;
        for pool in pools.values_mut().filter(|pool| pool.gone.is_none()) {
            pool.table = maps.pool_table(pool.index).filter(|table| tables.contains_key(table)).unwrap_or(0);
        }
        for service in services.values_mut().filter(|service| service.gone.is_none()) {
            let (table, pool) = maps.selection(service.index);
            service.table = table.filter(|table| tables.contains_key(table)).unwrap_or(0);
            service.pool = pool;
        }
        let of_pools = pools.values().filter(|pool| pool.gone.is_none()).map(|pool| pool.table);
        let of_services =
            services.values().filter(|service| service.gone.is_none()).map(|service| service.table);
        of_pools.chain(of_services).filter(|table| *table != 0).collect()
    }

    /// What is to be kept beside the maps.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Sizes of the maps.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// What the rows of the tables in force have been through, by the tables' indices.
    pub fn histories(&self) -> &BTreeMap<u32, History> {
        &self.histories
    }

    /// When the next row stops MOVING, after a `window` (milliseconds); `None`: no row moves.
    pub fn next_expiry(&self, window: u64) -> Option<u64> {
        self.histories.values().filter_map(|history| history.next_expiry(window)).min()
    }

    /// When the owners that a table announces take its rows, after a `delay` (milliseconds); `None`: none does.
    pub fn next_roll(&self, delay: u64) -> Option<u64> {
        let in_force = self.record.tables.values().filter(|table| table.gone.is_none());
        in_force.filter_map(|table| Some(table.next?.since.saturating_add(delay))).min()
    }

    /// Whether connections may be recorded or looked up: a row is not clean, or the owner of one does not serve.
    pub fn records(&self) -> bool {
        !self.resting.is_empty() || self.histories.values().any(|history| !history.is_clean())
    }

    /// Rows of services that track by chain that forgot an owner that serves, for three others came after it; since this
    /// was asked before.
    pub fn take_forgot(&mut self) -> u64 {
        std::mem::take(&mut self.forgot)
    }

    /// Whether a service or a backend is in quarantine.
    pub fn has_quarantine(&self) -> bool {
        let mut pools = self.record.pools.values();
        self.record.services.values().any(|service| service.gone.is_some())
            || pools
                .any(|pool| pool.gone.is_some() || pool.backends.values().any(|known| known.gone.is_some()))
    }

    /// A backend was marked in the maps as not serving.
    pub fn rest(&mut self, backend: u16) {
        self.resting.insert(backend);
    }

    /// Ends the quarantine of the tables that `generation`, or one before it, no longer named. To be called
    /// once that generation is applied and its grace is over.
    pub fn release_tables(&mut self, generation: u32) {
        self.record.tables.retain(|_, table| stays(table.gone, generation));
    }

    /// Ends the quarantine of the access policies that `generation`, or one before it, no longer named. To be
    /// called once that generation is applied, its grace is over, and their prefixes are taken away.
    pub fn release_access(&mut self, generation: u32) {
        self.record.access.retain(|_, policy| stays(policy.gone, generation));
    }

    /// Ends the quarantine of services, pools and backends that `generation`, or one before it, no longer
    /// named. To be called once a sweep that began after its grace has found no connection that names them.
    pub fn release_names(&mut self, generation: u32) {
        self.record.services.retain(|_, service| stays(service.gone, generation));
        self.record.pools.retain(|_, pool| {
            pool.backends.retain(|_, backend| stays(backend.gone, generation));
            stays(pool.gone, generation)
        });
    }

    /// RESIDUE rows become CLEAN that have been so since `before` (milliseconds), whose owner serves, and of
    /// which `is_held` (table, row) says nothing: no connection is recorded that needs them.
    pub fn settle(&mut self, before: u64, is_held: impl Fn(u32, u32) -> bool) {
        let Self { record, histories, resting, .. } = self;
        for (index, history) in histories.iter_mut().filter(|(_, history)| !history.is_clean()) {
            let nodes = record.tables.get(index).is_some_and(|table| table.tier == Tier::Node);
            let rests =
                |owner: u32| nodes && u16::try_from(owner).is_ok_and(|owner| resting.contains(&owner));
            history.settle(before, |number, row| is_held(*index, number) || rests(row.index()));
        }
    }

    /// Rows forget earlier owners that have no connections: backends for which `is_idle`, by pool and address, and pools
    /// of such alone. Not where owners are announced, for the next has none yet. Returns whether any did, which the next
    /// compilation puts in force.
    pub fn overlook(&mut self, is_idle: impl Fn(&str, &IpAddr) -> bool) -> bool {
        let Self { record, histories, .. } = self;
        let (mut idle, mut pools, mut found) = (BTreeSet::new(), BTreeSet::new(), false);
        for (name, pool) in &record.pools {
            let backends = pool.backends.iter().filter(|(address, _)| is_idle(name, address));
            let backends: Vec<_> = backends.map(|(_, backend)| u32::from(backend.index)).collect();
            if backends.len() == pool.backends.len() {
                pools.insert(u32::from(pool.index));
            }
            idle.extend(backends);
        }
        for (index, table) in record.tables.iter().filter(|(_, table)| table.next.is_none()) {
            let owners = if table.tier == Tier::Cluster { &pools } else { &idle };
            let has_none = |owner: u32| owners.contains(&owner);
            if let Some(history) = histories.get_mut(index).filter(|history| history.remembers(has_none)) {
                history.overlook(has_none);
                found = true;
            }
        }
        found
    }

    /// What rows become without anything being changed: MOVING ones whose window is over become RESIDUE, as do
    /// the rows of backends that begin to serve; names that are gone are nobody's stable owner.
    pub(super) fn age(
        &self,
        record: &Record,
        serving: &BTreeSet<u16>,
        now: u64,
        window: u64,
    ) -> BTreeMap<u32, History> {
        let mut histories = self.histories.clone();
        let live = Live::of(record);
        for (index, history) in histories.iter_mut().filter(|(_, history)| history.has_past()) {
            history.expire(now, window);
            match self.record.tables.get(index).map(|table| table.tier) {
                Some(tier) => history.forget(|owner| live.lacks(tier, owner)),
                None => history.forget(|owner| live.lacks(Tier::Node, owner)),
            }
        }
        for pool in self.record.pools.values() {
            let returning = pool.backends.values().map(|backend| backend.index);
            let returning = returning.filter(|index| self.resting.contains(index) && serving.contains(index));
            for backend in returning {
                if let Some(history) = histories.get_mut(&pool.table) {
                    history.rouse(backend, now);
                }
            }
        }
        histories
    }

    pub(super) fn advance(
        &mut self,
        record: Record,
        histories: BTreeMap<u32, History>,
        resting: BTreeSet<u16>,
        forgot: usize,
    ) {
        (self.record, self.histories, self.resting) = (record, histories, resting);
        self.forgot += forgot as u64;
    }
}

/// What a ledger asks of the maps that it adopts.
pub trait Held {
    /// Table of a pool; `None`: it has none.
    fn pool_table(&self, pool: u16) -> Option<u32>;
    /// Cluster table of a service, or its only pool.
    fn selection(&self, service: u32) -> (Option<u32>, Option<u16>);
    /// `count` rows from `base` on.
    fn rows(&self, base: u32, count: u32) -> Vec<lb_common::row::Row>;
    /// Whether a backend's entry is there and does not serve.
    fn rests(&self, backend: u16) -> bool;
}

/// Which indices may own rows. Asked for every row of a table: so by position, not by hash.
pub(super) struct Live {
    pools: Vec<bool>,
    backends: Vec<bool>,
}

impl Live {
    /// Those that are not in quarantine.
    pub(super) fn of(record: &Record) -> Self {
        let pools = || record.pools.values().filter(|pool| pool.gone.is_none());
        let backends = pools().flat_map(|pool| pool.backends.values());
        let backends = backends.filter(|backend| backend.gone.is_none());
        Self {
            pools: marked(pools().map(|pool| pool.index)),
            backends: marked(backends.map(|one| one.index)),
        }
    }

    /// Those of which packets can go somewhere: backends that serve, and pools with one.
    pub(super) fn serving(record: &Record, serving: &BTreeSet<u16>) -> Self {
        let serves = |pool: &PoolRecord| pool.backends.values().any(|one| serving.contains(&one.index));
        let pools = record.pools.values().filter(|pool| serves(pool));
        Self { pools: marked(pools.map(|pool| pool.index)), backends: marked(serving.iter().copied()) }
    }

    /// Whether an owner of rows in a table of this tier is none of them.
    pub(super) fn lacks(&self, tier: Tier, owner: u32) -> bool {
        let live = if tier == Tier::Cluster { &self.pools } else { &self.backends };
        !live.get(owner as usize).copied().unwrap_or(false)
    }
}

fn marked(indices: impl Iterator<Item = u16>) -> Vec<bool> {
    let mut marked = vec![false; usize::from(MAX_INDEX) + 1];
    for index in indices {
        if let Some(mark) = marked.get_mut(usize::from(index)) {
            *mark = true;
        }
    }
    marked
}

fn stays(gone: Option<u32>, generation: u32) -> bool {
    gone.is_none_or(|gone| gone > generation)
}

fn check(record: &Record, sizes: &Sizes) -> Result<(), AdoptError> {
    let services = record.services.values().map(|service| service.index);
    distinct(Resource::Services, services, sizes.services)?;
    distinct(Resource::Pools, record.pools.values().map(|pool| pool.index.into()), sizes.pools)?;
    let backends = record.pools.values().flat_map(|pool| pool.backends.values());
    distinct(Resource::Backends, backends.map(|backend| backend.index.into()), sizes.backends)?;
    distinct(Resource::Tables, record.tables.keys().copied(), sizes.tables)?;
    distinct(Resource::AccessPolicies, record.access.keys().copied(), ACCESS_POLICIES)?;
    let mut slab = Slab::new(sizes.rows);
    record.tables.values().try_for_each(|table| occupy(&mut slab, table))
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
