//! The kernel's side of `Tables`.

use crate::{log, maps};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use lb_common::abi::{
    BackendEntry, Connection, Control, Features, Insert, PoolEntry, ServiceEntry, TableEntry,
    TrackingCounters, VipBucket,
};
use lb_ebpf::tables::Tables;

/// The maps of this program.
pub(crate) struct BpfTables {
    /// Of the packet, for the log.
    pub(crate) context: *mut xdp_md,
}

impl Tables for BpfTables {
    #[inline(always)]
    fn features(&self) -> Features {
        Features::of_bits(maps::FEATURES.load())
    }

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
    fn connection(&self, key: u64, closing: bool) -> Option<(u16, bool)> {
        let held = maps::CONNECTIONS.get_ptr_mut(&key)?;
        // SAFETY: the entry may be changed by another CPU meanwhile; each of its fields is a word that is read
        // or stored as one, and whichever CPU stores last is right.
        let (backend, was_closing) = unsafe {
            let was_closing = (*held).is_closing();
            (*held).seen = bpf_ktime_get_ns();
            if closing {
                (*held).state = Connection::CLOSING;
            }
            ((*held).backend, was_closing)
        };
        count(|counters| counters.hits += 1);
        Some((backend, was_closing))
    }

    #[inline(always)]
    fn record(&self, key: u64, connection: &Connection, insert: Insert) {
        // SAFETY: the helper reads a clock.
        let seen = unsafe { bpf_ktime_get_ns() };
        let connection = Connection { seen, ..*connection };
        if within_budget(insert, seen) && maps::CONNECTIONS.insert(&key, &connection, 0).is_ok() {
            if insert != Insert::Anew {
                count(|counters| counters.inserted += 1);
            }
        } else if insert == Insert::Missed {
            count(|counters| counters.refused_missed += 1);
        } else {
            count(|counters| counters.refused_new += 1);
        }
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

#[inline(always)]
fn within_budget(insert: Insert, now: u64) -> bool {
    if matches!(insert, Insert::Full | Insert::Anew) {
        return true;
    }
    let Some(control) = maps::CONTROL.get(0) else { return false };
    let [new, missed] = control.inserts;
    let limit = if insert == Insert::New { new } else { missed };
    maps::BUDGETS.get_ptr_mut(insert as u32).is_some_and(|budget| {
        // SAFETY: other CPUs count in the same place; what is lost is a count, as `Budget::take` says.
        unsafe { (*budget).take(now, limit) }
    })
}

#[inline(always)]
fn count(change: impl FnOnce(&mut TrackingCounters)) {
    if let Some(counters) = maps::TRACKING_STATS.get_ptr_mut(0) {
        // SAFETY: the entry is this CPU's own, and XDP programs do not interrupt each other on a CPU.
        change(unsafe { &mut *counters });
    }
}
