//! Which table lies where. A table that stands keeps its place while the same contend for it; when others do,
//! its successor takes over what its rows have been through.

use super::error::{CompileError, Resource};
use super::history::History;
use super::identity::{Free, fits};
use super::ledger::Live;
use super::record::{Next, Record, TableRecord, Tier};
use super::rendezvous::Rendezvous;
use super::sizes::Sizes;
use super::slab::Slab;
use lb_common::abi::EARLIER;
use lb_common::flow::CLUSTER_ROWS;
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

/// What flows were sent by until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Before {
    /// Nothing, or it does not matter.
    Nothing,
    /// A service's only pool.
    Pool(u16),
    /// A table.
    Table(u32),
}

/// Who contends for a table's rows.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) tier: Tier,
    /// Names the contenders.
    pub(super) fingerprint: u64,
    /// Log2 of the number of rows.
    pub(super) log2_rows: u32,
    /// Whether its rows are to remember their earlier owners.
    pub(super) chain: bool,
}

/// Who can own rows of a generation.
pub(super) struct Owners {
    /// Who is in it.
    pub(super) live: Live,
    /// Of whom packets can go somewhere.
    pub(super) serving: Live,
}

impl Owners {
    /// Whether packets can go by these rows for a while before they go by those.
    fn may_wait(&self, tier: Tier, rows: &[Row], owners: &[Row]) -> bool {
        rows.len() == owners.len() && !rows.iter().any(|row| self.serving.lacks(tier, row.index()))
    }
}

/// The tables of the generation that is being made.
pub(super) struct Book<'a> {
    old: &'a BTreeMap<u32, TableRecord>,
    past: &'a BTreeMap<u32, History>,
    owners: Owners,
    /// How long other owners are announced where rows remember them, in milliseconds; 0: they are so at once.
    delay: u64,
    /// Rows that forgot an owner that serves.
    forgot: usize,
    /// Tables of the old record that are in force, by the names of their contenders.
    known: HashMap<u64, u32>,
    made: HashMap<(Before, u64, bool), u32>,
    in_force: BTreeMap<u32, TableRecord>,
    histories: BTreeMap<u32, History>,
    free: Free,
    slab: Slab,
    sizes: Sizes,
    generation: u32,
    now: u64,
}

impl<'a> Book<'a> {
    /// Begins with the tables of the old record and what became of their rows by `now`; none is in force yet. Other owners
    /// are announced for `delay` milliseconds.
    pub(super) fn new(
        old: &'a Record,
        (owners, delay): (Owners, u64),
        past: &'a BTreeMap<u32, History>,
        generation: u32,
        sizes: &Sizes,
        now: u64,
    ) -> Self {
        let mut slab = Slab::new(sizes.rows);
        for table in old.tables.values() {
            table.regions().for_each(|base| _ = slab.occupy(base, 1 << table.log2_rows));
        }
        Self {
            old: &old.tables,
            past,
            owners,
            delay,
            forgot: 0,
            known: old
                .tables
                .iter()
                .filter(|(_, table)| table.gone.is_none())
                .map(|(index, table)| (table.fingerprint, *index))
                .collect(),
            made: HashMap::new(),
            in_force: BTreeMap::new(),
            histories: BTreeMap::new(),
            free: Free::new(1, old.tables.keys().copied()),
            slab,
            sizes: *sizes,
            generation,
            now,
        }
    }

    /// Whether flows can be sent to `pool` alone without a table: there is nothing else to remember.
    pub(super) fn is_settled(&self, before: Before, pool: u16) -> bool {
        match before {
            Before::Nothing => true,
            Before::Pool(only) => only == pool,
            Before::Table(index) => self.past.get(&index).is_none_or(|history| history.is_settled_on(pool)),
        }
    }

    /// Index of the table of these contenders, which follows upon `before`. `build` says who owns its rows, if
    /// nobody knows yet.
    ///
    /// # Errors
    /// [`CompileError`] if it finds no index or no rows.
    pub(super) fn table(
        &mut self,
        cache: &mut Cache,
        before: Before,
        wanted: &Wanted,
        build: impl FnOnce(&mut Rendezvous) -> Vec<Row>,
    ) -> Result<u32, CompileError> {
        let owners = cache.rows(wanted.fingerprint, build);
        if let Some(index) = self.standing(before, wanted, &owners) {
            self.keep(index, owners, None);
            return Ok(index);
        }
        if let Some(index) = self.made.get(&(before, wanted.fingerprint, wanted.chain)) {
            return Ok(*index);
        }
        if let Some(index) = self.announce(before, wanted, &owners)? {
            self.made.insert((before, wanted.fingerprint, wanted.chain), index);
            return Ok(index);
        }
        let history = self.succeed(before, &owners);
        let history = if wanted.chain { self.remember(before, wanted.tier, history) } else { history };
        let index = self.make(history, wanted, None)?;
        self.made.insert((before, wanted.fingerprint, wanted.chain), index);
        Ok(index)
    }

    /// The table in force that goes on: of the same contenders, and of the size that is wanted, or not yet.
    fn standing(&self, before: Before, wanted: &Wanted, owners: &Arc<[Row]>) -> Option<u32> {
        let index = match before {
            Before::Table(index) if self.past.contains_key(&index) => index,
            Before::Pool(_) => return None,
            Before::Nothing | Before::Table(_) => *self.known.get(&wanted.fingerprint)?,
        };
        let (table, history) = (self.old.get(&index)?, self.past.get(&index)?);
        let fits = table.log2_rows == wanted.log2_rows || history.has_past();
        let same = table.gone.is_none() && table.fingerprint == wanted.fingerprint && fits;
        (same && history.is_owned_by(owners)).then_some(index)
    }

    /// The table that flows are sent by until the owners that are wanted were announced for long enough. `None`: they were,
    /// or nobody waits for them.
    ///
    /// Errors: as [`Self::table`].
    fn announce(
        &mut self,
        before: Before,
        wanted: &Wanted,
        owners: &Arc<[Row]>,
    ) -> Result<Option<u32>, CompileError> {
        let (old, delay) = (self.old, self.delay);
        if delay == 0 {
            return Ok(None);
        }
        let (table, history) = match before {
            Before::Table(index) => (old.get(&index), self.past.get(&index).cloned()),
            Before::Pool(pool) => (None, Some(History::uniform(pool, CLUSTER_ROWS as usize))),
            Before::Nothing => (None, None),
        };
        let may_wait =
            |history: &History| wanted.chain && self.owners.may_wait(wanted.tier, history.rows(), owners);
        let Some(history) = history.filter(may_wait) else { return Ok(None) };
        let known = table.and_then(|table| table.next).filter(|next| next.fingerprint == wanted.fingerprint);
        match (known, before) {
            (Some(next), _) if next.since.saturating_add(delay) <= self.now => Ok(None),
            (Some(next), Before::Table(index)) => {
                self.keep(index, history.rows().clone(), Some(next));
                Ok(Some(index))
            }
            _ => {
                let next = Next { fingerprint: wanted.fingerprint, since: self.now };
                // Named as the table that it goes on from, or as none that anybody will ever want.
                let fingerprint = table.map_or(0, |table| table.fingerprint);
                let wanted = Wanted { fingerprint, ..*wanted };
                self.make(history.announce(owners), &wanted, Some(next)).map(Some)
            }
        }
    }

    fn succeed(&self, before: Before, owners: &Arc<[Row]>) -> History {
        match before {
            Before::Nothing => History::clean(owners.clone()),
            Before::Pool(pool) => History::uniform(pool, CLUSTER_ROWS as usize).advance(owners, self.now),
            Before::Table(index) => match self.past.get(&index) {
                // Of another size: that is all that is left of its past.
                Some(history) if !history.has_past() && history.is_owned_by(owners) => {
                    History::clean(owners.clone())
                }
                Some(history) => history.advance(owners, self.now),
                None => History::clean(owners.clone()),
            },
        }
    }

    /// With the earlier owners of its rows; who owned one until now may be no more.
    fn remember(&mut self, before: Before, tier: Tier, history: History) -> History {
        let past = match before {
            Before::Nothing => return history,
            Before::Pool(pool) => &History::uniform(pool, CLUSTER_ROWS as usize),
            Before::Table(index) => match self.past.get(&index) {
                Some(past) => past,
                None => return history,
            },
        };
        let mut history = history.remember(past);
        self.forgot += history.forgot(past, |owner| !self.owners.serving.lacks(tier, owner));
        history.forget(|owner| self.owners.live.lacks(tier, owner));
        history
    }

    fn keep(&mut self, index: u32, owners: Arc<[Row]>, next: Option<Next>) {
        if let (Some(table), Some(history)) = (self.old.get(&index), self.past.get(&index)) {
            let same = owners.len() == history.rows().len();
            let history =
                if history.is_clean() && same { history.clone().of_owners(owners) } else { history.clone() };
            // Nobody looks at the others any more: their rows are free in the next generation.
            let stable = if history.stable().is_some() { table.stable } else { table.current };
            let earlier = if history.earlier().is_some() { table.earlier } else { [table.current; EARLIER] };
            self.in_force.insert(index, TableRecord { stable, earlier, next, ..*table });
            self.histories.insert(index, history);
        }
    }

    fn make(&mut self, history: History, wanted: &Wanted, next: Option<Next>) -> Result<u32, CompileError> {
        fits(Resource::Tables, self.old.len() + self.made.len() + 2, self.sizes.tables)?;
        let rows = history.rows().len();
        let current = self.region(rows)?;
        let stable = if history.stable().is_some() { self.region(rows)? } else { current };
        let mut earlier = [current; EARLIER];
        if history.earlier().is_some() {
            for base in &mut earlier {
                *base = self.region(rows)?;
            }
        }
        let index = self.free.take();
        let table = TableRecord {
            tier: wanted.tier,
            fingerprint: wanted.fingerprint,
            log2_rows: rows.ilog2(),
            current,
            stable,
            earlier,
            generation: self.generation,
            gone: None,
            next,
        };
        self.in_force.insert(index, table);
        self.histories.insert(index, history);
        Ok(index)
    }

    fn region(&mut self, rows: usize) -> Result<u32, CompileError> {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let (needed, limit) = (self.slab.used() + u64::from(rows), self.slab.rows());
        if needed > u64::from(limit) {
            return Err(CompileError::Full { resource: Resource::Rows, needed, limit: limit.into() });
        }
        self.slab.take(rows).ok_or(CompileError::Fragmented { rows, limit })
    }

    /// The generation's tables.
    pub(super) fn close(self) -> Tables {
        let mut all = self.in_force.clone();
        for (index, known) in self.old {
            let leave = || TableRecord { gone: known.gone.or(Some(self.generation)), ..*known };
            all.entry(*index).or_insert_with(leave);
        }
        Tables { in_force: self.in_force, all, histories: self.histories, forgot: self.forgot }
    }
}

/// The tables of a generation.
pub(super) struct Tables {
    pub(super) in_force: BTreeMap<u32, TableRecord>,
    /// With those in quarantine.
    pub(super) all: BTreeMap<u32, TableRecord>,
    /// Of those in force.
    pub(super) histories: BTreeMap<u32, History>,
    /// Rows that forgot an owner that serves.
    pub(super) forgot: usize,
}

impl Tables {
    /// Regions of the slab by first row.
    pub(super) fn slab(&self) -> BTreeMap<u32, Arc<[Row]>> {
        let regions = self.in_force.iter().filter_map(|(index, table)| {
            let history = self.histories.get(index)?;
            let stable = history.stable().filter(|_| table.stable != table.current);
            let stable = stable.map(|rows| (table.stable, rows.clone()));
            let earlier = history.earlier().filter(|_| table.earlier[0] != table.current);
            let [newer, older] =
                [0, 1].map(|at| earlier.map(|all| (table.earlier[at], all.rows()[at].clone())));
            Some([Some((table.current, history.marked())), stable, newer, older])
        });
        regions.flatten().flatten().collect()
    }
}

impl Cache {
    fn rows(&mut self, fingerprint: u64, build: impl FnOnce(&mut Rendezvous) -> Vec<Row>) -> Arc<[Row]> {
        if let Some(rows) = self.rows.get(&fingerprint) {
            return rows.clone();
        }
        let rows: Arc<[Row]> = build(&mut self.rendezvous).into();
        self.rows.insert(fingerprint, rows.clone());
        rows
    }

    /// Forgets the rows of tables that are not in force, and clusters that are not `known`.
    pub(super) fn settle(&mut self, in_force: &BTreeMap<u32, TableRecord>, known: impl Fn(&str) -> bool) {
        self.rendezvous.retain(known);
        let wanted: HashSet<_> = in_force.values().map(|table| table.fingerprint).collect();
        self.rows.retain(|fingerprint, _| wanted.contains(fingerprint));
    }
}
