//! A service's cluster table: weighted rendezvous hashing (Schindelhauer, Schomaker: "Weighted Distributed
//! Hash Tables", SPAA 2005) with exact shares.
//!
//! 1. A pool's score on a row is `−ln(v) / weight`, v uniform in (0, 1] from the hash of cluster and row.
//! 2. The rows are apportioned to the pools by weight, largest remainder first.
//! 3. In a fixed pseudo-random order each row takes the pool with the smallest score among those that have
//!    not all their rows yet.
//!
//! So shares are exact, and a change of weights moves little more than it must.

use crate::apportion::apportion;
use lb_common::flow::CLUSTER_ROWS;
use lb_common::siphash::{Key, siphash13};
use std::collections::HashMap;

const KEY: Key = Key::from_bytes(b"spillway.cluster");

/// A pool that contends for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender<'a> {
    /// Name of its cluster, which its scores follow from.
    pub cluster: &'a str,
    /// Its own name: decides ties between pools of one cluster.
    pub pool: &'a str,
    /// Share; 0 takes no rows.
    pub weight: u16,
}

/// Builds cluster tables, and remembers each cluster's logarithms.
#[derive(Debug, Clone)]
pub struct Rendezvous {
    order: Vec<u32>,
    costs: HashMap<String, Vec<f64>>,
}

impl Default for Rendezvous {
    fn default() -> Self {
        let mut order: Vec<_> = (0..CLUSTER_ROWS).collect();
        order.sort_by_cached_key(|&row| (hash("order", row), row));
        Self { order, costs: HashMap::new() }
    }
}

impl Rendezvous {
    /// The owner of each of the 4,096 rows, as a position in `contenders`, whose order does not matter
    /// otherwise. Empty if no contender has a weight. At most 65,536 contenders.
    pub fn table(&mut self, contenders: &[Contender]) -> Vec<u16> {
        let mut rivals: Vec<_> =
            (0_u16..).zip(contenders).filter(|(_, contender)| contender.weight > 0).collect();
        rivals.sort_by_key(|(_, contender)| (contender.cluster, contender.pool));
        if rivals.is_empty() {
            return Vec::new();
        }
        self.learn(contenders);
        let weights: Vec<_> = rivals.iter().map(|(_, contender)| contender.weight).collect();
        let costs = rivals.iter().map(|(_, contender)| self.costs[contender.cluster].as_slice()).collect();
        let mut race = Race { left: apportion(CLUSTER_ROWS, &weights), weights, costs };
        let mut owners = vec![0; CLUSTER_ROWS as usize];
        for &row in &self.order {
            owners[row as usize] = rivals[race.win(row as usize)].0;
        }
        owners
    }

    fn learn(&mut self, contenders: &[Contender]) {
        for contender in contenders {
            if !self.costs.contains_key(contender.cluster) {
                self.costs.insert(contender.cluster.to_owned(), costs(contender.cluster));
            }
        }
    }

    /// Forgets the clusters that are not `known`.
    pub fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.costs.retain(|name, _| known(name));
    }
}

/// Rivals in order of their names.
struct Race<'a> {
    left: Vec<u32>,
    weights: Vec<u16>,
    costs: Vec<&'a [f64]>,
}

impl Race<'_> {
    /// The first rival with the smallest score among those with rows left; it has one less then.
    fn win(&mut self, row: usize) -> usize {
        let mut best = (f64::INFINITY, 0);
        for rival in 0..self.left.len() {
            let score = self.costs[rival][row] / f64::from(self.weights[rival]);
            if self.left[rival] > 0 && score < best.0 {
                best = (score, rival);
            }
        }
        self.left[best.1] -= 1;
        best.1
    }
}

/// `−ln(v)` of each row for a cluster.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
fn costs(cluster: &str) -> Vec<f64> {
    let step = 1.0 / (1_u64 << 53) as f64;
    let unit = |row| ((hash(cluster, row) >> 11) as f64 + 0.5) * step;
    (0..CLUSTER_ROWS).map(|row| -libm::log(unit(row))).collect()
}

fn hash(name: &str, row: u32) -> u64 {
    let message = [name.as_bytes(), &[0], &row.to_le_bytes()].concat();
    siphash13(KEY, &message)
}
