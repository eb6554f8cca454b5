//! `spillway doctor --output json`, run inside a namespace and read back.

use std::process::{Command, Stdio};

use lb_tests::lab::Namespace;
use serde_json::Value;

use super::gateway_world::binary;

/// What the command said.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) json: Value,
}

/// Runs `spillway doctor` with these words.
pub(crate) fn doctor(namespace: &Namespace, words: &[&str]) -> Report {
    run(namespace.command(binary()), words)
}

/// The same in a command that was prepared.
pub(crate) fn run(mut command: Command, words: &[&str]) -> Report {
    command.arg("doctor").args(words).args(["--output", "json"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    Report { code: output.status.code(), json }
}

impl Report {
    fn findings(&self) -> impl Iterator<Item = [&str; 5]> {
        let findings = self.json["findings"].as_array().expect("a list of findings");
        findings.iter().map(|one| {
            ["severity", "check", "subject", "says", "mend"].map(|key| one[key].as_str().unwrap_or_default())
        })
    }

    /// Severity, check and subject of whatever is not in order, the worst first.
    pub(crate) fn said(&self) -> Vec<String> {
        let findings = self.findings().filter(|[severity, ..]| *severity != "ok");
        findings.map(|[severity, check, subject, ..]| format!("{severity} {check} {subject}")).collect()
    }

    /// Severity, and what is said and to be done, of the finding of a check about something.
    pub(crate) fn about(&self, check: &str, subject: &str) -> [&str; 3] {
        let found = self.findings().find(|[_, one, about, ..]| *one == check && *about == subject);
        let [severity, _, _, says, mend] =
            found.unwrap_or_else(|| panic!("{check} {subject}: {:#}", self.json));
        [severity, says, mend]
    }
}
