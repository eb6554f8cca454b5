use super::entries::{self, Way};
use super::error::{CompileError, Resource};
use super::history::History;
use super::identity;
use super::image::MapImage;
use super::ledger::{Ledger, Live};
use super::members::{Selection, select};
use super::quic;
use super::record::{Record, ServiceRecord, ShareRecord, TableRecord, Tier};
use super::rows;
use super::sizes::Sizes;
use super::tables::{Before, Book, Cache, Owners, Wanted};
use super::vips::Keys;
use crate::config::model::{Protocol, ServicePort, Tracking};
use crate::policy::desired::{Desired, Pool, Service};
use lb_common::abi::{Control, PoolEntry, Selector, TableEntry};
use lb_common::net::NetworkU16;
use lb_ebpf::redirect::GATEWAYS;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Compiles what should be served at `now` (milliseconds of a clock that only goes forward) into the maps'
/// content, and moves the ledger to the next generation. Its number stays if no name, table or VIP changed.
/// `cache` spares the building of tables that are known.
///
/// # Errors
/// [`CompileError`]; the ledger is unchanged then.
pub fn compile(
    desired: &Desired,
    ledger: &mut Ledger,
    cache: &mut Cache,
    now: u64,
) -> Result<MapImage, CompileError> {
    let (old, sizes) = (ledger.record(), ledger.sizes());
    let generation = old.generation + 1;
    let record = identity::succeed(old, desired, generation, sizes)?;
    let mut image = outline(desired, &record, sizes)?;
    let (pools, chained) = (selections(desired), chained(desired));
    pools.iter().for_each(|(pool, selection)| {
        let way = Way {
            encap: pool.encap,
            chain: chained.contains(pool.name.as_str()),
            gateway: desired.redirects.through.contains(&pool.cluster),
        };
        backends(pool, selection, way, &record, &mut image);
    });
    let (serving, resting) = by_service(&image);
    let past = ledger.age(&record, &serving, now, desired.change_window);
    let owners = Owners { live: Live::of(&record), serving: Live::serving(&record, &serving) };
    let book = Book::new(old, (owners, desired.roll_delay), &past, generation, sizes, now);
    let own = desired.redirects.own.as_deref();
    let mut assembly = Assembly { old, record, image, book, chained, own, cache };
    pools.iter().try_for_each(|(pool, selection)| assembly.pool(pool, selection))?;
    desired.services.iter().try_for_each(|service| assembly.service(service))?;
    let (mut record, image, histories, forgot) = assembly.close();
    if same(old, &record) {
        record.generation = old.generation;
    }
    let generation = record.generation;
    ledger.advance(record, histories, resting, forgot);
    Ok(MapImage { generation, ..image })
}

/// Backends that serve, and those that do not.
fn by_service(image: &MapImage) -> (BTreeSet<u16>, BTreeSet<u16>) {
    let indices = |wanted: bool| {
        let backends = image.backends.iter().filter(move |(_, entry)| entry.serves() == wanted);
        backends.filter_map(|(index, _)| u16::try_from(*index).ok()).collect()
    };
    (indices(true), indices(false))
}

/// The image without services, pools and what they name.
fn outline(desired: &Desired, record: &Record, sizes: &Sizes) -> Result<MapImage, CompileError> {
    let mut keys = Keys::default();
    let policies =
        || desired.access.iter().filter_map(|policy| Some((record.access_index(&policy.name)?, policy)));
    for service in &desired.services {
        let index = record.services[&service.name].index;
        for vip in &service.vips {
            keys.address(vip.address, vip.local);
            service.ports.iter().for_each(|port| listen(&mut keys, vip.address, port, index));
        }
    }
    let redirects = &desired.redirects;
    redirects.addresses.iter().for_each(|address| keys.tunnel(*address));
    let ranges = keys.lines()?;
    identity::fits(Resource::VipKeys, ranges.len(), sizes.services)?;
    let (table, vips) = keys.place(sizes.half_log2)?;
    let (k0, k1) = desired.secret;
    let (epoch, tunnel_keys) = entries::tunnel_keys(desired.tunnel_key);
    let replies = [desired.replies.echo, desired.replies.too_big];
    let taken = redirects.taken.port;
    let redirected = NetworkU16::new(if redirects.addresses.is_empty() { 0 } else { taken });
    let mut access: BTreeMap<_, _> = policies().map(|(index, one)| (index, entries::access(one))).collect();
    let mut prefixes: BTreeMap<_, _> = policies().map(|(index, one)| (index, one.prefixes.clone())).collect();
    if !redirects.taken.gateways.is_empty() {
        access.insert(GATEWAYS, entries::gateways(&redirects.taken.gateways));
        prefixes.insert(GATEWAYS, redirects.taken.gateways.clone());
    }
    Ok(MapImage {
        generation: 0,
        control: Control {
            vips: table,
            k0,
            k1,
            inserts: sizes.inserts(),
            replies,
            epoch,
            tunnel_keys,
            redirects: redirected,
            sampled: entries::sampled(desired.evidence),
            ..Control::default()
        },
        filter: keys.filter(),
        vips,
        ranges,
        services: BTreeMap::new(),
        pools: BTreeMap::new(),
        tables: BTreeMap::new(),
        slab: BTreeMap::new(),
        backends: BTreeMap::new(),
        tunnels: BTreeMap::new(),
        quic_servers: quic::servers(desired, record, sizes)?,
        access,
        prefixes,
    })
}

fn listen(keys: &mut Keys, vip: IpAddr, port: &ServicePort, service: u32) {
    let protocol = number(port.protocol);
    match port.last {
        None => keys.port(vip, protocol, port.port, service),
        Some(last) => keys.range(vip, protocol, (port.port, last), service),
    }
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

/// A generation in the making.
struct Assembly<'a> {
    old: &'a Record,
    record: Record,
    image: MapImage,
    book: Book<'a>,
    /// Pools of services that track by chain.
    chained: BTreeSet<&'a str>,
    /// The cluster this gateway stands in.
    own: Option<&'a str>,
    cache: &'a mut Cache,
}

impl Assembly<'_> {
    fn pool(&mut self, pool: &Pool, selection: &Selection) -> Result<(), CompileError> {
        let Some(record) = self.record.pools.get_mut(&pool.name) else { return Ok(()) };
        let nodes = rows::nodes(pool, selection, record);
        if !nodes.is_empty() {
            let fingerprint = rows::node_fingerprint(pool, &nodes);
            let chain = self.chained.contains(pool.name.as_str());
            let wanted = Wanted { tier: Tier::Node, fingerprint, log2_rows: pool.rows.ilog2(), chain };
            let old = self.old.pools.get(&pool.name).filter(|old| old.gone.is_none() && old.table != 0);
            let before = old.map_or(Before::Nothing, |old| Before::Table(old.table));
            let build = |_: &mut _| rows::node_rows(pool, &nodes);
            record.table = self.book.table(self.cache, before, &wanted, build)?;
        }
        let spare = entries::spare(pool, selection);
        let spare = spare.map(|position| record.backends[&pool.members[position].address].index);
        let entry = PoolEntry { table: record.table, spare: entries::spare_index(spare), reserved: 0 };
        self.image.pools.insert(record.index.into(), entry);
        Ok(())
    }

    fn service(&mut self, service: &Service) -> Result<(), CompileError> {
        let select = self.select(service)?;
        let (local, access) = (self.local(service), self.access(service));
        let Some(record) = self.record.services.get_mut(&service.name) else { return Ok(()) };
        record.pool = select.single_pool().and_then(|pool| u16::try_from(pool).ok());
        if select != Selector::NONE && record.pool.is_none() {
            record.table = select.table();
        }
        self.image.services.insert(record.index, entries::service((select, local), access, service));
        Ok(())
    }

    fn access(&self, service: &Service) -> Option<u32> {
        service.access.as_ref().and_then(|name| self.record.access_index(name))
    }

    /// What other clusters' gateways send here goes to the pool in this cluster, of which a service has one at most,
    /// whatever its weight: the weights were asked before it was sent.
    fn local(&self, service: &Service) -> Option<u16> {
        let share = self.own.and_then(|own| service.shares.iter().find(|share| share.cluster == own));
        share.and_then(|share| self.record.pools.get(&share.pool)).map(|pool| pool.index)
    }

    /// A service with one pool names it, unless its flows were sent by something else and are remembered.
    fn select(&mut self, service: &Service) -> Result<Selector, CompileError> {
        let rivals = rows::rivals(service, &self.record.pools);
        let before = self.before(service);
        match rivals.as_slice() {
            [] => return Ok(Selector::NONE),
            [only] if self.book.is_settled(before, only.index) => return Ok(Selector::pool(only.index)),
            _ => {}
        }
        let fingerprint = rows::cluster_fingerprint(&rivals);
        let chain = service.tracking == Tracking::Chain;
        let wanted = Wanted { tier: Tier::Cluster, fingerprint, log2_rows: rows::CLUSTER_LOG2, chain };
        let build = |rendezvous: &mut _| rows::cluster_rows(&rivals, rendezvous);
        Ok(Selector::cluster_table(self.book.table(self.cache, before, &wanted, build)?))
    }

    /// What the service's flows were sent by.
    fn before(&self, service: &Service) -> Before {
        let old = self.old.services.get(&service.name).filter(|old| old.gone.is_none());
        match old {
            Some(_) if service.tracking == Tracking::None => Before::Nothing,
            Some(ServiceRecord { pool: Some(pool), .. }) => Before::Pool(*pool),
            Some(ServiceRecord { table, .. }) if *table != 0 => Before::Table(*table),
            _ => Before::Nothing,
        }
    }

    fn close(self) -> (Record, MapImage, BTreeMap<u32, History>, usize) {
        let (mut record, mut image) = (self.record, self.image);
        let tables = self.book.close();
        image.tables = tables.in_force.iter().map(|(index, table)| (*index, entry(table))).collect();
        image.slab = tables.slab();
        self.cache.settle(&tables.in_force, |cluster| record.clusters.contains_key(cluster));
        record.tables = tables.all;
        (record, image, tables.histories, tables.forgot)
    }
}

/// Who contends for the rows of each pool. All of its members serve for want of a better only if a service sends
/// to it: one whose services have other pools keeps its dead dead, or connections would stay recorded with them.
fn selections(desired: &Desired) -> Vec<(&Pool, Selection)> {
    let shares = desired.services.iter().flat_map(|service| &service.shares);
    let wanted: BTreeSet<_> =
        shares.filter(|share| share.weight > 0).map(|share| share.pool.as_str()).collect();
    let select = |pool: &Pool| {
        let selection = select(&pool.members, pool.panic);
        Selection { all_serve: selection.all_serve && wanted.contains(pool.name.as_str()), ..selection }
    };
    desired.pools.iter().map(|pool| (pool, select(pool))).collect()
}

/// Pools whose rows remember their earlier owners: those of a service that tracks by chain.
fn chained(desired: &Desired) -> BTreeSet<&str> {
    let services = desired.services.iter().filter(|service| service.tracking == Tracking::Chain);
    services.flat_map(|service| &service.shares).map(|share| share.pool.as_str()).collect()
}

fn backends(pool: &Pool, selection: &Selection, way: Way, record: &Record, image: &mut MapImage) {
    let Some(record) = record.pools.get(&pool.name) else { return };
    image.tunnels.extend(entries::tunnel(pool.encap).map(|entry| (u32::from(record.index), entry)));
    for member in &pool.members {
        let entry = entries::backend(member, way, record.index, selection);
        image.backends.insert(record.backends[&member.address].index.into(), entry);
    }
}

fn entry(table: &TableRecord) -> TableEntry {
    let TableRecord { current, stable, earlier, log2_rows, generation, .. } = *table;
    TableEntry { current, stable, earlier, log2_rows, generation, reserved: [0; 2] }
}

/// Whether both name the same things, in force and in quarantine, with the same tables and VIPs.
fn same(old: &Record, new: &Record) -> bool {
    let same = old.tables == new.tables && old.access == new.access;
    // What is equal as it is need not be copied without its moods.
    let services = || old.services == new.services || services(old).eq(services(new));
    same && services() && names(old).eq(names(new))
}

/// What a generation says of services: not how their priorities stand.
fn services(record: &Record) -> impl Iterator<Item = (&String, ServiceRecord)> {
    record.services.iter().map(|(name, service)| {
        let plain = |share: &ShareRecord| ShareRecord {
            priority: None,
            health: None,
            panic: false,
            hold: None,
            ceiling: None,
            ..share.clone()
        };
        (name, ServiceRecord { pools: service.pools.iter().map(plain).collect(), ..service.clone() })
    })
}

/// What a generation says of pools and backends: indices, tables, quarantine; not how they feel.
fn names(record: &Record) -> impl Iterator<Item = (u16, u32, Option<u32>)> + '_ {
    record.pools.values().flat_map(|pool| {
        let backends = pool.backends.values().map(|backend| (backend.index, 0, backend.gone));
        std::iter::once((pool.index, pool.table, pool.gone)).chain(backends)
    })
}
