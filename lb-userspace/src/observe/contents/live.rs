use std::collections::{BTreeMap, HashSet};

use lb_common::abi::{BackendCounters, Evidence, PortRanges, ServiceCounters, map};
use lb_common::row::ROWS_PER_WORD;

use super::Contents;
use crate::reconcile::MemoryMaps;

/// Which entries somebody wrote.
#[derive(Debug, Clone)]
pub struct Live {
    /// Services that a VIP names.
    services: HashSet<u32>,
    /// Regions of the slab that a table names: end by first row.
    regions: BTreeMap<u32, u32>,
}

impl Live {
    /// What the entries of a snapshot name.
    pub fn of(snapshot: &MemoryMaps) -> Self {
        let slots = snapshot.vips.iter().flat_map(|bucket| &bucket.slots);
        let ports = slots.filter(|slot| slot.key.protocol() != 0 && !slot.key.is_of_tunnel());
        let single = ports.filter(|slot| !slot.key.is_of_ranges()).map(|slot| slot.service);
        let lines = snapshot.ranges.iter().filter(|line| **line != PortRanges::default());
        let services = single.chain(lines.flat_map(PortRanges::services)).collect();
        let mut regions = BTreeMap::new();
        for table in snapshot.tables.iter().filter(|table| table.log2_rows > 0) {
            let rows = 1_u32.checked_shl(table.log2_rows).unwrap_or(u32::MAX);
            for first in [table.current, table.stable].into_iter().chain(table.earlier) {
                let end = regions.entry(first).or_default();
                *end = first.saturating_add(rows).max(*end);
            }
        }
        Self { services, regions }
    }

    /// Whether a dump of the map has the entry.
    pub fn has(&self, name: &str, index: u32, contents: Contents) -> bool {
        let (snapshot, at) = (contents.snapshot, index as usize);
        match name {
            map::CONTROL => true,
            map::VIP_FILTER => written(&snapshot.filter, at),
            map::VIPS => written(&snapshot.vips, at),
            map::PORT_RANGES => written(&snapshot.ranges, at),
            map::SERVICES => self.services.contains(&index) || written(&snapshot.services, at),
            map::POOLS => written(&snapshot.pools, at),
            map::TABLES => written(&snapshot.tables, at),
            map::SLAB => self.in_region(index) || written(&snapshot.slab, at),
            map::BACKENDS => written(&snapshot.backends, at),
            map::TUNNELS => written(&snapshot.tunnels, at),
            map::ACCESS_POLICIES => written(&snapshot.access, at),
            map::SERVICE_STATS => contents.counts.service(index) != ServiceCounters::default(),
            map::EVIDENCE => contents.counts.evidence(index) != Evidence::default(),
            map::BACKEND_STATS => contents.counts.backend(index) != BackendCounters::default(),
            _ => false,
        }
    }

    fn in_region(&self, word: u32) -> bool {
        let row = word.saturating_mul(ROWS_PER_WORD);
        self.regions.range(..=row).next_back().is_some_and(|(_, end)| row < *end)
    }
}

/// Whether an entry has a bit set.
fn written<T: bytemuck::Pod>(entries: &[T], at: usize) -> bool {
    entries.get(at).is_some_and(|entry| bytemuck::bytes_of(entry).iter().any(|byte| *byte != 0))
}
