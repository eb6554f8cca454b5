//! A packet's view of the maps, and what it may see while a plan is applied.

use super::super::{MemoryMaps, Op};
use crate::compile::MapImage;
use lb_common::abi::{
    BackendEntry, BackendFlags, Control, NO_BACKEND, PoolEntry, PortRanges, Redirected, ServiceEntry,
    TableEntry, TunnelEntry, VipBucket, VipKey,
};
use lb_common::flow::Flow;
use lb_common::net::Address;
use lb_common::reason::Reason;
use lb_ebpf::tables::Tables;
use lb_ebpf::track::{Decision, Segment};
use lb_ebpf::verdict::End;
use lb_ebpf::{classify, pipeline};

/// Where a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pool: u32,
    pub(super) backend: u32,
    pub(super) destination: Address,
    pub(super) fallback: bool,
}

/// As the packet program finds it.
pub(super) fn resolve(flow: &Flow, tables: &impl Tables) -> Result<Found, End> {
    let (word, bit) = VipKey::filter_bit(flow.family, &flow.destination);
    if tables.filter(word).unwrap_or(0) & bit == 0 {
        return Err(End::NOT_OURS);
    }
    let (control, service) = (tables.control().unwrap(), service(flow, tables)?);
    let choice =
        pipeline::choose(flow, || None, service, control, tables, (Redirected::NO, || Segment::Middle))?;
    let (owner, pool) = (choice.owner, choice.selection.unwrap().pool);
    assert_eq!(u32::from(owner.backend.pool), pool, "a backend of another pool");
    assert!(owner.backend.route.flags.has(BackendFlags::SERVES));
    if owner.backend.route.flags.has(BackendFlags::VXLAN) {
        let tunnel = tables.tunnel(owner.backend.pool.into()).unwrap();
        assert_ne!(tunnel.mac.mac(), [0; 6], "a tunnel that is not there");
    }
    Ok(Found {
        pool,
        backend: owner.index,
        destination: owner.backend.destination,
        fallback: owner.decision == Decision::Fallback,
    })
}

/// The service of a flow.
fn service(flow: &Flow, tables: &impl Tables) -> Result<u32, End> {
    classify::service(flow, tables.control().unwrap().vips, tables)
}

/// Maps and what was to be in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct State<'a> {
    pub(super) maps: &'a MemoryMaps,
    pub(super) image: &'a MapImage,
}

/// The maps with some of the changes done: VIPs, services, pools and backends each old or new. What is new
/// is there before all changes, what goes is there after them.
struct Mixed<'a> {
    old: State<'a>,
    new: State<'a>,
    done: u8,
}

impl<'a> Mixed<'a> {
    fn from(&self, bit: u8, named: impl Fn(&MapImage) -> bool) -> &'a MemoryMaps {
        let (one, other) = if self.done & bit == 0 { (self.old, self.new) } else { (self.new, self.old) };
        if named(one.image) { one.maps } else { other.maps }
    }

    fn vips(&self) -> &'a MemoryMaps {
        self.from(VIPS, |_| true)
    }
}

const VIPS: u8 = 1;
const SERVICES: u8 = 2;
const POOLS: u8 = 4;
const BACKENDS: u8 = 8;

impl Tables for Mixed<'_> {
    fn control(&self) -> Option<&Control> {
        self.vips().control()
    }

    fn filter(&self, word: u32) -> Option<u64> {
        Some(self.old.maps.filter(word)? | self.new.maps.filter(word)?)
    }

    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        self.vips().bucket(index)
    }

    fn port_ranges(&self, index: u32) -> Option<&PortRanges> {
        self.vips().port_ranges(index)
    }
    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        self.from(SERVICES, |image| image.services.contains_key(&index)).service(index)
    }

    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.from(POOLS, |image| image.pools.contains_key(&index)).pool(index)
    }

    fn table(&self, index: u32) -> Option<&TableEntry> {
        let new = self.new.image.tables.contains_key(&index);
        if new { self.new.maps.table(index) } else { self.old.maps.table(index) }
    }

    fn slab(&self, word: u32) -> Option<u64> {
        let new = self.new.image.slab_word(word).is_some();
        if new { self.new.maps.slab(word) } else { self.old.maps.slab(word) }
    }

    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.from(BACKENDS, |image| image.backends.contains_key(&index)).backend(index)
    }

    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry> {
        self.from(POOLS, |image| image.tunnels.contains_key(&pool)).tunnel(pool)
    }

    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}

    fn count_dropped(&self, _service: u32) {}

    fn count_reason(&self, _reason: u32) {}
}

/// What a flow may find between the old maps and the new.
pub(super) struct Expectation {
    flow: Flow,
    found: Vec<Result<Found, End>>,
    /// Backends that serve before or after.
    serving: Vec<(u32, Address)>,
    /// Its VIP moves to another service, or the key changes, while there is a pool with nothing to send to.
    torn: bool,
}

impl Expectation {
    pub(super) fn new(flow: Flow, old: State, new: State) -> Self {
        let mixed = |done| Mixed { old, new, done };
        let all = VIPS | SERVICES | POOLS | BACKENDS;
        let found = (0..=all).map(|done| resolve(&flow, &mixed(done))).collect();
        let serving = [old.maps, new.maps].into_iter().flat_map(|maps| {
            let entries = (0..64).filter_map(|index| Some((index, maps.backend(index)?)));
            entries.filter(|(_, entry)| entry.route.flags.has(BackendFlags::SERVES))
        });
        let hollow = new.image.pools.values().any(|pool| pool.spare == NO_BACKEND);
        let key = |state: State| state.maps.control().map(Control::key);
        let moves = service(&flow, old.maps) != service(&flow, new.maps) || key(old) != key(new);
        let torn = hollow && moves;
        let serving = serving.map(|(index, entry)| (index, entry.destination)).collect();
        Self { flow, found, serving, torn }
    }

    /// 1. Where it goes is an old or a new choice at each stage; or, where a row's owner ceases or begins to
    ///    serve, a backend that stands in for it and serves before or after.
    /// 2. It goes nowhere only if it went or will go nowhere (but for the gap that the plan admits).
    /// 3. It never meets an entry that is not there.
    pub(super) fn check(&self, maps: &MemoryMaps, op: &Op) {
        let (before, after) = (self.found[0], self.found[self.found.len() - 1]);
        match resolve(&self.flow, maps) {
            Ok(found) => {
                assert!(self.allows(&found), "{:?}: {found:?} after {op:?}; {:?}", self.flow, self.found);
            }
            Err(end) => {
                assert!(
                    self.torn || before.is_err() || after.is_err(),
                    "{end:?} after {op:?}: {before:?} … {after:?}"
                );
                assert_ne!(end.reason(), Reason::MissingEntry as u32, "after {op:?}");
            }
        }
    }

    fn allows(&self, found: &Found) -> bool {
        let same = |other: &Found| (other.backend, other.destination) == (found.backend, found.destination);
        if self.found.iter().flatten().any(same) {
            return true;
        }
        let stands_in = self.serving.contains(&(found.backend, found.destination));
        found.fallback && stands_in && self.found.iter().flatten().any(|other| other.pool == found.pool)
    }
}
