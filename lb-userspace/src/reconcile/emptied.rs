//! What sends packets somewhere as yet and, in the image, has nowhere to send them.
//!
//! Such pools and services change last: as long as an older service or VIP entry leads to them, a flow that
//! has a place both before and after must not meet the emptiness in between. (One gap remains: a VIP that moves
//! from one service to another, or a hash key that changes, in the very plan in which a service that fails open
//! over several pools can reach only some.)

use super::KernelView;
use super::diff::read;
use crate::compile::MapImage;
use lb_common::abi::{
    Control, NO_BACKEND, PoolEntry, PortRanges, Selector, VipBucket, VipSlot, VipTable, map,
};
use std::collections::{BTreeMap, BTreeSet};

/// Indices of pools and services.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    /// Pools with a table in the kernel and no backend that serves in the image.
    pub(super) pools: BTreeSet<u32>,
    /// Services that the kernel's VIP table names and that, in the image, come to no pool with a backend.
    pub(super) services: BTreeSet<u32>,
}

impl Emptied {
    /// Compares the image with what the kernel holds.
    pub(super) fn of(image: &MapImage, kernel: &impl KernelView) -> Self {
        let hollow: BTreeSet<_> = image
            .pools
            .iter()
            .filter(|(_, pool)| pool.spare == NO_BACKEND)
            .map(|(index, _)| *index)
            .collect();
        let sends = |index: &u32| read::<PoolEntry>(kernel, map::POOLS, *index).table != 0;
        let pools = hollow.iter().copied().filter(sends).collect();
        let mut services = hollow_services(image, &hollow);
        if !services.is_empty() {
            let named = named(kernel);
            services.retain(|index| named.contains(index));
        }
        Self { pools, services }
    }
}

fn hollow_services(image: &MapImage, hollow: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut tables = BTreeMap::new();
    let mut leads_nowhere = |select: Selector| match select.single_pool() {
        Some(pool) => hollow.contains(&pool),
        None => *tables.entry(select.table()).or_insert_with_key(|table| only(image, *table, hollow)),
    };
    let services = image.services.iter().filter(|(_, service)| leads_nowhere(service.select));
    services.map(|(index, _)| *index).collect()
}

/// Whether a cluster table has rows of these pools only, or is not there.
fn only(image: &MapImage, table: u32, pools: &BTreeSet<u32>) -> bool {
    let rows = image.tables.get(&table).and_then(|table| image.slab.get(&table.current));
    rows.is_none_or(|rows| rows.iter().all(|row| pools.contains(&row.index())))
}

/// Services that the VIP table in force names.
fn named(kernel: &impl KernelView) -> BTreeSet<u32> {
    let table = read::<Control>(kernel, map::CONTROL, 0).vips;
    let buckets =
        (0..1 << table.log2()).map(|bucket| read::<VipBucket>(kernel, map::VIPS, table.base() + bucket));
    let slots = buckets.flat_map(|bucket| bucket.slots);
    // The slot of an empty place or of an address as such has no protocol, and names no service.
    let ports = slots.filter(|slot| slot.key.protocol() != 0);
    ports.flat_map(|slot| services(&slot, table, kernel)).collect()
}

fn services(slot: &VipSlot, table: VipTable, kernel: &impl KernelView) -> Vec<u32> {
    if !slot.key.is_of_ranges() {
        return vec![slot.service];
    }
    let line: PortRanges = read(kernel, map::PORT_RANGES, PortRanges::index(slot.service, table));
    line.services().collect()
}
