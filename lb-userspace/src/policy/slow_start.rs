//! Slow start: an endpoint that comes up begins with a tenth of its weight.
//!
//! 1. An endpoint takes new flows or does not; the memory has those that do, each with the time when it came up.
//! 2. Endpoints of a pool that nobody remembers were always up.
//! 3. One that comes up counts a tenth of its weight, and a tenth more after each ninth of the slow start, so that it has all
//!    of it at its end. Its time is rounded up to such a ninth of the clock, so that those which come up together grow together,
//!    and the pool's table changes nine times in a slow start at most.
//!
//! Only weights beside each other count: a pool all of whose endpoints came up together is as if they were all grown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::desired::{Member, Pool, WHOLE};
use crate::config::model;
use crate::milliseconds::milliseconds;

/// Changes of weight in a slow start.
const CHANGES: u64 = WHOLE as u64 - 1;

/// When each endpoint of a pool that takes new flows came up, in milliseconds of the kernel's monotonic clock; 0: it is grown.
pub type Arrivals = BTreeMap<IpAddr, u64>;

/// Sets how much counts of each endpoint's weight at `now`. Returns what to remember by name of the pool, and when there is
/// something to do again. `pools` are those that are `configured`, in the same order.
pub(super) fn grow(
    before: &BTreeMap<String, Arrivals>,
    configured: &[model::Pool],
    pools: &mut [Pool],
    now: u64,
) -> (BTreeMap<String, Arrivals>, Option<u64>) {
    let mut remembered = BTreeMap::new();
    let mut next = None;
    for (model, pool) in configured.iter().zip(pools).filter(|(model, _)| !model.slow_start.is_zero()) {
        let (known, span) = (before.get(&pool.name), model.slow_start);
        let arrivals = follow(known, &pool.members, span, now);
        for member in &mut pool.members {
            member.tenths = arrivals.get(&member.address).map_or(WHOLE, |since| tenths(*since, span, now));
        }
        next = next.into_iter().chain(due(&arrivals, span, now)).min();
        remembered.insert(pool.name.clone(), arrivals);
    }
    (remembered, next)
}

/// Who takes new flows at `now`, and since when. `before`: who did when it was last decided; `None`: it never was.
fn follow(before: Option<&Arrivals>, members: &[Member], span: Duration, now: u64) -> Arrivals {
    let change = change(span);
    let since = |address: &IpAddr| {
        let came = match before {
            Some(before) => before.get(address).copied().unwrap_or_else(|| now.next_multiple_of(change)),
            None => 0,
        };
        if came.saturating_add(change * CHANGES) <= now { 0 } else { came }
    };
    let up = members.iter().filter(|member| member.weight > 0 && member.state.takes_new());
    up.map(|member| (member.address, since(&member.address))).collect()
}

/// How many tenths of its weight one has at `now` that came up at `since`.
fn tenths(since: u64, span: Duration, now: u64) -> u8 {
    if since == 0 {
        return WHOLE;
    }
    let changes = (now.saturating_sub(since) / change(span)).min(CHANGES);
    u8::try_from(changes + 1).unwrap_or(WHOLE)
}

/// When the next of them has more; `None`: all are grown.
fn due(arrivals: &Arrivals, span: Duration, now: u64) -> Option<u64> {
    let next = |since: &u64| since + (now.saturating_sub(*since) / change(span) + 1) * change(span);
    let growing = arrivals.values().filter(|since| **since != 0);
    growing.map(next).min()
}

/// Milliseconds from one change to the next.
fn change(span: Duration) -> u64 {
    milliseconds(span).div_ceil(CHANGES).max(1)
}

#[cfg(test)]
mod tests;
