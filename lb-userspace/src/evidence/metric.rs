//! What evidence is judged by: a number that is made of it, and what that number is to be.

use std::fmt;
use std::str::FromStr;

use super::{Handshakes, Reading, handshake_time};

/// A number made of what came to backends within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Of the handshakes that were followed the part whose SYN came again, 0 to 1.
    FailedHandshakeRatio,
    /// Of the flows that were followed the part that the client reset after the handshake, 0 to 1.
    ClientResetRatio,
    /// Milliseconds within which 99 of 100 handshakes completed, with what the client's side takes: where a bucket ends.
    HandshakeP99,
}

impl Metric {
    /// All of them, by the names that they have in the configuration.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("failed_handshake_ratio", Self::FailedHandshakeRatio),
        ("client_reset_ratio", Self::ClientResetRatio),
        ("handshake_p99_ms", Self::HandshakeP99),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// How many flows it is made of.
    pub fn samples(self, reading: &Reading) -> u64 {
        match self {
            Self::FailedHandshakeRatio => Handshakes::of(&reading.evidence).volume(),
            Self::ClientResetRatio => reading.evidence.begun,
            Self::HandshakeP99 => reading.evidence.times.iter().sum(),
        }
    }

    /// The number; `None`: there was nothing to make it of. A time beyond all buckets is infinite.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn value(self, reading: &Reading) -> Option<f64> {
        let samples = self.samples(reading);
        if samples == 0 {
            return None;
        }
        let part = |count: u64| count as f64 / samples as f64;
        Some(match self {
            Self::FailedHandshakeRatio => part(reading.evidence.retried),
            // A flow may have begun before what is looked at.
            Self::ClientResetRatio => part(reading.evidence.resets).min(1.0),
            Self::HandshakeP99 => handshake_time(&reading.evidence.times, 99)
                .map_or(f64::INFINITY, |micros| micros as f64 / 1000.0),
        })
    }
}

/// How a number is compared with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Comparison {
    /// The longer ones first: they begin like the others.
    const ALL: [(&'static str, Self); 4] =
        [("<=", Self::AtMost), (">=", Self::AtLeast), ("<", Self::Less), (">", Self::More)];
}

/// What a number is to be: `< 0.01`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    comparison: Comparison,
    bound: f64,
}

// The bound is finite, so that it equals itself.
impl Eq for Criterion {}

impl Criterion {
    /// Whether a number is what it is to be. What is no number never is.
    pub fn holds(self, value: f64) -> bool {
        match self.comparison {
            Comparison::Less => value < self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::More => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
        }
    }
}

impl FromStr for Criterion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no comparison with a number, such as `< 0.01`");
        let text = text.trim();
        let found = Comparison::ALL.iter().find_map(|(sign, one)| Some((one, text.strip_prefix(sign)?)));
        let (comparison, bound) = found.ok_or_else(wrong)?;
        let bound: f64 = bound.trim().parse().map_err(|_| wrong())?;
        if !bound.is_finite() {
            return Err(wrong());
        }
        Ok(Self { comparison: *comparison, bound })
    }
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            Comparison::ALL.iter().find(|(_, one)| *one == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.bound)
    }
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{BackendCounters, Evidence};

    use super::*;

    fn reading(completed: u64, retried: u64, resets: u64) -> Reading {
        let mut evidence =
            Evidence { begun: completed + retried, completed, retried, resets, ..Evidence::default() };
        evidence.times[2] = completed;
        Reading { counters: BackendCounters::default(), evidence }
    }

    #[test]
    fn a_metric_is_a_part_of_what_was_followed() {
        let reading = reading(98, 2, 25);
        assert_eq!(Metric::FailedHandshakeRatio.value(&reading), Some(0.02));
        assert_eq!(Metric::ClientResetRatio.value(&reading), Some(0.25));
        assert_eq!(Metric::HandshakeP99.value(&reading), Some(1.024));
        let samples: Vec<_> = Metric::ALL.iter().map(|(_, metric)| metric.samples(&reading)).collect();
        assert_eq!(samples, [100, 100, 98]);
    }

    #[test]
    fn of_nothing_there_is_no_number() {
        assert!(Metric::ALL.iter().all(|(_, metric)| metric.value(&reading(0, 0, 0)).is_none()));
    }

    #[test]
    fn what_took_longer_than_all_buckets_is_beyond_any_bound() {
        let mut reading = reading(0, 0, 0);
        reading.evidence.times[15] = 5;
        let value = Metric::HandshakeP99.value(&reading).unwrap();
        assert!("> 4000".parse::<Criterion>().unwrap().holds(value));
    }

    #[test]
    fn a_criterion_says_what_it_was_read_from() {
        for (text, below, at, above) in [
            ("< 0.5", true, false, false),
            ("<= 0.5", true, true, false),
            ("> 0.5", false, false, true),
            (">= 0.5", false, true, true),
        ] {
            let criterion: Criterion = text.parse().unwrap();
            assert_eq!(criterion.to_string(), text);
            assert_eq!([0.4, 0.5, 0.6].map(|value| criterion.holds(value)), [below, at, above], "{text}");
            assert!(!criterion.holds(f64::NAN));
        }
        assert_eq!(" <0.5 ".parse::<Criterion>().unwrap().to_string(), "< 0.5");
    }

    #[test]
    fn what_compares_nothing_with_a_number_is_refused() {
        for text in ["", "0.5", "= 0.5", "<", "< x", "< inf", "< NaN", "<< 1"] {
            assert!(text.parse::<Criterion>().is_err(), "{text}");
        }
    }
}
