use std::net::IpAddr;

use lb_common::abi::BackendEntry;
use lb_ebpf::tables::Tables;
use serde::Serialize;
use time::OffsetDateTime;

use super::Seen;
use super::share::{owned, part};
use crate::compile::members::select;
use crate::compile::record::{BackendRecord, PoolRecord};
use crate::observe::names::{encapsulation, via};
use crate::observe::next_hop::{NextHop, has_way};
use crate::policy::desired::{Member, MemberState, Reach};
use crate::policy::slices::KeptOut;

/// A backend of a pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendView {
    /// Its pool.
    pub pool: String,
    /// The pool's cluster.
    pub cluster: String,
    /// Its address.
    pub address: IpAddr,
    /// `up`, `draining`, `ejected`, `down`, or `unknown` before the first verdict.
    pub state: MemberState,
    /// Whether the program sends packets to it now.
    pub serving: bool,
    /// Configured share within the pool.
    pub weight: u16,
    /// How much of the weight counts: percent, below 100 while it starts slowly.
    pub weight_percent: u8,
    /// Rows of the pool's table that it owns.
    pub rows: u32,
    /// Its part of the table's rows, 0 to 1.
    pub share: f64,
    /// Its part of the weights of the table's members, 0 to 1.
    pub expected_share: f64,
    /// Packets sent to it.
    pub packets: u64,
    /// Their bytes, from the inner IP header on.
    pub bytes: u64,
    /// Connections to the pool's services that it says it refused since it began to count; left out if it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// Connections of them that it says it has; left out if it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// When its health last changed; `None`: never.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_change: Option<OffsetDateTime>,
    /// Why it is in that state; `None`: nothing to say.
    pub reason: Option<String>,
    /// `ipip`, `gue` or `vxlan`.
    pub encap: &'static str,
    /// `nodes`, or `gateway`: it is its cluster's, and chooses among that cluster's nodes.
    pub via: &'static str,
    /// The way there; `None` if it is this machine, or the way is not known.
    pub next_hop: Option<NextHop>,
}

/// Every backend that is in force, by pool and address.
pub fn backends<T: Tables>(seen: &Seen<T>) -> Vec<BackendView> {
    let pools = seen.published.record.pools.iter().filter(|(_, pool)| pool.gone.is_none());
    pools.flat_map(|(name, pool)| of_pool(name, pool, seen)).collect()
}

fn of_pool<T: Tables>(name: &str, pool: &PoolRecord, seen: &Seen<T>) -> Vec<BackendView> {
    let table = seen.tables.pool(pool.index.into()).map_or(0, |entry| entry.table);
    let owned = owned(table, seen.tables);
    let total: u32 = owned.values().sum();
    let members: Vec<_> = pool.backends.iter().filter(|(_, backend)| backend.gone.is_none()).collect();
    let expected = expected_shares(&members, pool.panic);
    let view = |((address, backend), expected_share): (&(&IpAddr, &BackendRecord), f64)| {
        let rows = owned.get(&backend.index.into()).copied().unwrap_or(0);
        let base = of_backend(name, pool, **address, backend, seen);
        BackendView { rows, share: part(rows, total), expected_share, ..base }
    };
    members.iter().zip(expected).map(view).collect()
}

/// All but what the table says.
fn of_backend<T: Tables>(
    pool_name: &str,
    pool: &PoolRecord,
    address: IpAddr,
    backend: &BackendRecord,
    seen: &Seen<T>,
) -> BackendView {
    let entry = seen.tables.backend(backend.index.into());
    let counters = seen.counts.backend(backend.index.into());
    let reports = seen.published.reports.as_ref().and_then(|reports| reports.backends.get(pool_name));
    let reported = reports.and_then(|pool| pool.get(&address));
    BackendView {
        pool: pool_name.to_owned(),
        cluster: pool.cluster.clone(),
        address,
        state: backend.state,
        serving: entry.is_some_and(BackendEntry::serves),
        weight: backend.weight,
        weight_percent: backend.tenths * 10,
        rows: 0,
        share: 0.0,
        expected_share: 0.0,
        packets: counters.packets,
        bytes: counters.bytes,
        refused: reported.map(|reported| reported.refused),
        connections: reported.map(|reported| reported.connections),
        last_change: moment(backend.last_change),
        reason: reason(pool, backend, entry),
        encap: entry.map_or("ipip", encapsulation),
        via: entry.map_or("nodes", via),
        next_hop: entry.and_then(|entry| NextHop::of(entry, seen.interface_name)),
    }
}

/// What the record says of it and of its pool; and if nothing keeps it from serving but its way, that.
fn reason(pool: &PoolRecord, backend: &BackendRecord, entry: Option<&BackendEntry>) -> Option<String> {
    let unreachable = entry.is_some_and(|entry| !has_way(entry));
    let kept_out = pool.kept_out.as_ref();
    let kept_out =
        kept_out.map(|KeptOut { percent, reason }| format!("its pool is kept out of {percent}%: {reason}"));
    let why = [
        Some(backend.reason.as_str()).filter(|reason| !reason.is_empty()),
        kept_out.as_deref(),
        Some("its next hop is not known").filter(|_| unreachable && backend.state != MemberState::Down),
    ];
    let why: Vec<_> = why.into_iter().flatten().collect();
    Some(why.join("; ")).filter(|why| !why.is_empty())
}

/// Milliseconds since the Unix epoch as a time; 0 is none.
fn moment(milliseconds: u64) -> Option<OffsetDateTime> {
    let since = Some(milliseconds).filter(|milliseconds| *milliseconds != 0)?;
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(since) * 1_000_000).ok()
}

/// What each would own of a table whose rows divided exactly: the members are chosen as the compiler does.
fn expected_shares(backends: &[(&IpAddr, &BackendRecord)], panic: bool) -> Vec<f64> {
    let members: Vec<_> = backends.iter().map(|(address, backend)| member(**address, backend)).collect();
    let selection = select(&members, panic);
    let mut weights = selection.weights(&members);
    if weights.iter().all(|weight| *weight == 0) {
        weights.fill(1);
    }
    let total: u32 = weights.iter().sum();
    let mut shares = vec![0.0; members.len()];
    for (position, weight) in selection.positions.into_iter().zip(weights) {
        shares[position] = part(weight, total);
    }
    shares
}

/// As much of a member as its choice depends on.
fn member(address: IpAddr, backend: &BackendRecord) -> Member {
    Member {
        address,
        weight: backend.weight,
        tenths: backend.tenths,
        server_id: None,
        state: backend.state,
        reason: String::new(),
        changed_ms: 0,
        reach: Reach::Unresolved,
    }
}
