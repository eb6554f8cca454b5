//! How two pools of a service divide what they have together.

/// What a percentage is of.
pub const WHOLE: u32 = 100;

/// A service two of whose pools divide by a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// The service.
    pub service: &'a str,
    /// The pool that gives.
    pub from: &'a str,
    /// The pool that gets.
    pub to: &'a str,
    /// What it gets, 0..=100.
    pub percent: u8,
}

impl Split<'_> {
    /// What a pool has of what the two have together; `None`: it is neither.
    pub fn percent_of(&self, pool: &str) -> Option<u32> {
        let to = u32::from(self.percent).min(WHOLE);
        match pool {
            _ if pool == self.to => Some(to),
            _ if pool == self.from => Some(WHOLE - to),
            _ => None,
        }
    }

    /// The weights of a service's pools, by name, in hundredths: `to` has its percentage of what it and `from` have together,
    /// `from` the rest, each other pool what it had. They add up to a hundred times what they did.
    pub fn weigh<'n>(&self, pools: impl Iterator<Item = (&'n str, u32)> + Clone) -> Vec<u32> {
        let pair = pools.clone().filter(|(name, _)| self.percent_of(name).is_some());
        let pair: u32 = pair.map(|(_, weight)| weight).sum();
        let weigh = |(name, weight)| self.percent_of(name).map_or(weight * WHOLE, |percent| pair * percent);
        pools.map(weigh).collect()
    }
}
