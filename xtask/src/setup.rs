//! `cargo xtask setup`: the tools, and nothing else.

use anyhow::Result;

use crate::toolchain;
use crate::workspace::Workspace;

/// Finds or installs what building the eBPF objects and running the lab need.
///
/// # Errors
/// The first tool that is missing and cannot be installed, with its mend.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    toolchain::ensure(workspace)?;
    toolchain::packages::ensure()
}
