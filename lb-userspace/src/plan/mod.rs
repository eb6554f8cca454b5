//! What a change or a failure would move, before it happens. Pure: which row a flow meets, and who owns it, follows from
//! configuration and state alone, so that the answer is exact.
//!
//! 1. [`present`]: the world that is, as an agent serves it, if it is not to be one in which all is well; and [`change`]: what is
//!    asked about makes a second world of it;
//! 2. [`side`]: policy and compile make the tables of both, one generation after the other, as the agent would;
//! 3. [`movement`] and [`fates`]: cluster and node tables row by row: which share of a service's flows goes elsewhere,
//!    breaks, or is lost;
//! 4. [`load`]: what clusters get, beside what they can take;
//! 5. [`assess`]: what the services can bear then;
//! 6. [`answer`]: all of it with names, and what of it violates something.

pub mod answer;
pub mod change;
mod fates;
mod load;
mod movement;
mod present;
mod side;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use answer::Plan;
pub use change::Change;

use crate::compile::{Cache, CompileError, Ledger, Sizes};
use crate::config::model::{Config, Limits};
use crate::observe::published::{Breakers, Rollouts};
use crate::policy::drill::Drill;
use crate::policy::memory::Memory;
use crate::policy::new_flows;
use crate::policy::observed::Observed;
use crate::policy::resilience::{Demand, assess};
use side::Side;

/// A configuration, and how things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// What is configured.
    pub config: Config,
    /// What a gateway sees.
    pub observed: Observed,
    /// Endpoints that are dead, pool name and address, whether or not a gateway sees it: without a health check none does.
    pub failed: BTreeSet<(String, IpAddr)>,
    /// What was decided before.
    pub memory: Memory,
    /// Breakers that are not closed, by pool.
    pub breakers: Breakers,
    /// The drill that runs, if one does.
    pub drill: Option<Drill>,
    /// How far rollouts are.
    pub rollouts: Rollouts,
    /// When it is decided anew, in milliseconds of the kernel's monotonic clock.
    pub now: u64,
}

impl World {
    /// One in which every endpoint is up and reachable.
    pub fn all_well(config: Config) -> Self {
        Self {
            observed: Observed::all_well(&config),
            config,
            failed: BTreeSet::new(),
            memory: Memory::default(),
            breakers: Breakers::new(),
            drill: None,
            rollouts: Rollouts::new(),
            now: 0,
        }
    }

    /// The same, of which it is known what services are asked for. What was decided by what they were asked for before counts
    /// no more: how it ends is asked.
    fn asked(&self, demand: &Demand) -> Self {
        let mut asked = self.clone();
        if !demand.is_empty() {
            asked.memory.ceilings.clear();
            asked.observed.new_flows = Some(new_flows::asked(&self.config, &self.observed, demand));
        }
        asked
    }
}

/// What becomes of the services of the one world in the other, when clients ask for so much.
///
/// # Errors
/// If the tables of one do not fit the limits, or those of the second not beside those of the first.
pub fn plan(before: &World, after: &World, demand: &Demand) -> Result<Plan, CompileError> {
    let limits = larger(&before.config.gateway.limits, &after.config.gateway.limits);
    let (before, after) = (&before.asked(demand), &after.asked(demand));
    let (mut ledger, mut cache) = (Ledger::new(Sizes::of(&limits)), Cache::default());
    let old = Side::new(before, &mut ledger, &mut cache)?;
    let new = Side::new(after, &mut ledger, &mut cache)?;
    let movements = movement::all(&old, &new);
    let loads = load::loads(&before.config, &after.config, &movements, demand);
    // What is dead is not left, also where no check would say so.
    let mut left = after.observed.clone();
    left.drained_backends.extend(after.failed.iter().cloned());
    let assessments = assess(&after.config, &left, demand);
    Ok(answer::plan(&old, &new, movements, loads, assessments))
}

/// Maps that hold the tables of both files: an agent whose file asks for larger ones is started anew.
fn larger(one: &Limits, other: &Limits) -> Limits {
    Limits {
        services: one.services.max(other.services),
        backends: one.backends.max(other.backends),
        rows: one.rows.max(other.rows),
        connections: one.connections.max(other.connections),
        access_prefixes: one.access_prefixes.max(other.access_prefixes),
    }
}
