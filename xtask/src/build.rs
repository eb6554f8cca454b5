//! `cargo xtask build`: toolchain, eBPF objects, then the binary that carries them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::metadata::Metadata;
use crate::workspace::Workspace;
use crate::{ebpf, process, toolchain};

/// Names the directory of the eBPF objects to whoever embeds or loads them.
pub(crate) const BPF_DIR: &str = "SPILLWAY_BPF_DIR";
/// Names the built `spillway` binary to the demo and the tests.
pub(crate) const BINARY: &str = "SPILLWAY_BIN";

/// Options of `cargo xtask build`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimise the userspace part too; the eBPF part always is
    #[arg(long)]
    release: bool,
}

/// Builds everything and says where the binary is.
///
/// # Errors
/// A missing tool, or whatever the compiler said.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    toolchain::ensure(workspace)?;
    ebpf::build(workspace)?;
    let binary = binary(workspace, arguments.release)?;
    eprintln!("build: {}", binary.display());
    Ok(())
}

/// Builds `spillway` with the objects that [`ebpf::build`] left, and returns its path.
///
/// # Errors
/// Whatever the compiler said.
pub(crate) fn binary(workspace: &Workspace, release: bool) -> Result<PathBuf> {
    compile(workspace, "lb-userspace", "spillway", release)
}

/// Builds one binary of one package for the host.
///
/// # Errors
/// Whatever the compiler said.
pub(crate) fn compile(workspace: &Workspace, package: &str, name: &str, release: bool) -> Result<PathBuf> {
    let mut command = process::cargo(workspace.root());
    command.args(["build", "--locked", "--bin", name]);
    // What is handed out has the features it asks for and no others. What serves development has those of the
    // tests, so that both share what is built.
    if release {
        command.args(["--release", "--package", package]);
    } else {
        command.arg("--workspace");
    }
    process::run(with_objects(&mut command, workspace), "the compiler's message above says where")?;
    let profile = if release { "release" } else { "debug" };
    Ok(Metadata::load(workspace)?.target_directory.join(profile).join(name))
}

/// Tells a command where the eBPF objects are.
pub(crate) fn with_objects<'a>(command: &'a mut Command, workspace: &Workspace) -> &'a mut Command {
    command.env(BPF_DIR, workspace.bpf_objects())
}
