//! What the maps should hold, in full but sparsely: an index that is not here holds nothing.

use crate::config::model::AccessList;
use lb_common::abi::{
    AccessPolicy, BackendEntry, Control, PoolEntry, PortRanges, QuicKey, QuicServer, ServiceEntry,
    TableEntry, TunnelEntry, VipBucket,
};
use lb_common::row::{ROWS_PER_WORD, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The maps' content.
///
/// The VIP table lies at bucket 0 here. In which half of the kernel's map it belongs depends on which half
/// packets are looked up in, so that the plan decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapImage {
    /// The generation of the record that explains it.
    pub generation: u32,
    /// Hash key and VIP table.
    pub control: Control,
    /// All words of the VIP filter.
    pub filter: Vec<u64>,
    /// The buckets of the VIP table.
    pub vips: Vec<VipBucket>,
    /// Lines of port ranges, which the VIP table names by their number.
    pub ranges: Vec<PortRanges>,
    /// By index.
    pub services: BTreeMap<u32, ServiceEntry>,
    /// By index.
    pub pools: BTreeMap<u32, PoolEntry>,
    /// By index.
    pub tables: BTreeMap<u32, TableEntry>,
    /// Regions by first row, a multiple of four.
    pub slab: BTreeMap<u32, Arc<[Row]>>,
    /// By index.
    pub backends: BTreeMap<u32, BackendEntry>,
    /// By index of the pool.
    pub tunnels: BTreeMap<u32, TunnelEntry>,
    /// Who has which server id.
    pub quic_servers: BTreeMap<QuicKey, QuicServer>,
    /// Access policies by index, from 1.
    pub access: BTreeMap<u32, AccessPolicy>,
    /// Their prefixes, by the same index.
    pub prefixes: BTreeMap<u32, Arc<AccessList>>,
}

impl MapImage {
    /// A word of the slab: four rows. `None` where no region lies.
    pub fn slab_word(&self, word: u32) -> Option<u64> {
        let row = word.checked_mul(ROWS_PER_WORD)?;
        let (base, rows) = self.slab.range(..=row).next_back()?;
        // By its place: to walk there from the first would cost a look through a table its square.
        let (words, _) = rows.as_chunks::<{ ROWS_PER_WORD as usize }>();
        words.get(((row - base) / ROWS_PER_WORD) as usize).map(|rows| bytemuck::cast(*rows))
    }
}

/// The words of a region.
pub fn region_words(rows: &[Row]) -> impl ExactSizeIterator<Item = u64> + '_ {
    let (words, _) = rows.as_chunks::<{ ROWS_PER_WORD as usize }>();
    words.iter().map(|rows| bytemuck::cast(*rows))
}
