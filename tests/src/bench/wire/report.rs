//! The result, as a table or as JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::bench::case::{Case, Floor, Program};
use crate::bench::machine::Machine;
use crate::bench::report::{Spread, rounded, spread};

/// A case and its figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// Name of the case.
    name: &'static str,
    /// The median, in nanoseconds per frame.
    ns_per_frame: f64,
    /// Millions of frames a second that one processor makes, sends and receives.
    mpps: f64,
}

/// All of one measurement.
#[derive(Debug, Clone)]
pub struct Report {
    machine: Machine,
    measured: Vec<(Case, Spread, usize)>,
}

impl Report {
    /// From the sorted samples of each case, none empty, in the cases' order.
    pub(super) fn new(machine: Machine, cases: &[Case], samples: &[Vec<f64>]) -> Self {
        let measured = cases.iter().zip(samples);
        let measured = measured.map(|(case, samples)| (*case, spread(samples), samples.len()));
        Self { machine, measured: measured.collect() }
    }

    /// One object: machine, medians of the floors, cases.
    pub fn json(&self) -> Value {
        let (mut floors, mut cases) = (Map::new(), Vec::new());
        for (case, ns, _) in &self.measured {
            match case.program.floor() {
                None => drop(floors.insert(case.name.to_owned(), json!(ns.median))),
                Some(_) => cases.push(row(case, *ns)),
            }
        }
        json!({ "machine": self.machine, "floors": floors, "cases": cases })
    }

    fn floor(&self, floor: Floor) -> f64 {
        let found = self.measured.iter().find(|(case, ..)| case.program == Program::Floor(floor));
        found.map_or(f64::NAN, |(_, ns, _)| ns.median)
    }
}

fn row(case: &Case, ns: Spread) -> Row {
    Row { name: case.name, ns_per_frame: ns.median, mpps: rounded(1000.0 / ns.median, 100.0) }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        writeln!(f, "ns per frame, its making, the wire there and back and its end included in all")?;
        writeln!(
            f,
            "{:<18}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}",
            "", "median", "p10", "p90", "Mpps", "x floor", "samples"
        )?;
        for (case, ns, samples) in &self.measured {
            let (name, over) = match case.program.floor() {
                None => (format!("floor {}", case.name), String::new()),
                Some(floor) => (case.name.to_owned(), format!("{:.2}", ns.median / self.floor(floor))),
            };
            let Spread { median, p10, p90 } = *ns;
            let mpps = row(case, *ns).mpps;
            writeln!(f, "{name:<18}{median:>8.1}{p10:>8.1}{p90:>8.1}{mpps:>8.2}{over:>9}{samples:>9}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::wire::cases;

    #[test]
    fn json_has_floors_and_cases() {
        let machine = Machine { cpu: "a".to_owned(), cores: 2, kernel: "6.1".to_owned(), jit: true };
        let cases = cases();
        let samples: Vec<Vec<f64>> =
            (1_u32..).take(cases.len()).map(|case| vec![f64::from(case * 100)]).collect();
        let json = Report::new(machine, &cases, &samples).json();
        let floors = json!({"pass": 100.0, "macSwap": 200.0, "adjustHead": 300.0, "constantEncap": 400.0});
        assert_eq!(json["floors"], floors);
        assert_eq!(json["cases"][0], json!({"name": "tcp4-1", "nsPerFrame": 500.0, "mpps": 2.0}));
        assert_eq!(json["cases"].as_array().map(Vec::len), Some(4));
    }
}
