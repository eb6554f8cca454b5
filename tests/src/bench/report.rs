//! The result, as a table or as JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::case::{Case, Floor, Program};
pub use super::machine::Machine;

/// Median and tenths, in nanoseconds per packet, the wrapper's own time included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the samples are below.
    pub median: f64,
    /// A tenth is below.
    pub p10: f64,
    /// A tenth is above.
    pub p90: f64,
}

/// A case and its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Name of the case.
    pub name: &'static str,
    /// Nanoseconds per packet.
    pub ns: Spread,
    /// The median as a multiple of its floor's: adjustHead or macSwap where a packet is sent, pass or shrinkHead where
    /// it is the kernel's.
    pub over_floor: f64,
    /// Undisturbed samples.
    pub samples: usize,
}

/// All of one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    machine: Machine,
    floors: Vec<(&'static str, Spread, usize)>,
    cases: Vec<Row>,
}

impl Report {
    /// From the sorted samples of each case, none empty, in the cases' order.
    pub(crate) fn new(machine: Machine, cases: &[Case], samples: &[Vec<f64>]) -> Self {
        let measured = || cases.iter().zip(samples);
        let median = |floor: Floor| {
            let found = measured().find(|(case, _)| case.program == Program::Floor(floor));
            found.map_or(f64::NAN, |(_, samples)| spread(samples).median)
        };
        let row = |(name, ns, floor, samples): (&'static str, Spread, Floor, usize)| {
            let over_floor = rounded(ns.median / median(floor), 100.0);
            Row { name, ns, over_floor, samples }
        };
        let (mut floors, mut rows) = (Vec::new(), Vec::new());
        for (case, samples) in measured() {
            let (name, ns) = (case.name, spread(samples));
            match case.program.floor() {
                None => floors.push((name, ns, samples.len())),
                Some(floor) => rows.push((name, ns, floor, samples.len())),
            }
        }
        Self { machine, floors, cases: rows.into_iter().map(row).collect() }
    }

    /// One object: machine, medians of the floors, cases.
    pub fn json(&self) -> Value {
        let floors: Map<_, _> =
            self.floors.iter().map(|(name, ns, _)| ((*name).to_owned(), json!(ns.median))).collect();
        json!({ "machine": self.machine, "floors": floors, "cases": self.cases })
    }
}

/// Of sorted samples.
pub(crate) fn spread(sorted: &[f64]) -> Spread {
    let at = |tenths: usize| {
        let index = sorted.len().saturating_sub(1) * tenths / 10;
        rounded(sorted.get(index).copied().unwrap_or(f64::NAN), 10.0)
    };
    Spread { median: at(5), p10: at(1), p90: at(9) }
}

/// To this many parts of one.
pub(crate) fn rounded(value: f64, unit: f64) -> f64 {
    (value * unit).round() / unit
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "ns per packet, the benchmark's wrapper included in all")?;
        writeln!(f, "{:<18}{:>8}{:>8}{:>8}{:>9}{:>9}", "", "median", "p10", "p90", "x floor", "samples")?;
        for (name, ns, samples) in &self.floors {
            line(f, &format!("floor {name}"), *ns, "", *samples)?;
        }
        for row in &self.cases {
            line(f, row.name, row.ns, &format!("{:.2}", row.over_floor), row.samples)?;
        }
        Ok(())
    }
}

fn line(f: &mut Formatter<'_>, name: &str, ns: Spread, over: &str, samples: usize) -> fmt::Result {
    let Spread { median, p10, p90 } = ns;
    writeln!(f, "{name:<18}{median:>8.1}{p10:>8.1}{p90:>8.1}{over:>9}{samples:>9}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::case::CASES;

    fn report() -> Report {
        let machine = Machine { cpu: "a".to_owned(), cores: 2, kernel: "6.1".to_owned(), jit: true };
        let samples: Vec<Vec<f64>> = (1_u32..)
            .take(CASES.len())
            .map(|case| (0..11).map(|n| f64::from(case * 10 + n)).collect())
            .collect();
        Report::new(machine, CASES, &samples)
    }

    #[test]
    fn json_has_floors_and_cases() {
        let json = report().json();
        assert_eq!(json["floors"]["pass"], 15.0);
        let first = &json["cases"][0];
        assert_eq!(first["name"], "tcp4-1");
        assert_eq!(first["ns"], json!({"median": 65.0, "p10": 61.0, "p90": 69.0}));
        assert_eq!((&first["overFloor"], &first["samples"]), (&json!(1.86), &json!(11)));
    }

    #[test]
    fn strangers_are_compared_with_pass() {
        let report = report();
        let row = report.cases.iter().find(|row| row.name == "nonvip4").unwrap();
        assert!((row.over_floor - row.ns.median / 15.0).abs() < 0.01);
    }
}
