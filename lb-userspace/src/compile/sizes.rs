use crate::config::model::Limits;
use lb_common::row::{MAX_INDEX, ROWS_PER_WORD};

/// Indices that fit a row.
const ROW_INDICES: u32 = MAX_INDEX as u32 + 1;
/// VIP keys provided for each service: an IPv4 and an IPv6 VIP, each once as such and once with a port.
const KEYS_PER_SERVICE: u32 = 4;
/// What a bucket number can count to.
const MAX_BUCKETS_LOG2: u32 = 20;

/// Number of entries of each map, which follows from the configured limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Entries of `services` and `service_stats`.
    pub services: u32,
    /// Entries of `pools` and `tunnels`.
    pub pools: u32,
    /// Entries of `tables`, the unused entry 0 included.
    pub tables: u32,
    /// Entries of `backends` and `backend_stats`.
    pub backends: u32,
    /// Rows of `slab`, a multiple of four.
    pub rows: u32,
    /// Entries of `connections`.
    pub connections: u32,
    /// Entries of `access_prefixes`: a policy that changes has both lists for a moment.
    pub access_prefixes: u32,
    /// Log2 of the buckets of one half of `vips`.
    pub half_log2: u8,
}

impl Sizes {
    /// The sizes for these limits. Tables have room for two generations.
    pub fn of(limits: &Limits) -> Self {
        let backends = limits.backends.clamp(1, ROW_INDICES);
        let services = limits.services.max(1);
        let keys = services.saturating_mul(KEYS_PER_SERVICE).clamp(16, 1 << MAX_BUCKETS_LOG2);
        #[expect(clippy::cast_possible_truncation, reason = "at most 20")]
        let half_log2 = keys.next_power_of_two().ilog2() as u8;
        let tables = services.saturating_add(ROW_INDICES).saturating_mul(2).saturating_add(1);
        let rows = limits.rows - limits.rows % ROWS_PER_WORD;
        let connections = limits.connections.max(1);
        let access_prefixes = limits.access_prefixes.max(1).saturating_mul(2);
        Self { services, pools: ROW_INDICES, tables, backends, rows, connections, access_prefixes, half_log2 }
    }

    /// Connections that may be recorded in a second, of new flows and of older ones each: 1/128 of the table,
    /// so that a flood of SYNs needs minutes to push out what is in use.
    pub fn inserts(&self) -> [u32; 2] {
        [(self.connections / 128).max(16); 2]
    }

    /// QUIC server ids of one generation: each endpoint in two configurations of one service, or in one of two.
    pub fn quic_servers(&self) -> u32 {
        self.backends * 2
    }

    /// Entries of `quic_servers`: those of a generation are there before those of the one before it go.
    pub fn quic_entries(&self) -> u32 {
        self.quic_servers() * 2
    }

    /// Entries of `slab`.
    pub fn slab_words(&self) -> u32 {
        self.rows / ROWS_PER_WORD
    }

    /// Entries of `port_ranges`: as many for each half of `vips` as there are services.
    pub fn port_ranges(&self) -> u32 {
        self.services.saturating_mul(2)
    }

    /// Entries of `vips`: both halves.
    pub fn buckets(&self) -> u32 {
        2 << self.half_log2
    }
}
