//! What cargo knows about the workspace: packages, targets, where it builds.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;
use crate::workspace::Workspace;

/// The part of `cargo metadata` that the verbs use.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Where cargo builds for the host.
    pub(crate) target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

/// One thing cargo can build.
#[derive(Clone, Deserialize)]
pub(crate) struct Target {
    /// As given to `--test` or `--bin`.
    pub(crate) name: String,
    kind: Vec<String>,
    /// Features without which cargo leaves the target out.
    #[serde(default, rename = "required-features")]
    pub(crate) required_features: Vec<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// When the workspace's manifests do not parse.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        let text = process::read(process::cargo(workspace.root()).args([
            "metadata",
            "--locked",
            "--no-deps",
            "--format-version=1",
        ]))?;
        serde_json::from_str(&text).context("cargo metadata printed something unexpected")
    }

    /// A package's targets of one kind (`test`, `bin`), in cargo's order.
    pub(crate) fn targets(&self, package: &str, kind: &str) -> Vec<Target> {
        let targets = self.packages.iter().filter(|found| found.name == package).flat_map(|p| &p.targets);
        targets.filter(|target| target.kind.iter().any(|found| found == kind)).cloned().collect()
    }
}
