//! Test binaries that run elsewhere than cargo would run them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::kernels::Test;
use crate::workspace::Workspace;
use crate::{build, process};

/// The tests that run on kernels: which of each binary where nobody asks for others, in full and on a kernel between
/// others. How much a verifier has to do is its own, what a packet costs says nothing in an emulator, a hundred thousand
/// prefixes take it a minute, and so does the program that logs packets. What damaged answers come to is the library's.
const ON_KERNELS: [(&str, &[&str], &[&str]); 2] = [
    (
        "datapath",
        &[
            "--skip",
            "packet_log",
            "--skip",
            "budgets",
            "--skip",
            "bench",
            "--skip",
            "a_hundred_thousand",
            "--skip",
            "what_logs",
            "--skip",
            "damaged_answers",
            "--skip",
            "as_many_are_followed",
        ],
        &["the_kernel_takes"],
    ),
    ("e2e", &["without_a_program_of_ours"], &["without_a_program_of_ours"]),
];

/// A line of `cargo --message-format=json`, as far as it matters.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds them as the other tiers do, so that nothing is compiled twice. `rest` are the caller's own options
/// and filters.
///
/// # Errors
/// When they do not compile.
pub(super) fn for_kernels(workspace: &Workspace, spillway: &Path, rest: &[String]) -> Result<Vec<Test>> {
    let mut command = process::cargo(workspace.root());
    command.args(["test", "--locked", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(["--features", "lb-tests/root"]);
    command.args(ON_KERNELS.iter().flat_map(|(name, ..)| ["--test", name]));
    let messages = process::read(build::with_objects(&mut command, workspace).env(build::BINARY, spillway))?;
    let test = |(name, full, between): (&'static str, &[&str], &[&str])| {
        let binary = executable(&messages, name).with_context(|| format!("cargo built no test {name}"))?;
        Ok(Test { binary, name, full: arguments(full, rest), between: arguments(between, rest) })
    };
    ON_KERNELS.into_iter().map(test).collect()
}

fn arguments(usual: &[&str], rest: &[String]) -> Vec<String> {
    let options = ["--show-output", "--test-threads=1"].map(str::to_owned);
    let asked = if rest.is_empty() { usual.iter().map(ToString::to_string).collect() } else { rest.to_vec() };
    options.into_iter().chain(asked).collect()
}

fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let all = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let of_name = |message: &Message| message.target.as_ref().is_some_and(|target| target.name == name);
    all.filter(of_name).find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"e2e"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"datapath"},"executable":"/t/datapath-1"}
{"reason":"compiler-artifact","target":{"name":"e2e"},"executable":"/t/e2e-2"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "e2e"), Some("/t/e2e-2".into()));
        assert_eq!(executable(messages, "control"), None);
    }

    #[test]
    fn what_the_caller_asks_for_takes_the_place_of_the_usual() {
        assert_eq!(arguments(&["usual"], &[]).join(" "), "--show-output --test-threads=1 usual");
        assert_eq!(arguments(&["usual"], &["own".into()]).join(" "), "--show-output --test-threads=1 own");
    }
}
