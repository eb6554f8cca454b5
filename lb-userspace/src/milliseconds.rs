//! Times as the kernel's program and the record have them.

use std::time::Duration;

/// Whole milliseconds; what does not fit 64 bits is as much as fits.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
