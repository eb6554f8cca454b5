//! `cargo xtask build-and-load`: the tools, an optimised build, then the agent on real interfaces.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{build, ebpf, process, toolchain};

/// Options of `cargo xtask build-and-load`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Balance this interface instead of those the file names; may be given several times
    #[arg(long = "iface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// Passed on to `spillway run`
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// Becomes the agent; returns only when that could not be started.
///
/// # Errors
/// No root, a missing tool, or whatever the compiler said.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    if !process::is_root() {
        bail!("the agent loads eBPF and attaches it to an interface, which needs root; run it with sudo");
    }
    toolchain::ensure(workspace)?;
    ebpf::build(workspace)?;
    let binary = build::binary(workspace, true)?;
    let mut command = Command::new(&binary);
    command.arg("run").arg("--config").arg(&arguments.config);
    command.args(arguments.interfaces.iter().flat_map(|name| ["--interface", name]));
    Err(command.args(&arguments.rest).exec()).with_context(|| format!("cannot start {}", binary.display()))
}
