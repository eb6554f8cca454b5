//! How many flows begin in a second, over the last seconds.

use std::collections::{BTreeMap, VecDeque};

use lb_common::abi::Control;

use super::Moment;

/// The time that is looked back over, in milliseconds.
const LENGTH: u64 = 10_000;

/// Flows that began within the last seconds, by pool. Times are milliseconds of one clock that does not go back.
#[derive(Debug, Default)]
pub struct Window {
    /// When it was last looked, and what had been counted then.
    last: Option<(u64, Moment)>,
    /// What came between two looks: how long that was, and the flows of each pool. The oldest comes first.
    spans: VecDeque<(u64, BTreeMap<String, u64>)>,
}

/// Flows that began in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Those that were followed.
    pub followed: u64,
    /// All in a second, about.
    pub per_second: u64,
}

impl Window {
    /// Takes in what has been counted at `now`.
    pub fn look(&mut self, now: u64, moment: Moment) {
        if let Some((then, before)) = &self.last {
            let mut begun = BTreeMap::new();
            for since in moment.since(before) {
                *begun.entry(since.pool.to_owned()).or_insert(0) += since.reading.evidence.begun;
            }
            self.spans.push_back((now.saturating_sub(*then), begun));
        }
        self.last = Some((now, moment));
        while self.spans.front().is_some_and(|(oldest, _)| self.covered() - oldest >= LENGTH) {
            self.spans.pop_front();
        }
    }

    /// By pool, when of [`Control::FLOWS`] flows `sampled` are followed. `None`: it has not looked for as long yet.
    pub fn begun(&self, sampled: u32) -> Option<BTreeMap<String, Begun>> {
        let (covered, sampled) = (self.covered(), u128::from(sampled));
        if covered < LENGTH || sampled == 0 {
            return None;
        }
        let mut pools = BTreeMap::<&String, u64>::new();
        for (pool, begun) in self.spans.iter().flat_map(|(_, pools)| pools) {
            *pools.entry(pool).or_default() += begun;
        }
        let rate = |followed: u64| {
            let all = u128::from(followed) * u128::from(Control::FLOWS) * 1000;
            u64::try_from(all.div_ceil(sampled * u128::from(covered))).unwrap_or(u64::MAX)
        };
        let begun = |followed| Begun { followed, per_second: rate(followed) };
        Some(pools.into_iter().map(|(pool, followed)| (pool.clone(), begun(followed))).collect())
    }

    fn covered(&self) -> u64 {
        self.spans.iter().map(|(span, _)| span).sum()
    }
}
