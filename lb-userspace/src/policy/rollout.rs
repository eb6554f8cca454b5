//! Rollouts: new flows of a service go from one pool to another in steps, and back if an analysis says so. Pure.
//!
//! 1. What the two pools have together by their configured weights is divided by the percentage in force ([`split`]);
//!    the service's other pools keep their part.
//! 2. Which percentage that is, [`machine`] says: step by step, by the clock, by what is measured and by what an operator says
//!    ([`verbs`]). What it remembers is a [`progress::Progress`].
//! 3. Several measurements make an [`analysis`], which succeeds or does not.
//!
//! A rollout that was never started leaves the configured weights in force; one that is complete keeps its 100 percent until
//! the file no longer has it.

pub mod analysis;
pub mod machine;
pub mod progress;
pub mod split;
#[cfg(test)]
mod tests;
pub mod verbs;

use std::collections::BTreeMap;

use super::desired::Member;
use super::observed::Observed;
use super::slices::ALL;
use crate::config::model::{ClusterState, Config, Rollout};
use progress::Progress;
use split::Split;

/// The percentages that rollouts have set which are configured as they were then, by name.
pub fn weights(config: &Config, rollouts: &BTreeMap<String, Progress>) -> BTreeMap<String, u8> {
    let weight = |rollout: &Rollout| {
        let progress = rollouts.get(&rollout.name).filter(|progress| progress.concerns(rollout))?;
        Some((rollout.name.clone(), progress.weight?))
    };
    config.rollouts.iter().filter_map(weight).collect()
}

/// The splits in force: rollouts that say how their pools divide.
pub(super) fn in_force<'a>(config: &'a Config, observed: &Observed) -> impl Iterator<Item = Split<'a>> {
    config.rollouts.iter().filter_map(|rollout| {
        let percent = *observed.rollouts.get(&rollout.name)?;
        Some(Split { service: &rollout.service, from: &rollout.from, to: &rollout.to, percent })
    })
}

/// Whether somebody in the pool that a rollout goes to takes new flows.
pub fn is_ready(rollout: &Rollout, config: &Config, observed: &Observed) -> bool {
    let Some(pool) = config.pools.iter().find(|pool| pool.name == rollout.to) else { return false };
    if observed.kept_out.get(&pool.name).is_some_and(|kept_out| kept_out.percent == ALL) {
        return false;
    }
    let mut clusters = config.clusters.iter().filter(|cluster| cluster.name == pool.cluster);
    let active = clusters.any(|cluster| super::stand(cluster, observed).state == ClusterState::Active);
    active && super::survey(pool, config, observed).members.iter().any(Member::usable)
}
