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
    /// The weights of a service's pools, by name, in hundredths: `to` has its percentage of what it and `from` have together,
    /// `from` the rest, each other pool what it had. They add up to a hundred times what they did.
    pub fn weigh<'n>(&self, pools: impl Iterator<Item = (&'n str, u32)> + Clone) -> Vec<u32> {
        let is_one = |name: &str| name == self.from || name == self.to;
        let pair: u32 = pools.clone().filter(|(name, _)| is_one(name)).map(|(_, weight)| weight).sum();
        let percent = u32::from(self.percent).min(WHOLE);
        let weigh = |(name, weight): (&str, u32)| match name {
            _ if name == self.to => pair * percent,
            _ if name == self.from => pair * (WHOLE - percent),
            _ => weight * WHOLE,
        };
        pools.map(weigh).collect()
    }
}
