//! Which compiler this is.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// The compiler in use, as it describes itself.
#[derive(Debug, PartialEq)]
pub(super) struct Rustc {
    /// Such as `1.95.0`.
    pub(super) release: String,
    /// LLVM's version, such as `22.1.2`.
    pub(super) llvm: String,
    /// Where the toolchain is installed.
    pub(super) sysroot: PathBuf,
}

impl Rustc {
    /// Asks the compiler that cargo uses in this workspace.
    ///
    /// # Errors
    /// When there is no `rustc`, or it does not say its version.
    pub(super) fn ask(workspace: &Workspace) -> Result<Self> {
        let version = process::read(rustc(workspace).arg("-vV"))?;
        let sysroot = process::read(rustc(workspace).args(["--print", "sysroot"]))?;
        Self::parse(&version, &sysroot).context("`rustc -vV` names no release or no LLVM version")
    }

    /// The LLVM release line, such as `22`.
    pub(super) fn llvm_major(&self) -> &str {
        self.llvm.split('.').next().unwrap_or(&self.llvm)
    }

    fn parse(version: &str, sysroot: &str) -> Option<Self> {
        let field = |name: &str| {
            version.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
        };
        let sysroot = PathBuf::from(sysroot.trim());
        Some(Self { release: field("release:")?, llvm: field("LLVM version:")?, sysroot })
    }
}

fn rustc(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(workspace.root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verbose_version_is_read() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nrelease: 1.95.0\nLLVM version: 22.1.2\n";
        let rustc = Rustc::parse(text, "/opt/rust\n").unwrap();
        assert_eq!((rustc.release.as_str(), rustc.llvm_major()), ("1.95.0", "22"));
        assert_eq!(rustc.sysroot, PathBuf::from("/opt/rust"));
        assert_eq!(Rustc::parse("release: 1.95.0\n", "/"), None);
    }
}
