//! Where things are.
//!
//! Tools and eBPF objects live in the project's own `target/`, wherever `CARGO_TARGET_DIR` points:
//! they are costly to make and do not depend on the build they are made for.

use std::env;
use std::path::{Path, PathBuf};

/// The checkout that the command was started in.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Cargo names the package's directory at run time; what was true at compile time is the fallback.
    pub(crate) fn find() -> Self {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        Self { root: package.parent().map_or(package.clone(), Path::to_path_buf) }
    }

    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tools installed for this checkout alone, and what was downloaded for them.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// Cargo's target directory for `bpfel-unknown-none`.
    pub(crate) fn bpf_target(&self) -> PathBuf {
        self.root.join("target/bpf")
    }

    /// The checked objects, one file per program, named as the programs are. `SPILLWAY_BPF_DIR` names it.
    pub(crate) fn bpf_objects(&self) -> PathBuf {
        self.bpf_target().join("objects")
    }
}
