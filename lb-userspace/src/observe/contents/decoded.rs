use std::net::IpAddr;

use lb_common::abi::{
    BackendCounters, BackendEntry, BackendFlags, Budget, Connection, Control, EARLIER, Evidence,
    FragmentEntry, HANDSHAKE_BUCKETS, NO_BACKEND, PoolEntry, ProbeCounters, ProbeEntry, ProbeMark,
    QUIC_CONFIGS, QuicKey, QuicServer, Redirected, Selector, ServiceCounters, ServiceEntry, ServiceFlags,
    TableEntry, TrackingCounters, TunnelEntry,
};
use lb_common::net::Address;
use lb_common::reason::Reason;
use lb_common::row::{ROWS_PER_WORD, Row};
use serde::Serialize;

use super::vip::{Range, Slot};
use crate::compile::Record;
use crate::config::model::ServerId;
use crate::observe::names::{encapsulation, mode};
use crate::observe::next_hop::{InterfaceName, NextHop, mac};
use crate::observe::published::{Agent, Published};

/// An entry of a map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry<V = Decoded> {
    /// Index or name.
    pub key: Key,
    /// What lies there.
    pub value: V,
}

/// An entry's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Key {
    /// Of an array.
    Index(u32),
    /// Of what has names.
    Text(String),
}

/// An entry's value. Which it is follows from the map.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "fields are those of `lb_common::abi`, under the same names")]
pub enum Decoded {
    /// `control`, and the epoch of tags. Secret and keys are not shown.
    Control { vips: VipTable, secret: &'static str, tag_epoch: Option<u8> },
    /// `vip_filter`: 64 bits.
    Filter { bits: String },
    /// `vips`: a bucket, and whether it is of the table in force.
    Bucket { in_force: bool, slots: Vec<Slot> },
    /// `vips`: the slot of a key.
    Slot {
        bucket: u32,
        #[serde(flatten)]
        slot: Slot,
    },
    /// `port_ranges`: the services of ranges.
    PortRanges(Vec<Range>),
    /// `services`: one pool, or a cluster table, or neither; the pool that takes what other clusters' gateways send here;
    /// under client affinity the masks.
    Service {
        pool: Option<u32>,
        cluster_table: Option<u32>,
        local_pool: Option<u32>,
        tracking: &'static str,
        udp_on_change: &'static str,
        affinity: &'static str,
        access: Option<u32>,
        mask_v4: Option<IpAddr>,
        mask_v6: Option<IpAddr>,
        quic: Option<Vec<QuicView>>,
    },
    /// `quic_servers`; `shortest` in bytes.
    QuicServer { backend: u32, shortest: u32 },
    /// `pools`.
    Pool { table: Option<u32>, spare: Option<u16> },
    /// `tables`: first rows of the regions in the slab, and their length.
    Table { current: u32, stable: u32, earlier: [u32; EARLIER], rows: u64, generation: u32 },
    /// `slab`: a word.
    Rows([RowView; ROWS_PER_WORD as usize]),
    /// `backends`.
    Backend {
        destination: IpAddr,
        pool: u16,
        serves: bool,
        local: bool,
        gateway: bool,
        encap: &'static str,
        port: Option<u16>,
        source: Option<IpAddr>,
        source_mac: String,
        next_hop: Option<NextHop>,
    },
    /// `tunnels`.
    Tunnel { vni: u32, mac: String },
    /// `service_stats`, over all CPUs.
    ServiceCounters { packets: u64, bytes: u64, dropped: u64 },
    /// `backend_stats`, over all CPUs.
    BackendCounters { packets: u64, bytes: u64 },
    /// `evidence`: what sampled flows came to; `times` of handshakes, whose buckets end at 256 µs and each at twice as much.
    #[serde(rename_all = "camelCase")]
    Evidence {
        begun: u64,
        completed: u64,
        retried: u64,
        recovered: u64,
        abandoned: u64,
        resets: u64,
        active: u64,
        in_a_row: u64,
        times: [u64; HANDSHAKE_BUCKETS],
    },
    /// `connections`; `seen` in seconds of the kernel's monotonic clock.
    Connection { service: u32, backend: u16, closing: bool, redirected: bool, hash: String, seen: u64 },
    /// `fragments`: what a first fragment told.
    #[serde(rename_all = "camelCase")]
    Fragment { source_port: u16, destination_port: u16, protocol: u32 },
    /// `access_policies`: what becomes of a source that no prefix holds.
    AccessPolicy { default: &'static str, prefixes: bool, interval: u32, seal: String },
    /// `access_prefixes`: what becomes of the sources in it.
    AccessPrefix { policy: u32, sources: &'static str },
    /// `source_buckets`: when it is full again, in nanoseconds of the kernel's monotonic clock.
    SourceBucket { policy: u32, full: u64 },
    /// `budgets`: what was used up within a second of that clock (of 2^30 ns).
    Budget { kind: &'static str, second: u64, used: u64 },
    /// `tracking_stats`, over all CPUs.
    TrackingCounters { hits: u64, inserted: u64, refused_new: u64, refused_missed: u64 },
    /// `probes`: the entry of `backends` that packets with a mark go by, if it has this address.
    Probe { destination: IpAddr, backend: u16, pool: u16, interface: String },
    /// `probe_stats`, over all CPUs.
    ProbeCounters { sent: u64, dropped: u64 },
    /// `reason_stats`, over all CPUs.
    Reason { number: u32, packets: u64, expected: bool, sentence: &'static str },
    /// `devices`.
    Device { interface: String },
    /// `state`: the agent.
    Agent(Agent),
    /// `state`: names and indices.
    Record(Record),
}

/// Which part of `vips` is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VipTable {
    /// First bucket.
    pub base: u32,
    /// Number of buckets.
    pub buckets: u32,
    /// Seed of the bucket hash.
    pub seed: u32,
}

/// How a service's connection ids are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuicView {
    /// Number of the configuration.
    pub config: u32,
    /// Bytes of a server id.
    pub server_id_length: u32,
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowView {
    /// Of the owner: a backend's, or in a cluster table a pool's.
    pub index: u32,
    /// `clean`, `moving` or `residue`.
    pub mode: &'static str,
}

impl Decoded {
    pub(super) fn control(control: &Control) -> Self {
        let (base, buckets, seed) = (control.vips.base(), 1 << control.vips.log2(), control.vips.seed());
        let tag_epoch = control.tunnel_key().map(|(epoch, _)| epoch);
        Self::Control { vips: VipTable { base, buckets, seed }, secret: "not shown", tag_epoch }
    }

    pub(super) fn filter(bits: u64) -> Self {
        Self::Filter { bits: format!("0x{bits:016x}") }
    }

    pub(super) fn service(entry: &ServiceEntry) -> Self {
        let client = entry.flags.has(ServiceFlags::CLIENT_AFFINITY);
        let pool = entry.select.single_pool();
        let table = pool.is_none() && entry.select != Selector::NONE;
        Self::Service {
            pool,
            cluster_table: table.then(|| entry.select.table()),
            local_pool: entry.selector(Redirected::YES).single_pool(),
            tracking: if entry.flags.has(ServiceFlags::CHAIN) {
                "chain"
            } else if entry.flags.has(ServiceFlags::UNTRACKED) {
                "none"
            } else if entry.flags.has(ServiceFlags::FULLY_TRACKED) {
                "full"
            } else {
                "transition"
            },
            udp_on_change: if entry.flags.has(ServiceFlags::UDP_MOVES) { "move" } else { "keep" },
            access: entry.flags.has(ServiceFlags::ADMISSION).then_some(entry.access),
            affinity: if client {
                "client"
            } else if entry.flags.has(ServiceFlags::THREE_TUPLE) {
                "three-tuple"
            } else {
                "flow"
            },
            mask_v4: client.then(|| Address::from_v4_word(entry.mask_v4).into()),
            mask_v6: client.then(|| Address::from_v6_words(entry.mask_v6).into()),
            quic: entry.flags.has(ServiceFlags::QUIC).then(|| {
                let view = |config| QuicView { config, server_id_length: entry.quic.of(config) };
                (0..QUIC_CONFIGS).map(view).filter(|view| view.server_id_length > 0).collect()
            }),
        }
    }

    pub(super) fn pool(entry: PoolEntry) -> Self {
        Self::Pool {
            table: Some(entry.table).filter(|table| *table != 0),
            spare: Some(entry.spare).filter(|spare| *spare != NO_BACKEND),
        }
    }

    pub(super) fn table(entry: &TableEntry) -> Self {
        let TableEntry { current, stable, earlier, log2_rows, generation, .. } = *entry;
        Self::Table { current, stable, earlier, rows: 1 << log2_rows.min(u32::BITS), generation }
    }

    pub(super) fn rows(word: u64) -> Self {
        let rows: [Row; ROWS_PER_WORD as usize] = bytemuck::cast(word);
        Self::Rows(rows.map(|row| RowView { index: row.index(), mode: mode(row) }))
    }

    pub(super) fn backend(entry: &BackendEntry, name: InterfaceName) -> Self {
        Self::Backend {
            destination: entry.destination.into(),
            pool: entry.pool,
            serves: entry.serves(),
            local: entry.route.flags.has(BackendFlags::LOCAL),
            gateway: entry.route.flags.has(BackendFlags::GATEWAY),
            encap: encapsulation(entry),
            port: Some(entry.port.get()).filter(|port| *port != 0),
            source: Some(IpAddr::from(entry.source)).filter(|source| !source.is_unspecified()),
            source_mac: mac(&entry.source_mac),
            next_hop: NextHop::of(entry, name),
        }
    }

    pub(super) fn tunnel(entry: &TunnelEntry) -> Self {
        Self::Tunnel { vni: entry.number(), mac: mac(&entry.mac) }
    }
}

impl From<ServiceCounters> for Decoded {
    fn from(counters: ServiceCounters) -> Self {
        let ServiceCounters { packets, bytes, dropped, .. } = counters;
        Self::ServiceCounters { packets, bytes, dropped }
    }
}

impl From<BackendCounters> for Decoded {
    fn from(BackendCounters { packets, bytes }: BackendCounters) -> Self {
        Self::BackendCounters { packets, bytes }
    }
}

impl From<Evidence> for Decoded {
    fn from(evidence: Evidence) -> Self {
        let Evidence { begun, completed, retried, recovered, abandoned, resets, active, in_a_row, times } =
            evidence;
        Self::Evidence { begun, completed, retried, recovered, abandoned, resets, active, in_a_row, times }
    }
}

/// Of the budgets, by [`Insert`](lb_common::abi::Insert) and [`Reply`](lb_common::abi::Reply).
const KINDS: [&str; 4] = ["new", "missed", "echo", "too-big"];

impl Entry {
    pub(super) fn of_reason(reason: Reason, packets: u64) -> Self {
        let (number, expected, sentence) = (reason as u32, reason.expected(), reason.sentence());
        let value = Decoded::Reason { number, packets, expected, sentence };
        Self { key: Key::Text(reason.name().to_owned()), value }
    }

    pub(super) fn of_connection((key, connection): &(u64, Connection)) -> Self {
        let value = Decoded::Connection {
            service: connection.service,
            backend: connection.backend,
            closing: connection.is_closing(),
            redirected: connection.redirected().is(),
            hash: format!("0x{:016x}", connection.hash),
            seen: connection.seen / 1_000_000_000,
        };
        Self { key: Key::Text(format!("0x{key:016x}")), value }
    }

    pub(super) fn of_fragment((key, entry): &(u64, FragmentEntry)) -> Self {
        let FragmentEntry { source_port, destination_port, protocol } = *entry;
        let (source_port, destination_port) = (source_port.get(), destination_port.get());
        let value = Decoded::Fragment { source_port, destination_port, protocol };
        Self { key: Key::Text(format!("0x{key:016x}")), value }
    }

    pub(super) fn of_quic_server((key, server): (&QuicKey, &QuicServer)) -> Self {
        let (bytes, length) = key.server_id();
        let id = bytes.get(..length).and_then(ServerId::new).map_or_else(String::new, |id| id.to_string());
        let value = Decoded::QuicServer { backend: server.backend, shortest: server.shortest };
        Self { key: Key::Text(format!("{}/{}/{id}", key.service, key.config())), value }
    }

    pub(super) fn of_budget((index, budget): (u32, &Budget)) -> Self {
        let kind = KINDS.get(index as usize).copied().unwrap_or_default();
        let value = Decoded::Budget { kind, second: budget.second, used: budget.used };
        Self { key: Key::Index(index), value }
    }

    pub(super) fn of_tracking(counters: TrackingCounters) -> Self {
        let TrackingCounters { hits, inserted, refused_new, refused_missed } = counters;
        let value = Decoded::TrackingCounters { hits, inserted, refused_new, refused_missed };
        Self { key: Key::Index(0), value }
    }

    pub(super) fn of_probes(ProbeCounters { sent, dropped }: ProbeCounters) -> Self {
        Self { key: Key::Index(0), value: Decoded::ProbeCounters { sent, dropped } }
    }

    pub(super) fn of_probe((mark, probe): &(ProbeMark, ProbeEntry), name: InterfaceName) -> Self {
        let ProbeEntry { destination, interface, backend, pool } = *probe;
        let (destination, interface) = (destination.into(), name(interface));
        let value = Decoded::Probe { destination, backend, pool, interface };
        Self { key: Key::Text(format!("0x{:08x}", mark.number())), value }
    }

    pub(super) fn of_state(published: &Published) -> [Self; 2] {
        let entry = |key: &str, value| Self { key: Key::Text(key.to_owned()), value };
        [
            entry("agent", Decoded::Agent(published.agent.clone())),
            entry("record", Decoded::Record(published.record.clone())),
        ]
    }
}
