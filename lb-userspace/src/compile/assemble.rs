use super::entries;
use super::error::CompileError;
use super::identity;
use super::image::MapImage;
use super::ledger::Ledger;
use super::members::{Selection, select};
use super::record::{PoolRecord, Record, TableRecord};
use super::rows;
use super::tables::{Book, Cache};
use super::vips::Keys;
use crate::config::model::Protocol;
use crate::policy::desired::{Desired, Pool, Service};
use lb_common::abi::{Control, PoolEntry, Selector, TableEntry};
use std::collections::BTreeMap;

/// Compiles what should be served into the maps' content, and moves the ledger to the next generation. Its
/// number stays if no name, table or VIP changed. `cache` spares the building of tables that are known.
///
/// # Errors
/// [`CompileError`]; the ledger is unchanged then.
pub fn compile(desired: &Desired, ledger: &mut Ledger, cache: &mut Cache) -> Result<MapImage, CompileError> {
    let (old, sizes) = (ledger.record(), ledger.sizes());
    let generation = old.generation + 1;
    let record = identity::succeed(old, desired, generation, sizes)?;
    let image = outline(desired, &record, sizes.half_log2)?;
    let mut assembly = Assembly { record, image, book: Book::new(old, generation, sizes), cache };
    desired.pools.iter().try_for_each(|pool| assembly.pool(pool))?;
    desired.services.iter().try_for_each(|service| assembly.service(service))?;
    let (mut record, image) = assembly.close();
    if same(old, &record) {
        record.generation = old.generation;
    }
    let generation = record.generation;
    ledger.advance(record);
    Ok(MapImage { generation, ..image })
}

/// The image without services, pools and what they name.
fn outline(desired: &Desired, record: &Record, half_log2: u8) -> Result<MapImage, CompileError> {
    let mut keys = Keys::default();
    for service in &desired.services {
        let index = record.services[&service.name].index;
        for vip in &service.vips {
            keys.address(vip.address, vip.local);
            service
                .ports
                .iter()
                .for_each(|port| keys.port(vip.address, number(port.protocol), port.port, index));
        }
    }
    let (table, vips) = keys.place(half_log2)?;
    let (k0, k1) = desired.secret;
    Ok(MapImage {
        generation: 0,
        control: Control { vips: table, k0, k1, ..Control::default() },
        filter: keys.filter(),
        vips,
        services: BTreeMap::new(),
        pools: BTreeMap::new(),
        tables: BTreeMap::new(),
        slab: BTreeMap::new(),
        backends: BTreeMap::new(),
    })
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// A generation in the making.
struct Assembly<'a> {
    record: Record,
    image: MapImage,
    book: Book<'a>,
    cache: &'a mut Cache,
}

impl Assembly<'_> {
    fn pool(&mut self, pool: &Pool) -> Result<(), CompileError> {
        let selection = select(&pool.members);
        let Some(record) = self.record.pools.get_mut(&pool.name) else { return Ok(()) };
        let nodes = rows::nodes(pool, &selection, record);
        if !nodes.is_empty() {
            let (print, log2) = (rows::node_fingerprint(pool.rows, &nodes), pool.rows.ilog2());
            record.table =
                self.book.table(self.cache, print, log2, |_| rows::node_rows(pool.rows, &nodes))?;
        }
        backends(pool, record, &selection, &mut self.image);
        Ok(())
    }

    fn service(&mut self, service: &Service) -> Result<(), CompileError> {
        let select = self.select(service)?;
        let Some(record) = self.record.services.get_mut(&service.name) else { return Ok(()) };
        if select != Selector::NONE && select.single_pool().is_none() {
            record.table = select.table();
        }
        self.image.services.insert(record.index, entries::service(select, service.affinity));
        Ok(())
    }

    fn select(&mut self, service: &Service) -> Result<Selector, CompileError> {
        let rivals = rows::rivals(service, &self.record.pools);
        Ok(match rivals.as_slice() {
            [] => Selector::NONE,
            [only] => Selector::pool(only.index),
            several => {
                let print = rows::cluster_fingerprint(several);
                let build = |rendezvous: &mut _| rows::cluster_rows(several, rendezvous);
                Selector::cluster_table(self.book.table(self.cache, print, rows::CLUSTER_LOG2, build)?)
            }
        })
    }

    fn close(self) -> (Record, MapImage) {
        let (mut record, mut image) = (self.record, self.image);
        let (in_force, all) = self.book.close();
        image.tables = in_force.iter().map(|(index, table)| (*index, entry(table))).collect();
        image.slab = self.cache.settle(&in_force, |cluster| record.clusters.contains_key(cluster));
        record.tables = all;
        (record, image)
    }
}

fn backends(pool: &Pool, record: &PoolRecord, selection: &Selection, image: &mut MapImage) {
    let index = |position: usize| record.backends[&pool.members[position].address].index;
    for (position, member) in pool.members.iter().enumerate() {
        let entry = entries::backend(member, record.index, selection);
        image.backends.insert(index(position).into(), entry);
    }
    let spare = entries::spare_index(entries::spare(pool, selection).map(index));
    image.pools.insert(record.index.into(), PoolEntry { table: record.table, spare, reserved: 0 });
}

fn entry(table: &TableRecord) -> TableEntry {
    let TableRecord { current, stable, previous, log2_rows, generation, .. } = *table;
    TableEntry { current, stable, previous, log2_rows, generation, reserved: [0; 3] }
}

/// Whether both name the same things, in force and in quarantine, with the same tables and VIPs.
fn same(old: &Record, new: &Record) -> bool {
    old.tables == new.tables && old.services == new.services && names(old).eq(names(new))
}

/// What a generation says of pools and backends: indices, tables, quarantine; not how they feel.
fn names(record: &Record) -> impl Iterator<Item = (u16, u32, Option<u32>)> + '_ {
    record.pools.values().flat_map(|pool| {
        let backends = pool.backends.values().map(|backend| (backend.index, 0, backend.gone));
        std::iter::once((pool.index, pool.table, pool.gone)).chain(backends)
    })
}
