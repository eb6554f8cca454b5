//! `cargo xtask demo`: the tools, the build, then the demonstration itself.
//!
//! Standard output belongs to the demonstration alone, so that `--output json` is one JSON document.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{build, ebpf, process, setup};

/// Everything behind `demo` belongs to the demonstration.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Becomes the demonstration; returns only when that could not be started.
///
/// # Errors
/// No root, a missing tool, or whatever the compiler said.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    if !process::is_root() && !asks_for_help(&arguments.rest) {
        bail!("the demo makes network namespaces and loads eBPF, which needs root; run it with sudo");
    }
    setup::run(workspace)?;
    ebpf::build(workspace)?;
    let binary = build::binary(workspace, false)?;
    let demo = build::compile(workspace, "lb-tests", "demo", false)?;
    let mut command = Command::new(&demo);
    command.args(&arguments.rest).env(build::BINARY, binary);
    Err(build::with_objects(&mut command, workspace).exec())
        .with_context(|| format!("cannot start {}", demo.display()))
}

pub(crate) fn asks_for_help(rest: &[OsString]) -> bool {
    rest.iter().any(|argument| argument == "--help" || argument == "-h")
}
