//! What moves a service's flows to the next priority beside health: how much clusters can take.

/// How flows spill by capacity. A policy that spills by health alone has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spill {
    /// Whether health counts as it does without a capacity; else it only tells priorities that can take flows from those that cannot.
    pub by_health: bool,
    /// How much of its capacity a cluster is to have: percent, 1..=100.
    pub target: u32,
    /// By how much of the larger one what is wanted must differ from what is in force, for that to change: percent, 0..=50.
    pub hysteresis: u32,
}

impl Spill {
    /// The target unless the file says otherwise.
    pub const TARGET: u32 = 80;
    /// The hysteresis unless the file says otherwise.
    pub const HYSTERESIS: u32 = 10;
}
