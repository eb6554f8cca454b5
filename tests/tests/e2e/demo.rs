//! The demo as a program that another one reads: one JSON object, and nothing left behind.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lb_tests::lab::is_root;
use serde_json::Value;

/// Few enough for a test, enough for shares.
const REQUESTS: &str = "600";

fn demo(temporary: &std::path::Path) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(["--output", "json", "--requests", REQUESTS]).env("TMPDIR", temporary);
    let output = command.stdin(Stdio::null()).output().context("run the demo")?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code(), text(output.stdout), text(output.stderr)))
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// Processes whose parent died are ours from now on, so that they can be found.
fn orphans() -> Result<String> {
    let mut children = String::new();
    for task in fs::read_dir("/proc/self/task")? {
        children += &fs::read_to_string(task?.path().join("children"))?;
    }
    Ok(children)
}

#[test]
fn one_json_object_and_nothing_left_behind() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    nix::sys::prctl::set_child_subreaper(true)?;
    let temporary = tempfile::tempdir()?;
    let (code, output, account) = demo(temporary.path())?;
    assert_eq!(code, Some(0), "{account}");
    assert_eq!(output.lines().count(), 1, "{output}");
    let report: Value = serde_json::from_str(&output)?;
    assert_eq!(keys(&report), ["clusters", "failed", "faults", "nodes", "ok", "requests"]);
    let number = |key: &str| report[key].as_u64().unwrap_or_default();
    assert!(number("requests") >= 600 && number("ok") + number("failed") == number("requests"), "{report}");
    for part in [&report["clusters"], &report["nodes"]] {
        let parts = part.as_object().context("parts by name")?;
        assert!(parts.len() > 1);
        assert!(parts.values().all(|part| keys(part) == ["expectedShare", "requests", "share"]), "{report}");
        let total: f64 = parts.values().filter_map(|part| part["share"].as_f64()).sum();
        assert!((total - 1.0).abs() < 1e-6, "{report}");
    }
    let faults = report["faults"].as_array().context("faults")?;
    assert_eq!(faults.iter().map(|fault| &fault["kind"]).collect::<Vec<_>>(), ["node", "cluster", "gateway"]);
    for fault in faults {
        let of_all = ["detectedMs", "failedRequests", "kind", "switchedMs", "target"];
        if fault["kind"] == "gateway" {
            let more = ["brokenConnections", "connections"];
            assert_eq!(keys(fault).into_iter().filter(|key| !of_all.contains(key)).collect::<Vec<_>>(), more);
            assert_eq!(fault["brokenConnections"], 0, "{report}");
            assert!(fault["connections"].as_u64().is_some_and(|count| count >= 100), "{report}");
        } else {
            assert_eq!(keys(fault), of_all);
        }
        assert!(fault["detectedMs"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 10_000.0), "{report}");
    }

    assert_eq!(fs::read_dir(temporary.path())?.count(), 0, "files are left behind");
    let place = temporary.path().display().to_string();
    assert!(!fs::read_to_string("/proc/self/mounts")?.contains(&place), "a mount is left behind");
    assert_eq!(orphans()?.trim(), "", "processes are left behind");
    Ok(())
}
