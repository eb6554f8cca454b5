//! Pools that clients' packets take out: looks at the program's counts, and what follows for the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use crate::config::model::{CircuitBreaker, Config};
use crate::datapath::clock::monotonic;
use crate::milliseconds::milliseconds;
use crate::observe::published;
use crate::policy::breaker::{self, Breaker, State, asking};
use crate::policy::slices::{Slices, united};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What is known of the pools that ask for it, and when to look again.
#[derive(Default)]
pub(super) struct Breakers {
    pools: BTreeMap<String, Breaker>,
    next: Option<Instant>,
}

impl Breakers {
    /// As the agent before left them.
    pub(super) fn of(kept: &published::Breakers) -> Self {
        Self {
            pools: kept.iter().map(|(pool, state)| (pool.clone(), Breaker::of(state))).collect(),
            next: None,
        }
    }

    /// What is left to the next agent: those that are not closed.
    pub(super) fn kept(&self) -> published::Breakers {
        let states = self.pools.iter().map(|(pool, breaker)| (pool, breaker.state()));
        let kept = states.filter(|(_, state)| **state != State::Closed);
        kept.map(|(pool, state)| (pool.clone(), state.clone())).collect()
    }

    /// What pools that ask for it are kept out of.
    pub(super) fn slices(&self, config: &Config) -> Slices {
        breaker::slices(config, |pool| self.pools.get(pool).map(Breaker::state))
    }
}

impl Agent {
    /// Takes in the configuration: no pool that does not ask for it is kept out.
    pub(super) fn follow_breakers(&mut self) {
        self.breakers.next = asking(&self.config).next().map(|_| Instant::now() + EVERY);
        self.keep_out();
    }

    /// Takes in what pools are kept out of, by breakers and by a drill; whether it is something else than before.
    pub(super) fn keep_out(&mut self) -> bool {
        let (breakers, drill) = (self.breakers.slices(&self.config), self.drilling.slices(&self.config));
        let kept_out = united(&[&breakers, &drill]);
        let changed = self.observed.kept_out != kept_out;
        self.observed.kept_out = kept_out;
        changed
    }

    /// Forgets what is known of pools that do not ask for it any more.
    pub(super) fn forget_breakers(&mut self) {
        let asked: BTreeSet<_> = asking(&self.config).map(|(pool, _)| &pool.name).collect();
        self.breakers.pools.retain(|name, _| asked.contains(name));
    }

    /// When to look at what clients' packets say; `None`: nobody asks.
    pub(super) fn evidence_deadline(&self) -> Option<Instant> {
        [self.outlying.deadline(), self.breakers.next, self.drilling.deadline()].into_iter().flatten().min()
    }

    /// Looks at what it is time for; whether the tables are to follow.
    pub(super) fn look_at_evidence(&mut self) -> bool {
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= Instant::now());
        let ejected = is_due(self.outlying.deadline()) && self.look_for_outliers();
        let kept_out = is_due(self.breakers.next) && self.look_at_breakers();
        let drilled = is_due(self.drilling.deadline()) && self.look_at_drills();
        ejected || kept_out || drilled
    }

    fn look_at_breakers(&mut self) -> bool {
        let now = monotonic();
        for (pool, rules) in asking(&self.config) {
            let evidence = self.evidence_of(pool);
            let breaker = self.breakers.pools.entry(pool.name.clone()).or_default();
            if breaker.look(rules, &evidence, self.ledger.record().is_idle(&pool.name), now) {
                tell(&pool.name, rules, breaker.state());
            }
        }
        self.breakers.next = Some(Instant::now() + EVERY);
        self.keep_out()
    }
}

fn tell(pool: &str, rules: &CircuitBreaker, state: &State) {
    match state {
        State::Open { reason, .. } => {
            let seconds = milliseconds(rules.open_for) / 1000;
            warn!(event = "breaker", pool, reason, seconds, "open: takes nothing new");
        }
        State::HalfOpen { .. } => {
            let percent = rules.half_open_percent;
            info!(event = "breaker", pool, percent, "half-open: takes some new flows");
        }
        State::Closed => info!(event = "breaker", pool, "closed: takes its share again"),
    }
}
