//! `cargo xtask bench`: the tools, an optimised build, then the measurement itself.
//!
//! Standard output belongs to the measurement alone, so that `--output json` is one JSON document.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{build, demo, ebpf, process, toolchain};

/// Everything behind `bench` belongs to the measurement.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Becomes the measurement; returns only when that could not be started.
///
/// # Errors
/// No root, a missing tool, or whatever the compiler said.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let measurement = arguments.rest.first().and_then(|word| word.to_str());
    if !matches!(measurement, Some("tables" | "policy" | "plan" | "chain"))
        && !process::is_root()
        && !demo::asks_for_help(&arguments.rest)
    {
        bail!("the benchmark runs programs in the kernel, which needs root; run it with sudo");
    }
    toolchain::ensure(workspace)?;
    ebpf::build(workspace)?;
    let bench = build::compile(workspace, "lb-tests", "bench", true)?;
    let mut command = Command::new(&bench);
    command.args(&arguments.rest);
    // Only the agent's own figures need one.
    if measurement == Some("control") {
        command.env(build::BINARY, build::binary(workspace, true)?);
    }
    Err(build::with_objects(&mut command, workspace).exec())
        .with_context(|| format!("cannot start {}", bench.display()))
}
