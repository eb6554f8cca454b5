//! The kernel's side of `Tables`.

use crate::{log, maps};
use aya_ebpf::bindings::xdp_md;
use lb_common::abi::{BackendEntry, Control, PoolEntry, ServiceEntry, TableEntry, VipBucket};
use lb_ebpf::tables::Tables;

/// The maps of this program.
pub(crate) struct BpfTables {
    /// Of the packet, for the log.
    pub(crate) context: *mut xdp_md,
}

impl Tables for BpfTables {
    #[inline(always)]
    fn control(&self) -> Option<&Control> {
        maps::CONTROL.get(0)
    }

    #[inline(always)]
    fn filter(&self, word: u32) -> Option<u64> {
        maps::VIP_FILTER.get(word).copied()
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        maps::VIPS.get(index)
    }

    #[inline(always)]
    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        maps::SERVICES.get(index)
    }

    #[inline(always)]
    fn pool(&self, index: u32) -> Option<PoolEntry> {
        maps::POOLS.get(index).copied()
    }

    #[inline(always)]
    fn table(&self, index: u32) -> Option<&TableEntry> {
        maps::TABLES.get(index)
    }

    #[inline(always)]
    fn slab(&self, word: u32) -> Option<u64> {
        maps::SLAB.get(word).copied()
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        maps::BACKENDS.get(index)
    }

    #[inline(always)]
    fn count_sent(&self, service: u32, backend: u32, bytes: u64) {
        if let Some(counters) = maps::SERVICE_STATS.get_ptr_mut(service) {
            // SAFETY: the entry is this CPU's own, and XDP programs do not interrupt each other on a CPU.
            unsafe {
                (*counters).packets += 1;
                (*counters).bytes += bytes;
            }
        }
        if let Some(counters) = maps::BACKEND_STATS.get_ptr_mut(backend) {
            // SAFETY: as above.
            unsafe {
                (*counters).packets += 1;
                (*counters).bytes += bytes;
            }
        }
    }

    #[inline(always)]
    fn count_dropped(&self, service: u32) {
        if let Some(counters) = maps::SERVICE_STATS.get_ptr_mut(service) {
            // SAFETY: as above.
            unsafe { (*counters).dropped += 1 };
        }
    }

    #[inline(always)]
    fn count_reason(&self, reason: u32) {
        if let Some(counter) = maps::REASON_STATS.get_ptr_mut(reason) {
            // SAFETY: as above.
            unsafe { *counter += 1 };
        }
        log::ended(self.context, reason);
    }
}
