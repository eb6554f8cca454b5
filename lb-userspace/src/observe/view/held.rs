use serde::Serialize;

use crate::policy::desired::Hold;

/// What is held back of a pool's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldView {
    /// Its health in percent.
    pub health: u32,
    /// What of it is taken in, in percent.
    pub perceived: u32,
    /// Seconds until the next step, rounded up; `None`: until an operator says so.
    pub next_step: Option<u64>,
}

impl HeldView {
    /// What is held `now`, in milliseconds of the kernel's monotonic clock.
    pub(crate) fn of(hold: Hold, now: u64) -> Self {
        let next_step = hold.until.map(|until| until.saturating_sub(now).div_ceil(1000));
        Self { health: hold.health, perceived: hold.perceived, next_step }
    }
}
