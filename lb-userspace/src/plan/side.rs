//! The tables of one world, and who owns their rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::flow::CLUSTER_ROWS;
use lb_common::row::Row;

use super::World;
use crate::compile::{Cache, CompileError, Ledger, MapImage, Record, compile};
use crate::config::model::Service;
use crate::policy;
use crate::policy::desired::{Desired, MemberState, Reach};

/// A world and its tables.
pub(super) struct Side<'a> {
    pub(super) world: &'a World,
    image: MapImage,
    record: Record,
    /// By index; `None`: nobody has it in this world.
    ends: Vec<Option<End>>,
    /// Addresses of ends that are alive.
    living: HashSet<IpAddr>,
    names: BTreeMap<u16, &'a str>,
    services: HashMap<&'a str, &'a Service>,
    /// Of pools, by their names.
    clusters: HashMap<&'a str, &'a str>,
}

/// An endpoint of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) address: IpAddr,
    /// Packets reach it, and it answers.
    pub(super) alive: bool,
}

/// Who has a service's cluster rows: indices of pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picks {
    Nobody,
    Only(u16),
    Table(Arc<[Row]>),
}

impl Picks {
    /// Owners of all rows, in their order.
    pub(super) fn owners(&self) -> Vec<Option<u16>> {
        match self {
            Self::Nobody => vec![None; CLUSTER_ROWS as usize],
            Self::Only(pool) => vec![Some(*pool); CLUSTER_ROWS as usize],
            Self::Table(rows) => rows.iter().map(|row| u16::try_from(row.index()).ok()).collect(),
        }
    }
}

impl<'a> Side<'a> {
    /// The world's tables, as a generation that follows upon the ledger's. Owners that would be announced for a while are
    /// owners at once: what is asked is how it ends.
    pub(super) fn new(
        world: &'a World,
        ledger: &mut Ledger,
        cache: &mut Cache,
    ) -> Result<Self, CompileError> {
        let decision = policy::decide_after(&world.memory, &world.config, &world.observed, world.now);
        let desired = Desired { roll_delay: 0, ..decision.desired };
        let image = compile(&desired, ledger, cache, 0)?;
        let record = ledger.record().clone();
        let (ends, names) = (ends(&desired, &record, world), names(world, &record));
        let services = world.config.services.iter().map(|service| (service.name.as_str(), service)).collect();
        let pools = world.config.pools.iter();
        let clusters = pools.map(|pool| (pool.name.as_str(), pool.cluster.as_str())).collect();
        let living = ends.iter().flatten().filter(|end| end.alive).map(|end| end.address).collect();
        Ok(Self { world, image, record, ends, living, names, services, clusters })
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &'a Service> {
        self.world.config.services.iter()
    }

    pub(super) fn service(&self, name: &str) -> Option<&'a Service> {
        self.services.get(name).copied()
    }

    pub(super) fn pool_name(&self, index: u16) -> &'a str {
        self.names.get(&index).copied().unwrap_or_default()
    }

    /// Name of a pool's cluster.
    pub(super) fn cluster(&self, pool: &str) -> Option<&'a str> {
        self.clusters.get(pool).copied()
    }

    pub(super) fn picks(&self, service: &str) -> Picks {
        let Some(record) = self.record.services.get(service).filter(|record| record.gone.is_none()) else {
            return Picks::Nobody;
        };
        match (record.pool, self.rows(record.table)) {
            (Some(pool), _) => Picks::Only(pool),
            (None, Some(rows)) => Picks::Table(rows.clone()),
            (None, None) => Picks::Nobody,
        }
    }

    /// The rows of a pool's node table: indices of backends.
    pub(super) fn nodes(&self, pool: u16) -> Option<&Arc<[Row]>> {
        self.image.pools.get(&u32::from(pool)).and_then(|pool| self.rows(pool.table))
    }

    pub(super) fn end(&self, backend: Row) -> Option<End> {
        self.ends.get(backend.index() as usize).copied().flatten()
    }

    /// Whether somebody at an address serves.
    pub(super) fn serves(&self, address: IpAddr) -> bool {
        self.living.contains(&address)
    }

    fn rows(&self, table: u32) -> Option<&Arc<[Row]>> {
        self.image.tables.get(&table).and_then(|table| self.image.slab.get(&table.current))
    }
}

fn ends(desired: &Desired, record: &Record, world: &World) -> Vec<Option<End>> {
    let mut ends = Vec::new();
    for pool in &desired.pools {
        let Some(known) = record.pools.get(&pool.name) else { continue };
        for member in &pool.members {
            let Some(backend) = known.backends.get(&member.address) else { continue };
            let index = usize::from(backend.index);
            ends.resize(ends.len().max(index + 1), None);
            let failed = world.failed.contains(&(pool.name.clone(), member.address));
            let reached = member.state != MemberState::Down && member.reach != Reach::Unresolved;
            ends[index] = Some(End { address: member.address, alive: reached && !failed });
        }
    }
    ends
}

fn names<'a>(world: &'a World, record: &Record) -> BTreeMap<u16, &'a str> {
    let pools = world.config.pools.iter();
    pools.filter_map(|pool| Some((record.pools.get(&pool.name)?.index, pool.name.as_str()))).collect()
}
