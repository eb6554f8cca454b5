//! Evidence: what the program counted of backends between two moments. Pure.
//!
//! Flows are sampled (`gateway.evidence`), so that numbers of flows are estimates: of n that were followed the relative error
//! is about 1/√n. Packets and bytes are exact.

mod condition;
mod figure;
mod metric;
mod moment;
#[cfg(test)]
mod tests;
mod window;

pub use condition::Condition;
pub use figure::figure;
pub use metric::{Criterion, Metric};
pub use moment::{Moment, Since};
pub use window::{Begun, Window};

use std::iter::Sum;
use std::ops::Sub;
use std::time::Duration;

use lb_common::abi::{BackendCounters, Control, Evidence, HANDSHAKE_BUCKETS};

/// What was counted up to one moment, of a backend or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Packets and bytes.
    pub counters: BackendCounters,
    /// Sampled flows.
    pub evidence: Evidence,
}

impl Reading {
    fn each(self, other: Self, of_both: impl Fn(u64, u64) -> u64) -> Self {
        let (a, b) = (self.evidence, other.evidence);
        let mut times = a.times;
        times.iter_mut().zip(b.times).for_each(|(time, other)| *time = of_both(*time, other));
        Self {
            counters: BackendCounters {
                packets: of_both(self.counters.packets, other.counters.packets),
                bytes: of_both(self.counters.bytes, other.counters.bytes),
            },
            evidence: Evidence {
                begun: of_both(a.begun, b.begun),
                completed: of_both(a.completed, b.completed),
                retried: of_both(a.retried, b.retried),
                recovered: of_both(a.recovered, b.recovered),
                abandoned: of_both(a.abandoned, b.abandoned),
                resets: of_both(a.resets, b.resets),
                active: of_both(a.active, b.active),
                // The latest: it is no sum.
                in_a_row: a.in_a_row,
                times,
            },
        }
    }
}

impl From<Evidence> for Reading {
    /// Of sampled flows alone.
    fn from(evidence: Evidence) -> Self {
        Self { evidence, ..Self::default() }
    }
}

impl Sub for Reading {
    type Output = Self;

    /// What came since an earlier one. A count that is less than it was began anew, or was lost between two CPUs: nothing.
    fn sub(self, earlier: Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }
}

impl Sum for Reading {
    fn sum<I: Iterator<Item = Self>>(readings: I) -> Self {
        readings.fold(Self::default(), |sum, one| sum.each(one, u64::saturating_add))
    }
}

/// Handshakes that were followed to an end, or to a retransmission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handshakes {
    /// Those that completed at the first try.
    pub completed: u64,
    /// Those whose SYN came again.
    pub failed: u64,
}

impl Handshakes {
    /// Of a backend, or of several.
    pub fn of(evidence: &Evidence) -> Self {
        Self { completed: evidence.completed, failed: evidence.retried }
    }

    /// Those since earlier ones.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            completed: self.completed.saturating_sub(earlier.completed),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    /// All of them.
    pub fn volume(self) -> u64 {
        self.completed.saturating_add(self.failed)
    }

    /// How many of a hundred failed, rounded down; `None`: there was none.
    pub fn failed_percent(self) -> Option<u64> {
        self.failed.saturating_mul(100).checked_div(self.volume())
    }
}

/// What came within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What came.
    pub reading: Reading,
    /// How long it is.
    pub over: Duration,
    /// Of [`Control::FLOWS`] flows so many were followed; 0: none.
    pub sampled: u32,
}

impl Span {
    /// Packets a second.
    pub fn packets(&self) -> f64 {
        self.per_second(self.reading.counters.packets)
    }

    /// Bytes a second, from the inner IP header on.
    pub fn bytes(&self) -> f64 {
        self.per_second(self.reading.counters.bytes)
    }

    /// Flows that began in a second, about; `None`: none are followed.
    pub fn new_flows(&self) -> Option<f64> {
        self.estimate(self.reading.evidence.begun).map(|flows| flows / self.seconds())
    }

    /// Flows with a packet within 8.6 s, about; `None`: none are followed. Of more than some 10,000 followed flows at a time
    /// it says too few, for they share slots.
    pub fn active_flows(&self) -> Option<f64> {
        let interval = Duration::from_nanos(1 << Evidence::INTERVAL).as_secs_f64();
        self.estimate(self.reading.evidence.active).map(|flows| flows * interval / self.seconds())
    }

    /// A time in microseconds within which `percent` of the handshakes completed that did: where a bucket ends. `None`:
    /// there was none, or it took longer than all buckets but the last.
    pub fn handshake_time(&self, percent: u64) -> Option<u64> {
        handshake_time(&self.reading.evidence.times, percent)
    }

    fn seconds(&self) -> f64 {
        self.over.as_secs_f64().max(f64::EPSILON)
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds()
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn estimate(&self, sampled: u64) -> Option<f64> {
        (self.sampled > 0).then(|| sampled as f64 * f64::from(Control::FLOWS) / f64::from(self.sampled))
    }
}

/// Where the bucket ends, in microseconds, within which `percent` of these times lie; `None`: there are none, or it ends nowhere.
fn handshake_time(times: &[u64; HANDSHAKE_BUCKETS], percent: u64) -> Option<u64> {
    let needed = times.iter().sum::<u64>().saturating_mul(percent).div_ceil(100);
    let mut seen = 0;
    let bucket = (0..HANDSHAKE_BUCKETS).find(|bucket| {
        seen += times[*bucket];
        seen >= needed && needed > 0
    });
    bucket.and_then(Evidence::bound)
}
