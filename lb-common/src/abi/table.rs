use bytemuck::{Pod, Zeroable};

/// No backend: an index that no row can hold.
pub const NO_BACKEND: u16 = u16::MAX;

/// Log2 of the rows of the largest table.
pub const MAX_LOG2_ROWS: u32 = 20;

/// Other nodes that may be asked after the one that a packet is sent to, whose addresses it carries.
pub const ASKED: usize = 3;

/// Earlier owners that a row remembers under `tracking: chain`, beside the current one.
pub const EARLIER: usize = 2;

/// A pool: its node table and the last resort. Eight bytes, stored as one word.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct PoolEntry {
    /// Index of the node table; 0: the pool has none.
    pub table: u32,
    /// A backend that serves, for packets whose fallback rows do not; [`NO_BACKEND`]: there is none.
    pub spare: u16,
    /// Zero.
    pub reserved: u16,
}

impl Default for PoolEntry {
    fn default() -> Self {
        Self { table: 0, spare: NO_BACKEND, reserved: 0 }
    }
}

/// Where a table's rows lie. Never changed while a pool or service names it, so that a reader sees one
/// generation whole. Index 0 is never used.
#[repr(C, align(32))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TableEntry {
    /// First row of the current owners, in rows; a multiple of four.
    pub current: u32,
    /// First row of the owners from when the rows were last clean; equals `current` where none are kept.
    pub stable: u32,
    /// First rows of the last two other owners that each row had, the newer ones first: a row that had none has its
    /// current owner there. Both equal `current` where none are kept.
    pub earlier: [u32; EARLIER],
    /// Log2 of the number of rows.
    pub log2_rows: u32,
    /// Which version of the table this is; counts up.
    pub generation: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

impl TableEntry {
    /// Whether it knows of earlier owners.
    #[inline(always)]
    pub const fn remembers(&self) -> bool {
        self.earlier[0] != self.current
    }
}

const _: () = assert!(size_of::<PoolEntry>() == 8 && size_of::<TableEntry>() == 32);
