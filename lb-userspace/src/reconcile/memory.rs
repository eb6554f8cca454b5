//! Maps without a kernel: what a plan can be applied to and a packet looked up in, for tests and for
//! decisions about maps that are not loaded.

use super::{KernelView, Maps};
use crate::compile::Sizes;
use lb_common::abi::{
    BackendEntry, Control, FILTER_WORDS, PoolEntry, ServiceEntry, TableEntry, VipBucket, map,
};
use lb_ebpf::tables::Tables;

/// The memory-mapped maps, in this process's memory. Nothing is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMaps {
    control: [Control; 1],
    filter: Vec<u64>,
    vips: Vec<VipBucket>,
    services: Vec<ServiceEntry>,
    pools: Vec<PoolEntry>,
    tables: Vec<TableEntry>,
    slab: Vec<u64>,
    backends: Vec<BackendEntry>,
}

impl MemoryMaps {
    /// Maps of these sizes with every byte zero, as the kernel makes them.
    pub fn new(sizes: &Sizes) -> Self {
        fn zeros<T: bytemuck::Zeroable + Clone>(entries: u32) -> Vec<T> {
            vec![T::zeroed(); entries as usize]
        }
        Self {
            control: [Control::default()],
            filter: zeros(FILTER_WORDS),
            vips: zeros(sizes.buckets()),
            services: zeros(sizes.services),
            pools: zeros(sizes.pools),
            tables: zeros(sizes.tables),
            slab: zeros(sizes.slab_words()),
            backends: zeros(sizes.backends),
        }
    }

    fn map(&self, name: &str) -> Option<&[u64]> {
        Some(match name {
            map::CONTROL => bytemuck::cast_slice(&self.control),
            map::VIP_FILTER => &self.filter,
            map::VIPS => bytemuck::cast_slice(&self.vips),
            map::SERVICES => bytemuck::cast_slice(&self.services),
            map::POOLS => bytemuck::cast_slice(&self.pools),
            map::TABLES => bytemuck::cast_slice(&self.tables),
            map::SLAB => &self.slab,
            map::BACKENDS => bytemuck::cast_slice(&self.backends),
            _ => return None,
        })
    }

    fn map_mut(&mut self, name: &str) -> Option<&mut [u64]> {
        Some(match name {
            map::CONTROL => bytemuck::cast_slice_mut(&mut self.control),
            map::VIP_FILTER => &mut self.filter,
            map::VIPS => bytemuck::cast_slice_mut(&mut self.vips),
            map::SERVICES => bytemuck::cast_slice_mut(&mut self.services),
            map::POOLS => bytemuck::cast_slice_mut(&mut self.pools),
            map::TABLES => bytemuck::cast_slice_mut(&mut self.tables),
            map::SLAB => &mut self.slab,
            map::BACKENDS => bytemuck::cast_slice_mut(&mut self.backends),
            _ => return None,
        })
    }
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
}

impl Maps for MemoryMaps {
    fn store(&mut self, map: &'static str, word: usize, value: u64) {
        if let Some(place) = self.map_mut(map).and_then(|words| words.get_mut(word)) {
            *place = value;
        }
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

    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}

    fn count_dropped(&self, _service: u32) {}

    fn count_reason(&self, _reason: u32) {}
}
