//! Who has which index in the next generation: names that stay keep theirs, new ones get the lowest that
//! nobody has or had, names that go are kept in quarantine.

use super::error::{CompileError, Resource};
use super::record::{
    AccessRecord, BackendRecord, ClusterRecord, PoolRecord, PortRecord, Record, ServiceRecord, ShareRecord,
};
use super::sizes::Sizes;
use crate::config::model::ServicePort;
use crate::policy::desired::{Desired, Member, Pool, Service};
use lb_common::abi::ACCESS_POLICIES;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// The record of `generation`, but for its tables.
///
/// # Errors
/// [`CompileError::Full`] if there are too many services, pools or backends.
pub(super) fn succeed(
    old: &Record,
    desired: &Desired,
    generation: u32,
    sizes: &Sizes,
) -> Result<Record, CompileError> {
    let clusters =
        desired.clusters.iter().map(|c| (c.name.clone(), ClusterRecord { state: c.state })).collect();
    let record = Record {
        generation,
        config_digest: desired.config_digest.clone(),
        clusters,
        services: services(old, desired, generation),
        pools: pools(old, desired, generation),
        tables: BTreeMap::new(),
        access: access(old, desired, generation),
    };
    let backends = record.pools.values().map(|pool| pool.backends.len()).sum();
    fits(Resource::Services, record.services.len(), sizes.services)?;
    fits(Resource::Pools, record.pools.len(), sizes.pools)?;
    fits(Resource::Backends, backends, sizes.backends)?;
    fits(Resource::AccessPolicies, record.access.len(), ACCESS_POLICIES - 1)?;
    Ok(record)
}

/// Whether `needed` entries fit; that they do is what lets every index be given out from below.
pub(super) fn fits(resource: Resource, needed: usize, limit: u32) -> Result<(), CompileError> {
    let (needed, limit) = (needed as u64, u64::from(limit));
    if needed > limit { Err(CompileError::Full { resource, needed, limit }) } else { Ok(()) }
}

/// Gives out the lowest numbers that are not in use.
pub(super) struct Free {
    used: HashSet<u32>,
    next: u32,
}

impl Free {
    /// Those from `first` on that are not `used`.
    pub(super) fn new(first: u32, used: impl Iterator<Item = u32>) -> Self {
        Self { used: used.collect(), next: first }
    }

    /// The next one.
    pub(super) fn take(&mut self) -> u32 {
        while self.used.contains(&self.next) {
            self.next += 1;
        }
        self.next += 1;
        self.next - 1
    }

    /// The next one as a row holds it. What exceeds a row exceeds [`Sizes`], and the record is refused.
    fn take_short(&mut self) -> u16 {
        u16::try_from(self.take()).unwrap_or(u16::MAX)
    }
}

fn services(old: &Record, desired: &Desired, generation: u32) -> BTreeMap<String, ServiceRecord> {
    let mut free = Free::new(0, old.services.values().map(|service| service.index));
    let mut records = BTreeMap::new();
    for service in &desired.services {
        let index = old.services.get(&service.name).map_or_else(|| free.take(), |known| known.index);
        records.insert(service.name.clone(), describe(service, index));
    }
    for (name, known) in &old.services {
        let leave = || ServiceRecord { gone: known.gone.or(Some(generation)), ..known.clone() };
        records.entry(name.clone()).or_insert_with(leave);
    }
    records
}

fn describe(service: &Service, index: u32) -> ServiceRecord {
    let port = |port: &ServicePort| {
        let ServicePort { name, protocol, port, last } = port.clone();
        PortRecord { name, protocol, port, last }
    };
    let share = |share: &crate::policy::desired::Share| ShareRecord {
        name: share.pool.clone(),
        cluster: share.cluster.clone(),
        weight: share.weight,
        priority: share.priority,
        health: share.health,
        panic: share.panic,
        hold: share.hold,
        ceiling: share.ceiling,
    };
    ServiceRecord {
        index,
        gone: None,
        vips: service.vips.iter().map(|vip| vip.address).collect(),
        ports: service.ports.iter().map(port).collect(),
        affinity: service.affinity,
        pools: service.shares.iter().map(share).collect(),
        access: service.access.clone(),
        tracking: service.tracking,
        table: 0,
        pool: None,
    }
}

/// A policy keeps its index as long as its prefixes stay what they are.
fn access(old: &Record, desired: &Desired, generation: u32) -> BTreeMap<u32, AccessRecord> {
    let mut free = Free::new(1, old.access.keys().copied());
    let mut records = BTreeMap::new();
    for policy in &desired.access {
        let record = AccessRecord {
            name: policy.name.clone(),
            fingerprint: policy.prefixes.fingerprint(),
            gone: None,
        };
        let known = old.access.iter().find(|(_, known)| **known == record);
        records.insert(known.map_or_else(|| free.take(), |(index, _)| *index), record);
    }
    for (index, known) in &old.access {
        let leave = || AccessRecord { gone: known.gone.or(Some(generation)), ..known.clone() };
        records.entry(*index).or_insert_with(leave);
    }
    records
}

fn pools(old: &Record, desired: &Desired, generation: u32) -> BTreeMap<String, PoolRecord> {
    let mut free = Free::new(0, old.pools.values().map(|pool| u32::from(pool.index)));
    let known_backends = old.pools.values().flat_map(|pool| pool.backends.values());
    let mut free_backends = Free::new(0, known_backends.map(|backend| u32::from(backend.index)));
    let mut records = BTreeMap::new();
    for pool in &desired.pools {
        let known = old.pools.get(&pool.name);
        let index = known.map_or_else(|| free.take_short(), |known| known.index);
        let mut record = PoolRecord {
            index,
            gone: None,
            cluster: pool.cluster.clone(),
            weight: pool.weight,
            panic: pool.panic,
            kept_out: pool.kept_out.clone(),
            table: 0,
            backends: backends(known, pool, &mut free_backends),
        };
        if let Some(known) = known {
            leave_backends(known, &mut record.backends, generation);
        }
        records.insert(pool.name.clone(), record);
    }
    for (name, known) in &old.pools {
        records.entry(name.clone()).or_insert_with(|| leave_pool(known, generation));
    }
    records
}

fn backends(known: Option<&PoolRecord>, pool: &Pool, free: &mut Free) -> BTreeMap<IpAddr, BackendRecord> {
    let record = |member: &Member| {
        let known = known.and_then(|pool| pool.backends.get(&member.address));
        let index = known.map_or_else(|| free.take_short(), |backend| backend.index);
        let Member { state, weight, tenths, changed_ms: last_change, .. } = *member;
        let reason = member.reason.clone();
        (member.address, BackendRecord { index, gone: None, state, weight, tenths, reason, last_change })
    };
    pool.members.iter().map(record).collect()
}

fn leave_pool(known: &PoolRecord, generation: u32) -> PoolRecord {
    let mut backends = BTreeMap::new();
    leave_backends(known, &mut backends, generation);
    PoolRecord { gone: known.gone.or(Some(generation)), backends, ..known.clone() }
}

fn leave_backends(known: &PoolRecord, records: &mut BTreeMap<IpAddr, BackendRecord>, generation: u32) {
    for (address, backend) in &known.backends {
        let leave = || BackendRecord { gone: backend.gone.or(Some(generation)), ..backend.clone() };
        records.entry(*address).or_insert_with(leave);
    }
}
