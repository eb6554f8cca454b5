//! Maps without a kernel: what a plan can be applied to and a packet looked up in, for tests, for decisions
//! about maps that are not loaded, and for a look at the kernel's as they were at one moment.

use super::{KernelView, Maps};
use crate::compile::Sizes;
use crate::compile::access::longest;
use bytemuck::Pod;
use lb_common::abi::{
    ACCESS_POLICIES, AccessFlags, AccessKey, AccessPolicy, BackendEntry, Connection, Control, FILTER_WORDS,
    FragmentEntry, Insert, PoolEntry, PortRanges, QuicKey, QuicServer, ServiceEntry, SourceBucket, SourceKey,
    TableEntry, TunnelEntry, VipBucket, map,
};
use lb_common::flow::Flow;
use lb_ebpf::tables::Tables;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

/// The maps that packets go by, in this process's memory. Nothing is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryMaps {
    /// The one entry of `control`; none in maps that hold nothing.
    pub control: Vec<Control>,
    /// Words of `vip_filter`.
    pub filter: Vec<u64>,
    /// Entries of `vips`, both halves.
    pub vips: Vec<VipBucket>,
    /// Entries of `port_ranges`, for both halves.
    pub ranges: Vec<PortRanges>,
    /// Entries of `services`.
    pub services: Vec<ServiceEntry>,
    /// Entries of `pools`.
    pub pools: Vec<PoolEntry>,
    /// Entries of `tables`.
    pub tables: Vec<TableEntry>,
    /// Words of `slab`, four rows each.
    pub slab: Vec<u64>,
    /// Entries of `backends`.
    pub backends: Vec<BackendEntry>,
    /// Entries of `tunnels`.
    pub tunnels: Vec<TunnelEntry>,
    /// Entries of `quic_servers`; any number fits.
    pub quic_servers: BTreeMap<QuicKey, QuicServer>,
    /// Entries of `access_policies`.
    pub access: Vec<AccessPolicy>,
    /// What `access_prefixes` holds; none in a copy.
    pub prefixes: BTreeMap<AccessKey, AccessFlags>,
    /// Recorded connections; any number fits, and no budget limits them.
    pub connections: RefCell<BTreeMap<u64, Connection>>,
    /// What first fragments told; any number fits.
    pub fragments: RefCell<BTreeMap<u64, FragmentEntry>>,
    /// What sources may begin; any number fits.
    pub buckets: RefCell<BTreeMap<(u32, [u8; 16]), SourceBucket>>,
    /// The time that connections are stamped with and buckets fill by, in nanoseconds.
    pub clock: Cell<u64>,
}

impl MemoryMaps {
    /// Maps of these sizes with every byte zero, as the kernel makes them.
    pub fn new(sizes: &Sizes) -> Self {
        fn zeros<T: bytemuck::Zeroable + Clone>(entries: u32) -> Vec<T> {
            vec![T::zeroed(); entries as usize]
        }
        Self {
            control: zeros(1),
            filter: zeros(FILTER_WORDS),
            vips: zeros(sizes.buckets()),
            ranges: zeros(sizes.port_ranges()),
            services: zeros(sizes.services),
            pools: zeros(sizes.pools),
            tables: zeros(sizes.tables),
            slab: zeros(sizes.slab_words()),
            backends: zeros(sizes.backends),
            tunnels: zeros(sizes.pools),
            access: zeros(ACCESS_POLICIES),
            ..Self::default()
        }
    }

    /// A copy, made in the order in which a packet looks things up: what names an entry is copied before the
    /// entry, and is stored after it, so that nothing in the copy names what the copy does not have.
    pub fn of(kernel: &impl KernelView) -> Self {
        Self {
            control: entries(kernel, map::CONTROL),
            filter: entries(kernel, map::VIP_FILTER),
            vips: entries(kernel, map::VIPS),
            ranges: entries(kernel, map::PORT_RANGES),
            services: entries(kernel, map::SERVICES),
            pools: entries(kernel, map::POOLS),
            tables: entries(kernel, map::TABLES),
            slab: entries(kernel, map::SLAB),
            quic_servers: kernel.quic_servers(),
            backends: entries(kernel, map::BACKENDS),
            tunnels: entries(kernel, map::TUNNELS),
            access: entries(kernel, map::ACCESS_POLICIES),
            ..Self::default()
        }
    }

    fn map(&self, name: &str) -> Option<&[u64]> {
        Some(match name {
            map::CONTROL => bytemuck::cast_slice(&self.control),
            map::VIP_FILTER => &self.filter,
            map::VIPS => bytemuck::cast_slice(&self.vips),
            map::PORT_RANGES => bytemuck::cast_slice(&self.ranges),
            map::SERVICES => bytemuck::cast_slice(&self.services),
            map::POOLS => bytemuck::cast_slice(&self.pools),
            map::TABLES => bytemuck::cast_slice(&self.tables),
            map::SLAB => &self.slab,
            map::BACKENDS => bytemuck::cast_slice(&self.backends),
            map::TUNNELS => bytemuck::cast_slice(&self.tunnels),
            map::ACCESS_POLICIES => bytemuck::cast_slice(&self.access),
            _ => return None,
        })
    }

    fn map_mut(&mut self, name: &str) -> Option<&mut [u64]> {
        Some(match name {
            map::CONTROL => bytemuck::cast_slice_mut(&mut self.control),
            map::VIP_FILTER => &mut self.filter,
            map::VIPS => bytemuck::cast_slice_mut(&mut self.vips),
            map::PORT_RANGES => bytemuck::cast_slice_mut(&mut self.ranges),
            map::SERVICES => bytemuck::cast_slice_mut(&mut self.services),
            map::POOLS => bytemuck::cast_slice_mut(&mut self.pools),
            map::TABLES => bytemuck::cast_slice_mut(&mut self.tables),
            map::SLAB => &mut self.slab,
            map::BACKENDS => bytemuck::cast_slice_mut(&mut self.backends),
            map::TUNNELS => bytemuck::cast_slice_mut(&mut self.tunnels),
            map::ACCESS_POLICIES => bytemuck::cast_slice_mut(&mut self.access),
            _ => return None,
        })
    }
}

/// All entries of a map. Each word is read as one, as the program reads it.
fn entries<T: Pod>(kernel: &impl KernelView, map: &'static str) -> Vec<T> {
    let bytes = size_of::<u64>() * kernel.words(map);
    let mut entries = vec![T::zeroed(); bytes / size_of::<T>()];
    kernel.read(map, 0, bytemuck::cast_slice_mut(&mut entries));
    entries
}

impl KernelView for MemoryMaps {
    fn words(&self, map: &'static str) -> usize {
        self.map(map).map_or(0, <[u64]>::len)
    }

    fn load(&self, map: &'static str, word: usize) -> u64 {
        self.map(map).and_then(|words| words.get(word)).copied().unwrap_or(0)
    }

    fn read(&self, map: &'static str, first: usize, words: &mut [u64]) {
        let held = self.map(map).and_then(|held| held.get(first..)).unwrap_or_default();
        let length = held.len().min(words.len());
        words[..length].copy_from_slice(&held[..length]);
        words[length..].fill(0);
    }

    fn quic_servers(&self) -> BTreeMap<QuicKey, QuicServer> {
        self.quic_servers.clone()
    }
}

impl Maps for MemoryMaps {
    fn store(&mut self, map: &'static str, word: usize, value: u64) {
        if let Some(place) = self.map_mut(map).and_then(|words| words.get_mut(word)) {
            *place = value;
        }
    }

    fn set_quic_server(&mut self, key: &QuicKey, server: Option<QuicServer>) {
        match server {
            Some(server) => self.quic_servers.insert(*key, server),
            None => self.quic_servers.remove(key),
        };
    }

    fn prefixes(&self) -> io::Result<Vec<(AccessKey, AccessFlags)>> {
        Ok(self.prefixes.iter().map(|(key, flags)| (*key, *flags)).collect())
    }

    fn put_prefix(&mut self, key: &AccessKey, flags: AccessFlags) -> io::Result<()> {
        self.prefixes.insert(*key, flags);
        Ok(())
    }

    fn remove_prefix(&mut self, key: &AccessKey) -> io::Result<()> {
        self.prefixes.remove(key);
        Ok(())
    }

    fn grace(&mut self) {}
}

impl Tables for MemoryMaps {
    fn control(&self) -> Option<&Control> {
        self.control.first()
    }

    fn filter(&self, word: u32) -> Option<u64> {
        self.filter.get(word as usize).copied()
    }

    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        self.vips.get(index as usize)
    }

    fn port_ranges(&self, index: u32) -> Option<&PortRanges> {
        self.ranges.get(index as usize)
    }

    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        self.services.get(index as usize)
    }

    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.pools.get(index as usize).copied()
    }

    fn table(&self, index: u32) -> Option<&TableEntry> {
        self.tables.get(index as usize)
    }

    fn slab(&self, word: u32) -> Option<u64> {
        self.slab.get(word as usize).copied()
    }

    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.backends.get(index as usize)
    }

    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry> {
        self.tunnels.get(pool as usize)
    }

    fn quic_server(&self, key: &QuicKey) -> Option<QuicServer> {
        self.quic_servers.get(key).copied()
    }

    fn access_policy(&self, index: u32) -> Option<&AccessPolicy> {
        self.access.get(index as usize)
    }

    fn access(&self, source: &AccessKey) -> Option<AccessFlags> {
        longest(source, self.prefixes.iter().map(|(key, flags)| (*key, *flags)))
    }

    fn take(&self, source: &SourceKey, interval: u32) -> bool {
        let mut buckets = self.buckets.borrow_mut();
        let bucket = buckets.entry((source.policy, source.source().bytes())).or_default();
        bucket.take(self.clock.get(), interval)
    }

    fn connection(&self, key: u64, closing: bool) -> Option<(u16, bool)> {
        let mut connections = self.connections.borrow_mut();
        let held = connections.get_mut(&key)?;
        let was_closing = held.is_closing();
        held.seen = self.clock.get();
        if closing {
            held.state |= Connection::CLOSING;
        }
        Some((held.backend, was_closing))
    }

    fn record(&self, _flow: &Flow, key: u64, connection: &Connection, _insert: Insert) {
        let connection = Connection { seen: self.clock.get(), ..*connection };
        self.connections.borrow_mut().insert(key, connection);
    }

    fn fragment(&self, key: u64) -> Option<FragmentEntry> {
        self.fragments.borrow().get(&key).copied()
    }

    fn remember_fragment(&self, key: u64, entry: &FragmentEntry) {
        self.fragments.borrow_mut().insert(key, *entry);
    }

    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}

    fn count_dropped(&self, _service: u32) {}

    fn count_reason(&self, _reason: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::abi::{BackendFlags, Route};

    #[test]
    fn a_copy_is_what_was_copied() {
        let route = Route { flags: BackendFlags::SERVES, interface: 7 };
        let second = BackendEntry { route, mtu: 1500, ..BackendEntry::default() };
        let server = (QuicKey::new(1, 2, &[3]), QuicServer { backend: 1, shortest: 6 });
        let maps = MemoryMaps {
            backends: vec![BackendEntry::default(), second],
            quic_servers: [server].into(),
            ..MemoryMaps::default()
        };
        assert_eq!(MemoryMaps::of(&maps), maps);
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        let maps = MemoryMaps { backends: vec![BackendEntry::default()], ..MemoryMaps::default() };
        assert!(maps.backend(0).is_some() && maps.backend(1).is_none());
        assert!(maps.control().is_none() && maps.table(u32::MAX).is_none());
    }
}
