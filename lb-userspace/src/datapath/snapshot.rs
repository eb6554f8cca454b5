//! A copy of what the program looks up, in ordinary memory: the maps as a packet of this moment meets them.

use bytemuck::Pod;
use lb_common::abi::{BackendEntry, Control, PoolEntry, ServiceEntry, TableEntry, VipBucket, map};
use lb_ebpf::tables::Tables;

use super::mapping::Mapping;
use super::maps::KernelMaps;

/// The look-up maps, whole. A map's index is the vector's.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// One entry.
    pub control: Vec<Control>,
    /// Words of 64 bits.
    pub filter: Vec<u64>,
    /// Both halves, the one in force and the other.
    pub vips: Vec<VipBucket>,
    /// By service index.
    pub services: Vec<ServiceEntry>,
    /// By pool index.
    pub pools: Vec<PoolEntry>,
    /// By table index.
    pub tables: Vec<TableEntry>,
    /// Words of four rows.
    pub slab: Vec<u64>,
    /// By backend index.
    pub backends: Vec<BackendEntry>,
}

impl Snapshot {
    /// Copies the maps in the order in which a packet looks things up: what names an entry is copied before
    /// the entry, and is stored after it, so that nothing in the copy names what the copy does not have.
    pub fn of(maps: &KernelMaps) -> Self {
        Self {
            control: entries(maps.mapping(map::CONTROL)),
            filter: entries(maps.mapping(map::VIP_FILTER)),
            vips: entries(maps.mapping(map::VIPS)),
            services: entries(maps.mapping(map::SERVICES)),
            pools: entries(maps.mapping(map::POOLS)),
            tables: entries(maps.mapping(map::TABLES)),
            slab: entries(maps.mapping(map::SLAB)),
            backends: entries(maps.mapping(map::BACKENDS)),
        }
    }
}

/// The entries of a map. Each word is read as one, as the program reads it.
fn entries<T: Pod>(map: &Mapping) -> Vec<T> {
    let bytes = size_of_val(map.words());
    let mut entries = vec![T::zeroed(); bytes / size_of::<T>()];
    for (copy, word) in bytemuck::cast_slice_mut(&mut entries).iter_mut().zip(0..) {
        *copy = map.load(word);
    }
    entries
}

fn at<T>(entries: &[T], index: u32) -> Option<&T> {
    entries.get(index as usize)
}

/// A look-up counts nothing: only the program does.
impl Tables for Snapshot {
    fn control(&self) -> Option<&Control> {
        self.control.first()
    }

    fn filter(&self, word: u32) -> Option<u64> {
        at(&self.filter, word).copied()
    }

    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        at(&self.vips, index)
    }

    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        at(&self.services, index)
    }

    fn pool(&self, index: u32) -> Option<PoolEntry> {
        at(&self.pools, index).copied()
    }

    fn table(&self, index: u32) -> Option<&TableEntry> {
        at(&self.tables, index)
    }

    fn slab(&self, word: u32) -> Option<u64> {
        at(&self.slab, word).copied()
    }

    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        at(&self.backends, index)
    }

    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}

    fn count_dropped(&self, _service: u32) {}

    fn count_reason(&self, _reason: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::mapping::Access;
    use lb_common::abi::{BackendFlags, Route};
    use std::os::fd::AsFd as _;

    #[test]
    fn entries_are_what_the_words_say() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * size_of::<BackendEntry>() as u64).unwrap();
        let map = Mapping::new(file.as_fd(), 24, Access::Write).unwrap();
        let route = Route { flags: BackendFlags::SERVES, interface: 7 };
        let second = BackendEntry { route, mtu: 1500, ..BackendEntry::default() };
        for (word, value) in (8..).zip(bytemuck::cast::<BackendEntry, [u64; 8]>(second)) {
            map.store(word, value);
        }
        assert_eq!(entries::<BackendEntry>(&map), [BackendEntry::default(), second, BackendEntry::default()]);
        assert_eq!(entries::<u64>(&map).len(), 24);
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        let snapshot = Snapshot { backends: vec![BackendEntry::default()], ..Snapshot::default() };
        assert!(snapshot.backend(0).is_some() && snapshot.backend(1).is_none());
        assert!(snapshot.control().is_none() && snapshot.table(u32::MAX).is_none());
    }
}
