//! A metric with what it is to be, in one text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Criterion, Metric, Reading};

/// `failed_handshake_ratio > 0.02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    /// The number.
    pub metric: Metric,
    /// What it is to be.
    pub criterion: Criterion,
}

impl Condition {
    /// Whether it holds of what came to backends; of fewer flows than `least` it never does.
    pub fn holds(self, reading: &Reading, least: u64) -> bool {
        let value = self.metric.value(reading).filter(|_| self.metric.samples(reading) >= least);
        value.is_some_and(|value| self.criterion.holds(value))
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.find(|sign: char| !sign.is_ascii_lowercase() && !matches!(sign, '_' | '0'..='9'));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let known = Metric::ALL.iter().find(|(known, _)| *known == name);
        let Some((_, metric)) = known else {
            let known: Vec<_> = Metric::ALL.iter().map(|(known, _)| *known).collect();
            return Err(format!("{name:?} is no metric; there are {}", known.join(", ")));
        };
        Ok(Self { metric: *metric, criterion: rest.trim().parse()? })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.metric.name(), self.criterion)
    }
}

impl TryFrom<String> for Condition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}

#[cfg(test)]
mod tests {
    use lb_common::abi::{BackendCounters, Evidence};

    use super::*;

    #[test]
    fn a_condition_says_what_it_was_read_from() {
        for (name, _) in Metric::ALL {
            let text = format!("{name} >= 0.5");
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.to_string(), text);
            let json = serde_json::to_string(&condition).unwrap();
            assert_eq!(
                (json.clone(), serde_json::from_str(&json).unwrap()),
                (format!("\"{text}\""), condition)
            );
        }
        assert_eq!(
            " handshake_p99_ms>300 ".parse::<Condition>().unwrap().to_string(),
            "handshake_p99_ms > 300"
        );
    }

    #[test]
    fn what_is_no_condition_says_what_there_is() {
        for text in ["", "> 1", "load > 1", "failed_handshake_ratio", "failed_handshake_ratio = 1"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
        let error = "load > 1".parse::<Condition>().unwrap_err();
        assert!(error.contains("\"load\"") && error.contains("client_reset_ratio"), "{error}");
    }

    #[test]
    fn of_too_few_flows_it_does_not_hold() {
        let evidence = Evidence { completed: 6, retried: 4, ..Evidence::default() };
        let reading = Reading { counters: BackendCounters::default(), evidence };
        let condition: Condition = "failed_handshake_ratio > 0.3".parse().unwrap();
        assert!(condition.holds(&reading, 10) && !condition.holds(&reading, 11));
        assert!(!"failed_handshake_ratio > 0.4".parse::<Condition>().unwrap().holds(&reading, 10));
    }
}
