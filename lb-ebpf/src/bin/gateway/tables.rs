//! The kernel's side of `Tables`.

use crate::{log, maps};
use aya_ebpf::bindings::xdp_md;
use lb_common::abi::{
    AccessFlags, AccessKey, AccessPolicy, BackendEntry, Connection, Control, Event, EventKind, Features,
    FragmentEntry, Insert, PoolEntry, PortRanges, ProbeEntry, ProbeMark, QuicKey, QuicServer, Reply,
    SampledFlow, ServiceEntry, SourceBucket, SourceKey, TableEntry, TrackingCounters, TunnelEntry, VipBucket,
};
use lb_common::flow::Flow;
use lb_ebpf::evidence::Found;
use lb_ebpf::probe::{Fate, Probes};
use lb_ebpf::program::{by_way_of, now, trie_key};
use lb_ebpf::tables::Tables;
use lb_ebpf::verdict::End;

/// The maps of this program.
pub(crate) struct BpfTables {
    /// Of the packet, for the log.
    pub(crate) context: *mut xdp_md,
}

impl BpfTables {
    /// The same end, of which the verifier knows nothing.
    #[inline(always)]
    pub(crate) fn forgotten_end(&self, end: End) -> End {
        End::of_word(self.forgotten(end.word().into()) as u32)
    }
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
    fn port_ranges(&self, index: u32) -> Option<&PortRanges> {
        maps::PORT_RANGES.get(index)
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
    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry> {
        maps::TUNNELS.get(pool)
    }

    #[inline(always)]
    fn quic_server(&self, key: &QuicKey) -> Option<QuicServer> {
        // SAFETY: the entry may go while it is read: its memory stays, and may then be another entry's, whose two
        // halves are read as one word. That is a server of this table, too, and the packet is late anyway.
        unsafe { maps::QUIC_SERVERS.get(key) }.copied()
    }

    #[inline(always)]
    fn access_policy(&self, index: u32) -> Option<&AccessPolicy> {
        maps::ACCESS_POLICIES.get(index)
    }

    #[inline(always)]
    fn access(&self, source: &AccessKey) -> Option<AccessFlags> {
        maps::ACCESS_PREFIXES.get(trie_key(source)).copied()
    }

    #[inline(always)]
    fn take(&self, source: &SourceKey, interval: u32) -> bool {
        let now = now();
        if let Some(bucket) = maps::SOURCE_BUCKETS.get_ptr_mut(source) {
            // SAFETY: other CPUs take from the same word; what is lost is a token, as `SourceBucket::take` says.
            return unsafe { (*bucket).take(now, interval) };
        }
        let mut bucket = SourceBucket::default();
        let taken = bucket.take(now, interval);
        // A bucket that finds no place is one more that is full.
        _ = maps::SOURCE_BUCKETS.insert(source, &bucket, 0);
        taken
    }

    #[inline(always)]
    fn connection(&self, key: u64, closing: bool) -> Option<(u16, bool)> {
        let held = maps::CONNECTIONS.get_ptr_mut(&key)?;
        // SAFETY: the entry may be changed by another CPU meanwhile; each of its fields is a word that is read
        // or stored as one, and whichever CPU stores last is right.
        let (backend, was_closing) = unsafe {
            let was_closing = (*held).is_closing();
            (*held).seen = now();
            if closing {
                (*held).state |= Connection::CLOSING;
            }
            ((*held).backend, was_closing)
        };
        count(|counters| counters.hits += 1);
        Some((backend, was_closing))
    }

    #[inline(always)]
    fn record(&self, flow: &Flow, key: u64, connection: &Connection, insert: Insert) {
        let seen = now();
        let connection = Connection { seen, ..*connection };
        if may_insert(insert, seen) && maps::CONNECTIONS.insert(&key, &connection, 0).is_ok() {
            if insert != Insert::Anew {
                count(|counters| counters.inserted += 1);
            }
        } else {
            count(|counters| match insert {
                Insert::Missed => counters.refused_missed += 1,
                _ => counters.refused_new += 1,
            });
            self.tell(EventKind::NotRecorded, connection.service, flow);
        }
    }

    #[inline(always)]
    fn fragment(&self, key: u64) -> Option<FragmentEntry> {
        // SAFETY: an entry is one word, which is read as one whatever another CPU does to it.
        unsafe { maps::FRAGMENTS.get(&key) }.copied()
    }

    #[inline(always)]
    fn remember_fragment(&self, key: u64, entry: &FragmentEntry) {
        // A packet that finds no room loses its other fragments.
        _ = maps::FRAGMENTS.insert(&key, entry, 0);
    }

    #[inline(always)]
    fn sampled(&self, slot: u32, change: impl FnOnce(&mut SampledFlow, u64) -> Found) {
        let Some(flow) = maps::SAMPLED_FLOWS.get_ptr_mut(slot) else { return };
        // SAFETY: other CPUs may change the slot meanwhile: then what is lost, or counted for another backend, is of one
        // sampled flow. Any bytes are one.
        let found = change(unsafe { &mut *flow }, now());
        if let Some(evidence) = maps::EVIDENCE.get_ptr_mut(found.backend.into()) {
            // SAFETY: other CPUs count in the same place; what is lost is a count, as `Evidence` says.
            found.count(unsafe { &mut *evidence });
        }
    }

    #[inline(always)]
    fn may_reply(&self, reply: Reply) -> bool {
        maps::CONTROL.get(0).is_some_and(|control| within(reply as u32, reply.limit(control.replies), now()))
    }

    #[inline(always)]
    fn forgotten(&self, word: u64) -> u64 {
        // SAFETY: the map is per CPU, and XDP programs do not interrupt each other on a CPU.
        unsafe { by_way_of(maps::SCRATCH.get_ptr_mut(0), word) }
    }

    #[inline(always)]
    fn tell(&self, kind: EventKind, service: u32, flow: &Flow) {
        let Some(budget) = maps::EVENT_BUDGETS.get_ptr_mut(kind as u32) else { return };
        // SAFETY: other CPUs count in the same place; what is lost is a count, as `Budget::take` says.
        if unsafe { (*budget).take(now(), 1) } {
            // Written in place, for the stack has no room to spare. A buffer that nobody reads is full some day.
            let Some(mut place) = maps::EVENTS.reserve::<Event>(0) else { return };
            let (kind, family) = (kind as u32, flow.family.number().into());
            let (source, destination) = (flow.source, flow.destination);
            place.write(Event { kind, service, family, reserved: 0, source, destination });
            place.submit(0);
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

impl Probes for BpfTables {
    #[inline(always)]
    fn probe(&self, mark: ProbeMark) -> Option<ProbeEntry> {
        // SAFETY: the agent changes an entry as a whole, and another's does not go with the backend's: it is dropped.
        unsafe { maps::PROBES.get(mark.number()) }.copied()
    }

    #[inline(always)]
    fn count(&self, fate: Fate) {
        if let Some(counters) = maps::PROBE_STATS.get_ptr_mut(0) {
            // SAFETY: the entry is this CPU's own, and a CPU sends one frame at a time.
            unsafe {
                match fate {
                    Fate::Sent(_) => (*counters).sent += 1,
                    Fate::Dropped => (*counters).dropped += 1,
                }
            }
        }
    }
}

#[inline(always)]
fn may_insert(insert: Insert, now: u64) -> bool {
    if matches!(insert, Insert::Full | Insert::Anew) {
        return true;
    }
    let Some(control) = maps::CONTROL.get(0) else { return false };
    let [new, missed] = control.inserts;
    within(insert as u32, if insert == Insert::New { new } else { missed }, now)
}

#[inline(always)]
fn within(budget: u32, limit: u32, now: u64) -> bool {
    maps::BUDGETS.get_ptr_mut(budget).is_some_and(|budget| {
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
