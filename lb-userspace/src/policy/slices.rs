//! Pools that are kept out of a part of the hash space: there they take no new flows, as if their clusters drained.
//!
//! 1. A point of the hash space, 0 <= x < 100, lies in the slice of each pool of which x < `percent`. So slices lie within each
//!    other, and k pools that are kept out make at most k + 1 *worlds*: stretches in which the same ones are.
//! 2. In each world the shares are those that the service has without these pools: failover policy, priorities and
//!    over-provisioning apply as if the pools' clusters drained. Where that would leave nobody, nobody is kept out.
//! 3. The rows of the worlds count as much as these are wide, and are divided by largest remainder: 25 % of a pool with all
//!    4,096 rows are 1,024, and a table moves hardly more than that.
//!
//! ```text
//! percent: eu 50, us 20        0        20             50                       100
//!                              ├─ no eu, no us ─┼─ no eu ─┼─ as it is ─────────────┤
//! ```

use std::collections::{BTreeMap, BTreeSet};

use lb_common::flow::CLUSTER_ROWS;
use serde::{Deserialize, Serialize};

use super::desired::Share;
use super::failover::WEIGHT_OF_A_ROW;
use super::shares::{Bounds, Standings};
use crate::apportion::apportion;
use crate::config::model::Service;

/// All of the hash space, in percent.
pub const ALL: u8 = 100;

/// That a pool takes no new flows in a part of the hash space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptOut {
    /// How large the part is, 1 to [`ALL`].
    pub percent: u8,
    /// Why, for people.
    pub reason: String,
}

/// By the name of the pool; one that is not in it is kept out of nothing.
pub type Slices = BTreeMap<String, KeptOut>;

/// All of these together: of a pool that several of them have, where it is kept out of most; the first of those that are equal.
pub fn united(all: &[&Slices]) -> Slices {
    let mut united = Slices::new();
    for (pool, kept_out) in all.iter().flat_map(|slices| slices.iter()) {
        let known = united.get(pool).map_or(0, |known: &KeptOut| known.percent);
        if kept_out.percent > known {
            united.insert(pool.clone(), kept_out.clone());
        }
    }
    united
}

/// A stretch of the hash space in which the same pools are kept out.
struct World {
    /// In percent.
    width: u8,
    /// Of a service's pools, in the order of its list.
    shares: Vec<Share>,
}

/// The parts of a service's pools, in the order of its list, with those kept out that are.
pub(super) fn shares(
    standings: &Standings,
    service: &Service,
    bounds: Bounds,
    slices: &Slices,
) -> Vec<Share> {
    let as_it_is = standings.of(service, bounds.0, bounds.1, &[]);
    let percent = |pool: &str| Some(slices.get(pool)?.percent.min(ALL)).filter(|percent| *percent > 0);
    let kept_out: Vec<_> =
        service.pools.iter().filter_map(|pool| Some((pool.as_str(), percent(pool)?))).collect();
    if kept_out.is_empty() {
        return as_it_is;
    }
    let without = |out: &[&str]| standings.without(service, bounds, out).filter(|shares| serves(shares));
    let world = |(width, out): (u8, Vec<&str>)| World {
        width,
        shares: Some(&out)
            .filter(|out| !out.is_empty())
            .and_then(|out| without(out))
            .unwrap_or(as_it_is.clone()),
    };
    let worlds: Vec<_> = stretches(&kept_out).into_iter().map(world).collect();
    blend(as_it_is, &worlds)
}

fn serves(shares: &[Share]) -> bool {
    shares.iter().any(|share| share.weight > 0)
}

/// How wide each world is, and who is kept out in it.
fn stretches<'a>(kept_out: &[(&'a str, u8)]) -> Vec<(u8, Vec<&'a str>)> {
    let ends: BTreeSet<_> = kept_out.iter().map(|(_, percent)| *percent).chain([ALL]).collect();
    let mut begin = 0;
    let stretch = |end: u8| {
        let out = kept_out.iter().filter(|(_, percent)| *percent >= end && *percent > begin);
        let stretch = (end - begin, out.map(|(pool, _)| *pool).collect());
        begin = end;
        stretch
    };
    ends.into_iter().map(stretch).collect()
}

/// Shares with the rows of all worlds. What is said of a pool beside its weight is as it is without slices; but it is in panic
/// only if it is in every world that has rows for it: those who are up in it can bear the others.
fn blend(as_it_is: Vec<Share>, worlds: &[World]) -> Vec<Share> {
    let mut parts = vec![0_u64; as_it_is.len()];
    let mut panic = vec![true; as_it_is.len()];
    for world in worlds {
        for (at, rows) in rows(&world.shares).into_iter().enumerate().filter(|(_, rows)| *rows > 0) {
            parts[at] += u64::from(rows) * u64::from(world.width);
            panic[at] &= world.shares[at].panic;
        }
    }
    let parts = apportion(CLUSTER_ROWS, &parts);
    let weight = |rows: u32| u16::try_from(rows * WEIGHT_OF_A_ROW).unwrap_or(u16::MAX);
    let blended = |((share, rows), panic): ((Share, u32), bool)| Share {
        weight: weight(rows),
        panic: panic && rows > 0,
        ..share
    };
    as_it_is.into_iter().zip(parts).zip(panic).map(blended).collect()
}

/// Rows of each, with ties as the table's own apportionment breaks them.
pub(super) fn rows(shares: &[Share]) -> Vec<u32> {
    let mut order: Vec<_> = (0..shares.len()).collect();
    order.sort_by_key(|at| (&shares[*at].cluster, &shares[*at].pool));
    let weights: Vec<_> = order.iter().map(|at| shares[*at].weight).collect();
    let mut rows = vec![0; shares.len()];
    for (at, part) in order.into_iter().zip(apportion(CLUSTER_ROWS, &weights)) {
        rows[at] = part;
    }
    rows
}

#[cfg(test)]
mod tests;
