//! New connections per second that clusters get, as far as it is known what services are asked for.

use std::collections::{BTreeMap, HashMap};

use lb_common::flow::CLUSTER_ROWS;

use super::movement::Movement;
use crate::config::model::{Capacity, Config};
use crate::policy::resilience::Demand;

/// What a cluster gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) cluster: String,
    /// What it can take, in new connections per second, afterwards; `None`: nobody says.
    pub(super) capacity: Option<u32>,
    /// New connections per second, rounded up.
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Load {
    pub(super) fn is_over(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.after > capacity.into())
    }
}

/// The clusters that get something before or after, in the order of the second file, then those that are only in the first;
/// none without a demand.
pub(super) fn loads(before: &Config, after: &Config, movements: &[Movement], demand: &Demand) -> Vec<Load> {
    let rates = movements.iter().filter_map(|movement| Some((movement, *demand.get(&movement.service)?)));
    let rates: Vec<_> = rates.collect();
    let had = sums(before, rates.iter().map(|(movement, rate)| (&movement.before, *rate)));
    let has = sums(after, rates.iter().map(|(movement, rate)| (&movement.after, *rate)));
    let stay = after.clusters.iter().map(|cluster| (&cluster.name, cluster.capacity));
    let is_gone = |name: &String| !after.clusters.iter().any(|cluster| cluster.name == *name);
    let gone = before.clusters.iter().filter(|cluster| is_gone(&cluster.name)).map(|gone| (&gone.name, None));
    let of = |sums: &BTreeMap<&str, u64>, name: &String| {
        sums.get(name.as_str()).map_or(0, |load| load.div_ceil(CLUSTER_ROWS.into()))
    };
    let load = |(name, capacity): (&String, Option<Capacity>)| Load {
        cluster: name.clone(),
        capacity: capacity.map(|capacity| capacity.new_connections),
        before: of(&had, name),
        after: of(&has, name),
    };
    stay.chain(gone).map(load).filter(|load| load.before > 0 || load.after > 0).collect()
}

/// By cluster, in 4,096ths of a new connection per second: each pool's rows times what its service is asked for.
fn sums<'a>(
    config: &'a Config,
    rows: impl Iterator<Item = (&'a BTreeMap<String, u64>, u64)>,
) -> BTreeMap<&'a str, u64> {
    let pools = config.pools.iter().map(|pool| (pool.name.as_str(), pool.cluster.as_str()));
    let clusters: HashMap<_, _> = pools.collect();
    let mut sums = BTreeMap::new();
    for (rows, rate) in rows {
        for (pool, rows) in rows {
            let Some(cluster) = clusters.get(pool.as_str()) else { continue };
            let sum = sums.entry(*cluster).or_insert(0_u64);
            *sum = sum.saturating_add(rate.saturating_mul(*rows));
        }
    }
    sums
}
