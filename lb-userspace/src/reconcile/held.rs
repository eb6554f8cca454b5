//! What a ledger asks of the maps that it adopts.

use super::KernelView;
use super::diff::read;
use crate::compile::Held;
use lb_common::abi::{BackendEntry, PoolEntry, Selector, ServiceEntry, map};
use lb_common::row::{ROWS_PER_WORD, Row};

impl<K: KernelView> Held for K {
    fn pool_table(&self, pool: u16) -> Option<u32> {
        let entry: PoolEntry = read(self, map::POOLS, pool.into());
        Some(entry.table).filter(|table| *table != 0)
    }

    fn selection(&self, service: u32) -> (Option<u32>, Option<u16>) {
        let ServiceEntry { select, .. } = read(self, map::SERVICES, service);
        match select.single_pool() {
            Some(pool) => (None, u16::try_from(pool).ok()),
            None if select == Selector::NONE => (None, None),
            None => (Some(select.table()), None),
        }
    }

    fn rows(&self, base: u32, count: u32) -> Vec<Row> {
        let mut words = vec![0; (count / ROWS_PER_WORD) as usize];
        self.read(map::SLAB, (base / ROWS_PER_WORD) as usize, &mut words);
        words.into_iter().flat_map(bytemuck::cast::<u64, [Row; ROWS_PER_WORD as usize]>).collect()
    }

    fn rests(&self, backend: u16) -> bool {
        let entry: BackendEntry = read(self, map::BACKENDS, backend.into());
        entry != BackendEntry::default() && !entry.serves()
    }
}
