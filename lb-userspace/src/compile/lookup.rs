//! The image as the packet program sees it: what a flow would meet, with nothing loaded.

use super::access::{entries, longest};
use super::image::MapImage;
use lb_common::abi::{
    AccessFlags, AccessKey, AccessPolicy, BackendEntry, Control, PoolEntry, PortRanges, QuicKey, QuicServer,
    ServiceEntry, TableEntry, TunnelEntry, VipBucket,
};
use lb_ebpf::tables::Tables;

impl Tables for MapImage {
    fn control(&self) -> Option<&Control> {
        Some(&self.control)
    }

    fn filter(&self, word: u32) -> Option<u64> {
        self.filter.get(word as usize).copied()
    }

    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        self.vips.get(index as usize)
    }

    fn port_ranges(&self, index: u32) -> Option<&PortRanges> {
        // The table lies in the first half here, whose lines have even places.
        self.ranges.get((index / 2) as usize)
    }

    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        self.services.get(&index)
    }

    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.pools.get(&index).copied()
    }

    fn table(&self, index: u32) -> Option<&TableEntry> {
        self.tables.get(&index)
    }

    fn slab(&self, word: u32) -> Option<u64> {
        self.slab_word(word)
    }

    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.backends.get(&index)
    }

    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry> {
        self.tunnels.get(&pool)
    }

    fn quic_server(&self, key: &QuicKey) -> Option<QuicServer> {
        self.quic_servers.get(key).copied()
    }

    fn access_policy(&self, index: u32) -> Option<&AccessPolicy> {
        self.access.get(&index)
    }

    fn access(&self, source: &AccessKey) -> Option<AccessFlags> {
        let list = self.prefixes.get(&source.policy())?;
        longest(source, entries(source.policy(), list))
    }

    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}

    fn count_dropped(&self, _service: u32) {}

    fn count_reason(&self, _reason: u32) {}
}
