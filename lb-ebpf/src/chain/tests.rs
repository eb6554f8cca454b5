use super::*;
use crate::select;
use lb_common::abi::{
    Control, NO_BACKEND, PoolEntry, Route, Selector, ServiceEntry, ServiceFlags, VipBucket,
};
use lb_common::row::Mode;
use std::collections::BTreeMap;
use std::vec::Vec;

const HASH: FlowHash = FlowHash(0x0123_4567_89ab_cdef);
const LOG2: u32 = 8;

/// Tables whose rows are all alike: for each its current owner and two earlier ones.
struct World {
    service: ServiceEntry,
    pools: Vec<PoolEntry>,
    tables: BTreeMap<u32, TableEntry>,
    backends: Vec<BackendEntry>,
    /// Of all rows.
    mode: Mode,
}

/// Owners of a region: its number is its first row divided by this.
const REGION: u32 = 1 << 16;

impl World {
    /// Pools with these owners, newest first, and a cluster table with those; one pool alone has none.
    fn new(pools: &[[u16; 3]], cluster: [u16; 3]) -> Self {
        let chain = Route {
            flags: BackendFlags::SERVES.with(BackendFlags::GUE).with(BackendFlags::CHAIN),
            interface: 1,
        };
        let table = |owners: [u16; 3], log2_rows| {
            let [current, newer, older] = owners.map(|owner| u32::from(owner) * REGION);
            TableEntry {
                current,
                stable: current,
                earlier: [newer, older],
                log2_rows,
                ..TableEntry::default()
            }
        };
        let select = if pools.len() == 1 { Selector::pool(0) } else { Selector::cluster_table(9) };
        let mut tables: BTreeMap<u32, TableEntry> =
            (1..).zip(pools.iter().map(|pool| table(*pool, LOG2))).collect();
        tables.insert(9, table(cluster, 12));
        let flags = ServiceFlags::UNTRACKED.with(ServiceFlags::CHAIN);
        Self {
            service: ServiceEntry { select, flags, ..ServiceEntry::default() },
            pools: (1..)
                .zip(pools)
                .map(|(table, _)| PoolEntry { table, spare: NO_BACKEND, reserved: 0 })
                .collect(),
            tables,
            backends: std::vec![BackendEntry { route: chain, ..BackendEntry::default() }; 16],
            mode: Mode::Chained,
        }
    }

    fn change(&mut self, backend: usize, change: impl FnOnce(BackendFlags) -> BackendFlags) {
        let flags = &mut self.backends[backend].route.flags;
        *flags = change(*flags);
    }

    fn chain(&self) -> Vec<u32> {
        let selection = select::select(HASH, self.service.select, self).unwrap();
        let index = selection.node.row.index();
        let (backend, clean) = (&self.backends[index as usize], selection.is_clean());
        let first = Owner { index, backend, decision: track::Decision::Current, clean };
        let earlier = earlier(HASH, self.service.select, selection.pool, &first, self);
        (0..earlier.count()).map(|at| earlier.index(at)).collect()
    }
}

impl Tables for World {
    fn control(&self) -> Option<&Control> {
        None
    }
    fn filter(&self, _: u32) -> Option<u64> {
        None
    }
    fn bucket(&self, _: u32) -> Option<&VipBucket> {
        None
    }
    fn service(&self, _: u32) -> Option<&ServiceEntry> {
        Some(&self.service)
    }
    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.pools.get(index as usize).copied()
    }
    fn table(&self, index: u32) -> Option<&TableEntry> {
        self.tables.get(&index)
    }
    fn slab(&self, word: u32) -> Option<u64> {
        let owner = u16::try_from(word * ROWS_PER_WORD / REGION).unwrap();
        Some(bytemuck::cast([Row::new(owner, self.mode); 4]))
    }
    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.backends.get(index as usize)
    }
    fn tunnel(&self, _: u32) -> Option<&lb_common::abi::TunnelEntry> {
        None
    }
    fn count_sent(&self, _: u32, _: u32, _: u64) {}
    fn count_dropped(&self, _: u32) {}
    fn count_reason(&self, _: u32) {}
}

#[test]
fn who_has_no_past_is_asked_alone() {
    assert_eq!(World::new(&[[5, 5, 5]], [0; 3]).chain(), []);
    assert_eq!(World::new(&[[5, 5, 5], [6, 6, 6]], [0; 3]).chain(), []);
}

#[test]
fn a_clean_row_is_not_asked_for_others() {
    let world = |mode| World { mode, ..World::new(&[[5, 6, 7]], [0; 3]) };
    assert_eq!(world(Mode::Clean).chain(), []);
    for mode in [Mode::Moving, Mode::Residue, Mode::Chained] {
        assert_eq!(world(mode).chain(), [6, 7], "{mode:?}");
    }
}

#[test]
fn the_earlier_owners_of_the_node_row_are_asked_newest_first() {
    assert_eq!(World::new(&[[5, 6, 5]], [0; 3]).chain(), [6]);
    assert_eq!(World::new(&[[5, 6, 7]], [0; 3]).chain(), [6, 7]);
}

#[test]
fn the_node_of_the_pool_before_is_asked() {
    assert_eq!(World::new(&[[5; 3], [6; 3]], [1, 0, 1]).chain(), [5]);
    assert_eq!(World::new(&[[5; 3], [6; 3], [7; 3]], [2, 0, 1]).chain(), [5, 6]);
    assert_eq!(World::new(&[[5, 8, 5], [6; 3]], [1, 0, 1]).chain(), [5, 8], "and who had its row");
}

#[test]
fn where_both_tiers_moved_the_likelier_are_asked() {
    assert_eq!(World::new(&[[5; 3], [6, 7, 8]], [1, 0, 1]).chain(), [7, 5, 8]);
    assert_eq!(World::new(&[[5, 9, 5], [6, 7, 6]], [1, 0, 1]).chain(), [7, 5, 9], "each tier moved once");
    assert_eq!(
        World::new(&[[5, 9, 10], [6, 7, 8], [11; 3]], [1, 0, 2]).chain(),
        [7, 5, 9],
        "no more than three"
    );
    assert_eq!(World::new(&[[6; 3], [6, 7, 8]], [1, 0, 1]).chain(), [7, 8], "nobody twice");
}

#[test]
fn who_does_not_serve_is_stood_in_for() {
    let mut world = World::new(&[[5, 6, 7]], [0; 3]);
    world.change(6, |flags| flags.without(BackendFlags::SERVES));
    assert_eq!(world.chain(), [7], "the row that stands in is the first's own");
    world.pools[0].spare = 4;
    assert_eq!(world.chain(), [7], "of those that stand in, the one that new flows go to");
    world.change(5, |flags| flags.without(BackendFlags::SERVES));
    assert_eq!(world.chain(), [4, 7], "the spare, where no row serves");
}

#[test]
fn only_whom_the_packet_can_reach_is_asked() {
    for flag in [BackendFlags::LOCAL, BackendFlags::OUTER_V6] {
        let mut world = World::new(&[[5, 6, 7]], [0; 3]);
        world.change(6, |flags| flags.with(flag));
        assert_eq!(world.chain(), [7], "{flag:?}");
    }
    let mut world = World::new(&[[5, 6, 7]], [0; 3]);
    world.change(6, |flags| flags.without(BackendFlags::CHAIN));
    assert_eq!(world.chain(), [7], "a node that knows nothing of it");
}
