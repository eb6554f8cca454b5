//! Findings as they are printed.

use std::cmp::Reverse;

use serde::Serialize;

use super::super::output::{Column, Sheet};
use crate::doctor::{Finding, Severity};

const COLUMNS: [Column; 4] =
    [Column::Text("SEVERITY"), Column::Text("CHECK"), Column::Text("SUBJECT"), Column::Text("FINDING")];

/// All findings, the worst first, and how many there are of each severity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// `gateway` or `node`.
    side: &'static str,
    errors: usize,
    warnings: usize,
    hints: usize,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(side: &'static str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| Reverse(finding.severity));
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let [errors, warnings, hints] = [Severity::Error, Severity::Warning, Severity::Hint].map(count);
        Self { side, errors, warnings, hints, findings }
    }

    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn findings(&self) -> usize {
        self.findings.len()
    }

    /// A line for each finding, one below it for the mend.
    pub(super) fn text(&self) -> String {
        let mut sheet = Sheet::new(&COLUMNS);
        for Finding { check, subject, severity, says, mend } in &self.findings {
            sheet.row([severity.name().to_owned(), (*check).to_owned(), subject.clone(), says.clone()]);
            if let Some(mend) = mend {
                let no = String::new;
                sheet.row([no(), no(), no(), format!("mend: {mend}")]);
            }
        }
        sheet.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let finding = |check, severity, mend: Option<&str>| Finding {
            check,
            subject: "eth0".into(),
            severity,
            says: "is as it is".into(),
            mend: mend.map(str::to_owned),
        };
        let hint = finding("xdp", Severity::Hint, Some("wait"));
        let error = finding("interface", Severity::Error, Some("`ip link set dev eth0 up`"));
        Report::new("gateway", vec![finding("kernel", Severity::Ok, None), hint, error])
    }

    #[test]
    fn the_worst_comes_first_with_its_mend() {
        let expected = "\
SEVERITY  CHECK      SUBJECT  FINDING
error     interface  eth0     is as it is
                              mend: `ip link set dev eth0 up`
hint      xdp        eth0     is as it is
                              mend: wait
ok        kernel     eth0     is as it is";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn programs_read_the_same() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(
            (&json["side"], &json["errors"], &json["hints"]),
            (&"gateway".into(), &1.into(), &1.into())
        );
        let first = serde_json::json!({
            "check": "interface", "subject": "eth0", "severity": "error", "says": "is as it is",
            "mend": "`ip link set dev eth0 up`",
        });
        assert_eq!(json["findings"][0], first);
        assert_eq!(json["findings"][2]["mend"], serde_json::Value::Null);
    }
}
