//! What policy remembers from one decision to the next. An agent publishes it, and the next agent goes on with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::capacity::ceilings::Ceilings;
use super::failback::Perceived;
use super::slow_start::Arrivals;

/// Something of each pool, by the name of a failover policy and the pool's.
pub type ByPolicy<T> = BTreeMap<String, BTreeMap<String, T>>;

/// What was decided before, as far as later decisions depend on it. Times are milliseconds of the kernel's monotonic clock.
/// An empty one makes a decision depend on the present alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// The health of pools that is taken in, of policies with `failback`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failback: ByPolicy<Perceived>,
    /// What priorities may get of services whose policy spills by capacity, by the first of their pools by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ceilings: BTreeMap<String, Ceilings>,
    /// Who takes new flows, of pools with `slowStart`, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub slow_start: BTreeMap<String, Arrivals>,
}

impl Memory {
    /// Lets the pools of these names have back at once what their health allows. Returns whether anything was held back.
    pub fn release(&mut self, is_one: impl Fn(&str) -> bool) -> bool {
        let mut held = false;
        for pools in self.failback.values_mut() {
            pools.retain(|pool, perceived| {
                let released = is_one(pool) && perceived.is_held();
                held |= released;
                !released
            });
        }
        held
    }
}
