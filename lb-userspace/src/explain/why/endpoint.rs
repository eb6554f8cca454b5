use std::net::IpAddr;

use lb_common::abi::{BackendEntry, BackendFlags};
use lb_ebpf::tables::Tables;

use super::super::known::Known;
use crate::compile::record::{BackendRecord, PoolRecord};
use crate::policy::desired::{MemberState, WHOLE};

/// Whether new flows may be sent to it: as policy counts it.
pub(super) fn takes_new(backend: &BackendRecord, entry: Option<&BackendEntry>) -> bool {
    backend.weight > 0 && backend.state.takes_new() && entry.is_some_and(is_reachable)
}

fn is_reachable(entry: &BackendEntry) -> bool {
    entry.serves() || entry.route.flags.has(BackendFlags::LOCAL)
}

/// The state of a pool's endpoint and all that bears on it: `draining: an operator drains it`.
pub(super) fn standing<T: Tables>(
    address: IpAddr,
    (name, pool): (&str, &PoolRecord),
    known: Known,
    tables: &T,
) -> Option<String> {
    let backend = pool.backends.get(&address)?;
    let entry = tables.backend(backend.index.into());
    let state = state(address, name, backend, known);
    let more = [slow_start(backend), unreachable(backend, entry), needed(pool, backend, entry)];
    Some(more.into_iter().flatten().fold(state, |all, more| format!("{all}; {more}")))
}

fn state(address: IpAddr, pool: &str, backend: &BackendRecord, known: Known) -> String {
    let told =
        |drained: &crate::observe::published::Drained| drained.backends.contains(&(pool.to_owned(), address));
    let word = match backend.state {
        MemberState::Up => "up",
        MemberState::Unknown => "not probed yet, which counts as up",
        MemberState::Draining if known.drained.is_some_and(told) => "draining, as an operator says",
        MemberState::Draining => "draining",
        MemberState::Ejected => "ejected, for what clients' packets say of it",
        MemberState::Down => "down",
    };
    if backend.reason.is_empty() { word.to_owned() } else { format!("{word} ({})", backend.reason) }
}

fn slow_start(backend: &BackendRecord) -> Option<String> {
    (backend.tenths < WHOLE).then(|| {
        let percent = u32::from(backend.tenths) * 100 / u32::from(WHOLE);
        format!("it starts slowly: {percent}% of its weight {} count", backend.weight)
    })
}

fn unreachable(backend: &BackendRecord, entry: Option<&BackendEntry>) -> Option<String> {
    let lost = backend.state != MemberState::Down && !entry.is_some_and(is_reachable);
    lost.then(|| "its next hop is not known".to_owned())
}

/// Of one that is down and gets packets all the same.
fn needed(pool: &PoolRecord, backend: &BackendRecord, entry: Option<&BackendEntry>) -> Option<String> {
    let used = backend.state == MemberState::Down && entry.is_some_and(is_reachable);
    let why = if pool.panic { "its priority is in panic" } else { "nobody in its pool is up" };
    used.then(|| format!("used all the same, for {why}"))
}
