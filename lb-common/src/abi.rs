//! What lies in the maps. The ABI version stands in the pin path: maps of another version are never
//! adopted, for a pinned map is reused by the loader without a check of its type or size.
//!
//! | map | type | key | value |
//! | --- | --- | --- | --- |
//! | `control` | array, 1 | 0 | [`Control`] |
//! | `vip_filter` | array | word | 64 bits, one per hashed VIP address |
//! | `vips` | array | bucket | [`VipBucket`] |
//! | `port_ranges` | array | [`PortRanges::index`] | [`PortRanges`] |
//! | `services` | array | service index | [`ServiceEntry`] |
//! | `pools` | array | pool index | [`PoolEntry`] |
//! | `tables` | array | table index | [`TableEntry`], immutable once a pool or service names it |
//! | `slab` | array | word | four [`Row`](crate::row::Row)s |
//! | `backends` | array | backend index | [`BackendEntry`] |
//! | `tunnels` | array | pool index | [`TunnelEntry`] |
//! | `service_stats` | per-CPU array | service index | [`ServiceCounters`] |
//! | `backend_stats` | per-CPU array | backend index | [`BackendCounters`] |
//! | `reason_stats` | per-CPU array | [`Reason`](crate::reason::Reason) | packets, `u64` |
//! | `devices` | device map hash | interface index | interface index |
//! | `connections` | LRU hash | [`Flow::connection`](crate::flow::Flow::connection) | [`Connection`] |
//! | `budgets` | array | [`Insert`] or [`Reply`] | [`Budget`] |
//! | `fragments` | LRU hash | [`Flow::fragment`](crate::flow::Flow::fragment) | [`FragmentEntry`] |
//! | `programs` | program array | [`Program`] | the program |
//! | `tracking_stats` | per-CPU array, 1 | 0 | [`TrackingCounters`] |
//! | `quic_servers` | hash | [`QuicKey`] | [`QuicServer`] |
//! | `access_policies` | array | policy index, from 1 | [`AccessPolicy`] |
//! | `access_prefixes` | LPM trie | [`AccessKey`] | [`AccessFlags`] |
//! | `source_buckets` | LRU hash | [`SourceKey`] | [`SourceBucket`] |
//! | `probes` | hash | [`ProbeMark`] | [`ProbeEntry`] |
//! | `probe_stats` | per-CPU array, 1 | 0 | [`ProbeCounters`] |
//! | `sampled_flows` | array | bits of the key | [`SampledFlow`] |
//! | `evidence` | array | backend index | [`Evidence`] |
//! | `events` | ring buffer | | [`Event`] |
//! | `event_budgets` | array | [`EventKind`] | [`Budget`] |
//! | `state` | array | word | the agent's own record of names and indices; the program never reads it |
//!
//! All but the counters per CPU, `devices`, `connections`, `budgets`, `fragments`, `programs`, `quic_servers`, `access_prefixes`,
//! `source_buckets`, `probes`, `sampled_flows`, `events` and `event_budgets` are memory-mapped by the agent. What must change as one lies in one
//! aligned 64-bit word, and is stored as one.

/// A set of bits that crosses to the kernel as a plain number.
macro_rules! flag_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $bit:literal;)* }) => {
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name(u32);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self(1 << $bit);)*

            /// Whether all bits of `other` are set.
            #[inline(always)]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Those of `other` that are set, as a plain number.
            #[inline(always)]
            pub const fn of(self, other: Self) -> u32 {
                self.0 & other.0
            }

            /// Whether any bit of `other` is set.
            #[inline(always)]
            pub const fn has_any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Both sets of bits.
            #[inline(always)]
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Those of these bits that `other` has too.
            #[inline(always)]
            #[must_use]
            pub const fn only(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// These bits but for those of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}

mod access;
mod backend;
mod budget;
mod connection;
mod control;
mod counters;
mod event;
mod evidence;
mod features;
mod fragment;
mod ports;
mod probe;
mod program;
mod quic;
mod receiver;
mod service;
mod table;
mod tag;
mod tunnel;
mod vip;

pub use access::{
    ACCESS_POLICIES, AccessFlags, AccessKey, AccessPolicy, SOURCE_BUCKETS, SourceBucket, SourceKey,
};
pub use backend::{BackendEntry, BackendFlags, LinkAddress, OUTER_TTL, Route, outer_v4_sum};
pub use budget::{BUDGETS, Budget, Reply};
pub use connection::{Connection, Insert, TrackingCounters};
pub use control::{Control, TagEpoch, VipTable};
pub use counters::{BackendCounters, ServiceCounters};
pub use event::{EVENT_BYTES, Event, EventKind};
pub use evidence::{Evidence, HANDSHAKE_BUCKETS, SAMPLED_FLOWS, SampledFlow};
pub use features::Features;
pub use fragment::{FRAGMENTS, FragmentEntry};
pub use ports::{PortRange, PortRanges, RANGES_PER_LINE};
pub use probe::{ProbeCounters, ProbeEntry, ProbeMark};
pub use program::Program;
pub use quic::{MAX_SERVER_ID, QUIC_CONFIGS, QuicKey, QuicLengths, QuicServer};
pub use receiver::{
    Accepted, AcceptedFlags, NodeHop, OWNED_FLOWS, Owned, OwnedKey, PEERS, RECEIVER_STATE_WORDS, REFUSALS,
    RefusedKey, SegmentLimits, TunnelCounters, TunnelKind, WANTED_HOPS, receiver_map,
};
pub use service::{Redirected, Selector, ServiceEntry, ServiceFlags};
pub use table::{ASKED, EARLIER, MAX_LOG2_ROWS, NO_BACKEND, PoolEntry, TableEntry};
pub use tag::{EPOCHS, KnownKey, TunnelKey};
pub use tunnel::{INNER_SOURCE, TunnelEntry};
pub use vip::{FILTER_WORDS, SLOTS_PER_BUCKET, VipBucket, VipFlags, VipKey, VipSlot};

/// Version of everything in this module.
pub const VERSION: u32 = 6;

/// Names of the maps, as pinned.
pub mod map {
    /// See the module's table.
    pub const CONTROL: &str = "control";
    /// See the module's table.
    pub const VIP_FILTER: &str = "vip_filter";
    /// See the module's table.
    pub const VIPS: &str = "vips";
    /// See the module's table.
    pub const PORT_RANGES: &str = "port_ranges";
    /// See the module's table.
    pub const SERVICES: &str = "services";
    /// See the module's table.
    pub const POOLS: &str = "pools";
    /// See the module's table.
    pub const TABLES: &str = "tables";
    /// See the module's table.
    pub const SLAB: &str = "slab";
    /// See the module's table.
    pub const BACKENDS: &str = "backends";
    /// See the module's table.
    pub const TUNNELS: &str = "tunnels";
    /// See the module's table.
    pub const SERVICE_STATS: &str = "service_stats";
    /// See the module's table.
    pub const BACKEND_STATS: &str = "backend_stats";
    /// See the module's table.
    pub const REASON_STATS: &str = "reason_stats";
    /// See the module's table.
    pub const DEVICES: &str = "devices";
    /// See the module's table.
    pub const CONNECTIONS: &str = "connections";
    /// See the module's table.
    pub const BUDGETS: &str = "budgets";
    /// See the module's table.
    pub const TRACKING_STATS: &str = "tracking_stats";
    /// See the module's table.
    pub const FRAGMENTS: &str = "fragments";
    /// See the module's table.
    pub const PROGRAMS: &str = "programs";
    /// See the module's table.
    pub const QUIC_SERVERS: &str = "quic_servers";
    /// See the module's table.
    pub const ACCESS_POLICIES: &str = "access_policies";
    /// See the module's table.
    pub const ACCESS_PREFIXES: &str = "access_prefixes";
    /// See the module's table.
    pub const SOURCE_BUCKETS: &str = "source_buckets";
    /// See the module's table.
    pub const PROBES: &str = "probes";
    /// See the module's table.
    pub const PROBE_STATS: &str = "probe_stats";
    /// See the module's table.
    pub const SAMPLED_FLOWS: &str = "sampled_flows";
    /// See the module's table.
    pub const EVIDENCE: &str = "evidence";
    /// See the module's table.
    pub const EVENTS: &str = "events";
    /// See the module's table.
    pub const EVENT_BUDGETS: &str = "event_budgets";
    /// See the module's table.
    pub const STATE: &str = "state";
    /// Every map.
    pub const ALL: [&str; 30] = [
        CONTROL,
        VIP_FILTER,
        VIPS,
        PORT_RANGES,
        SERVICES,
        POOLS,
        TABLES,
        SLAB,
        BACKENDS,
        TUNNELS,
        SERVICE_STATS,
        BACKEND_STATS,
        REASON_STATS,
        DEVICES,
        CONNECTIONS,
        BUDGETS,
        TRACKING_STATS,
        FRAGMENTS,
        PROGRAMS,
        QUIC_SERVERS,
        ACCESS_POLICIES,
        ACCESS_PREFIXES,
        SOURCE_BUCKETS,
        PROBES,
        PROBE_STATS,
        SAMPLED_FLOWS,
        EVIDENCE,
        EVENTS,
        EVENT_BUDGETS,
        STATE,
    ];
}
