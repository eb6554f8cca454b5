//! Circuit breaker: a pool whose clients' handshakes fail ([`crate::evidence`]) takes no new flows for a while, then a few,
//! then its share again.
//!
//! 1. *Closed*: it opens at the end of an `interval` in which at least `min_volume` handshakes of the whole pool were followed,
//!    and `failed_handshake_percent` or more of them failed.
//! 2. *Open*: the pool is kept out of all of the hash space ([`super::slices`]) for `open_for`.
//! 3. *Half-open*: it is let into `half_open_percent` of it. The interval goes on until [`Breaker::least`] handshakes were
//!    followed, however long that takes. If so many of them failed that a closed one would open it opens again, else it closes.
//!    One that is *idle* then, to which no new flow is sent as things are, closes after an interval: what stands by would be
//!    kept out for ever, and be missed when it is needed.
//!
//! ```text
//!            enough failed                 openFor is over
//!  closed ───────────────────▶ open ◀───────────────────────▶ half-open
//!    ▲                                    enough failed           │
//!    └────────────────────────────────────────────────────────────┘ enough did not
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::abi::Evidence;
use serde::{Deserialize, Serialize};

use super::slices::{ALL, KeptOut, Slices};
use crate::config::model::{CircuitBreaker, Config, Pool};
use crate::evidence::Handshakes;
use crate::milliseconds::milliseconds;

/// Handshakes that say something of a pool that is half-open, however few `min_volume` comes to there.
const FEWEST: u32 = 5;

/// The breaker of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaker {
    state: State,
    /// What handshakes are looked at together; `None`: the next look begins.
    window: Option<Window>,
}

/// Whether a pool takes new flows. Times are milliseconds of the kernel's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It takes its share.
    #[default]
    Closed,
    /// It takes none.
    Open {
        /// Until when.
        until: u64,
        /// Why, for people.
        reason: String,
    },
    /// It takes some.
    HalfOpen {
        /// Why it was open, for people.
        reason: String,
    },
}

/// Since when handshakes count, and what was followed of each endpoint before they did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Window {
    began: u64,
    before: BTreeMap<IpAddr, Handshakes>,
}

impl State {
    /// What the pool is kept out of; `None`: it takes its share.
    pub fn kept_out(&self, rules: &CircuitBreaker) -> Option<KeptOut> {
        let (percent, reason) = match self {
            Self::Closed => return None,
            Self::Open { reason, .. } => (ALL, format!("its breaker is open: {reason}")),
            Self::HalfOpen { reason } => (
                ALL.saturating_sub(rules.half_open_percent),
                format!("its breaker is half-open, after {reason}"),
            ),
        };
        Some(KeptOut { percent, reason })
    }
}

/// The pools that have rules for it, and those.
pub fn asking(config: &Config) -> impl Iterator<Item = (&Pool, &CircuitBreaker)> {
    config.pools.iter().filter_map(|pool| Some((pool, pool.circuit_breaker.as_ref()?)))
}

/// What pools that ask for it are kept out of, by what is known of each.
pub fn slices<'s>(config: &Config, state: impl Fn(&str) -> Option<&'s State>) -> Slices {
    let kept_out = |(pool, rules): (&Pool, &CircuitBreaker)| {
        Some((pool.name.clone(), state(&pool.name)?.kept_out(rules)?))
    };
    asking(config).filter_map(kept_out).collect()
}

impl Breaker {
    /// As the agent before left it.
    pub fn of(state: &State) -> Self {
        Self { state: state.clone(), window: None }
    }

    /// Closed, open, or half-open.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Looks at what the evidence of the pool's endpoints has come to at `now`; whether the state is another. `idle`: no new
    /// flow is sent to the pool.
    pub fn look(
        &mut self,
        rules: &CircuitBreaker,
        evidence: &BTreeMap<IpAddr, Evidence>,
        idle: bool,
        now: u64,
    ) -> bool {
        let next = match &self.state {
            State::Open { until, .. } if *until > now => return false,
            State::Open { reason, .. } => Some(State::HalfOpen { reason: reason.clone() }),
            State::Closed | State::HalfOpen { .. } => self.judge(rules, evidence, idle, now),
        };
        let Some(next) = next else { return false };
        *self = Self { state: next, window: None };
        true
    }

    /// The next state; `None`: this one.
    fn judge(
        &mut self,
        rules: &CircuitBreaker,
        evidence: &BTreeMap<IpAddr, Evidence>,
        idle: bool,
        now: u64,
    ) -> Option<State> {
        let window = self.window.get_or_insert_with(|| Window::begin(evidence, now));
        let within = window.within(evidence);
        if now.saturating_sub(window.began) < milliseconds(rules.interval) {
            return None;
        }
        if idle && self.state != State::Closed {
            return Some(State::Closed);
        }
        let is_enough = within.volume() >= u64::from(self.least(rules));
        if self.state == State::Closed || is_enough {
            self.window = Some(Window::begin(evidence, now));
        }
        let failed = within.failed_percent()? >= u64::from(rules.failed_handshake_percent);
        match (&self.state, failed) {
            (_, true) if is_enough => Some(State::Open {
                until: now.saturating_add(milliseconds(rules.open_for)),
                reason: format!("{} of {} handshakes failed", within.failed, within.volume()),
            }),
            (State::HalfOpen { .. }, false) if is_enough => Some(State::Closed),
            _ => None,
        }
    }

    /// Handshakes that say something: `min_volume`, and of a pool that is half-open the part of it that it is let into, but
    /// [`FEWEST`].
    pub fn least(&self, rules: &CircuitBreaker) -> u32 {
        match self.state {
            State::Closed | State::Open { .. } => rules.min_volume,
            State::HalfOpen { .. } => {
                let part = u64::from(rules.min_volume) * u64::from(rules.half_open_percent) / u64::from(ALL);
                u32::try_from(part).unwrap_or(u32::MAX).max(FEWEST)
            }
        }
    }
}

impl Window {
    fn begin(evidence: &BTreeMap<IpAddr, Evidence>, now: u64) -> Self {
        let before = evidence.iter().map(|(address, evidence)| (*address, Handshakes::of(evidence)));
        Self { began: now, before: before.collect() }
    }

    /// The handshakes of all endpoints since it began; of one that is new, since it was first seen.
    fn within(&mut self, evidence: &BTreeMap<IpAddr, Evidence>) -> Handshakes {
        self.before.retain(|address, _| evidence.contains_key(address));
        evidence.iter().fold(Handshakes::default(), |sum, (address, evidence)| {
            let now = Handshakes::of(evidence);
            let since = now.since(*self.before.entry(*address).or_insert(now));
            Handshakes { completed: sum.completed + since.completed, failed: sum.failed + since.failed }
        })
    }
}

#[cfg(test)]
mod tests;
