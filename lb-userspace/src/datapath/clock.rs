//! The clock that the kernel program stamps connections with.

use crate::milliseconds::milliseconds;
use nix::time::{ClockId, clock_gettime};

/// Milliseconds of the kernel's monotonic clock, which `bpf_ktime_get_ns` reads too. It stands still while the
/// machine sleeps, and never goes back.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from).unwrap_or_default();
    milliseconds(now)
}
