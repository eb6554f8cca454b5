//! New flows per second, by the pool that gets them.

use std::collections::BTreeMap;
use std::iter::Sum;

use super::desired::Share;
use super::observed::Observed;
use super::resilience::Demand;
use crate::apportion::apportion;
use crate::config::model::Config;

/// New flows within a second, and how well they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// New flows per second.
    pub per_second: u64,
    /// The flows that this was estimated from: of n the relative error is about 1/√n.
    pub followed: u64,
}

impl Rate {
    /// One that is not estimated.
    pub fn exact(per_second: u64) -> Self {
        Self { per_second, followed: u64::MAX }
    }
}

impl Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::default(), |sum, one| Self {
            per_second: sum.per_second.saturating_add(one.per_second),
            followed: sum.followed.saturating_add(one.followed),
        })
    }
}

/// By name of the pool; one that is not in it gets nothing.
pub type Rates = BTreeMap<String, Rate>;

/// What pools would get when services are asked for so much and no capacity counts.
pub fn asked(config: &Config, observed: &Observed, demand: &Demand) -> Rates {
    let unknown = Observed { new_flows: None, ..observed.clone() };
    let mut rates = Rates::new();
    for service in super::decide(config, &unknown).services {
        add(&mut rates, &service.shares, demand.get(&service.name).copied().unwrap_or(0));
    }
    rates
}

/// Adds what pools get by their shares of so many new flows per second.
pub(super) fn add(rates: &mut Rates, shares: &[Share], asked: u64) {
    let weights: Vec<_> = shares.iter().map(|share| share.weight).collect();
    let asked = u32::try_from(asked).unwrap_or(u32::MAX);
    for (share, part) in shares.iter().zip(apportion(asked, &weights)).filter(|(_, part)| *part > 0) {
        let rate = rates.entry(share.pool.clone()).or_default();
        *rate = [*rate, Rate::exact(part.into())].into_iter().sum();
    }
}
