use std::fmt;

/// Why an intention could not be compiled. The ledger is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A map is too small.
    #[error("{resource}: {needed} are needed (with those in quarantine), {limit} fit; {}", resource.mend())]
    Full {
        /// What ran out.
        resource: Resource,
        /// How many this generation and the quarantine need.
        needed: u64,
        /// How many there are.
        limit: u64,
    },
    /// There are free rows enough, but not beside each other.
    #[error("no {rows} free rows beside each other among {limit}; {}", Resource::Rows.mend())]
    Fragmented {
        /// Rows of the table that found no place.
        rows: u32,
        /// Rows of the slab.
        limit: u32,
    },
    /// No seed gave each VIP key a place, which is next to impossible below half load.
    #[error("{keys} VIP keys cannot be placed in 2^{log2} buckets; raise gateway.limits.services")]
    Crowded {
        /// Number of keys.
        keys: u64,
        /// Log2 of the buckets.
        log2: u8,
    },
}

/// What a map holds a limited number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Services.
    Services,
    /// Pools.
    Pools,
    /// Endpoints of all pools.
    Backends,
    /// Tables: one a pool, one for each list of pools and weights.
    Tables,
    /// Rows of all tables.
    Rows,
    /// Access policies that services name.
    AccessPolicies,
    /// Ranges of ports of one VIP and protocol.
    PortRanges,
    /// VIP addresses, and combinations of address, port and protocol.
    VipKeys,
    /// Server ids of the services that route QUIC by connection id, in each of their configurations.
    QuicServers,
}

impl Resource {
    fn mend(self) -> &'static str {
        match self {
            Self::Services | Self::VipKeys => "raise gateway.limits.services",
            Self::Backends => "raise gateway.limits.backends (at most 16384), or remove endpoints",
            Self::Rows => "raise gateway.limits.rows, or lower the pools' rows",
            Self::QuicServers => "raise gateway.limits.backends, or remove a QUIC configuration",
            Self::Pools => "merge pools; 16384 is the most that fit a row",
            Self::PortRanges => "join ranges, or use port 0",
            Self::AccessPolicies => "let services share policies",
            Self::Tables => "wait until the quarantine is over, or raise gateway.limits.services",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Services => "services",
            Self::Pools => "pools",
            Self::Backends => "backends",
            Self::Tables => "tables",
            Self::Rows => "table rows",
            Self::AccessPolicies => "access policies",
            Self::PortRanges => "port ranges of a VIP",
            Self::VipKeys => "VIP keys",
            Self::QuicServers => "QUIC server ids",
        })
    }
}

/// Why a record found in the pins cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// An index beyond the maps.
    #[error("the record names {resource} index {index}, of {limit}; the maps were made with other limits")]
    OutOfRange {
        /// Of what.
        resource: Resource,
        /// The index; of rows, the end of the region.
        index: u64,
        /// How many there are.
        limit: u64,
    },
    /// The same index twice.
    #[error("the record gives {resource} index {index} to two owners; it is damaged")]
    Twice {
        /// Of what.
        resource: Resource,
        /// The index; of rows, the region's first.
        index: u64,
    },
}
