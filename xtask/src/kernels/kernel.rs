//! A kernel and its modules, downloaded once and kept below `target/tools/kernels`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::emulator::{Emulator, unpack_all};
use super::series::{Series, packages_of};
use super::{FLAVOUR, modules, say};
use crate::toolchain::debian::Archive;
use crate::workspace::Workspace;

/// Where the kernel lies in a package, by age.
const IMAGES: [&str; 3] =
    ["boot/vmlinuz-RELEASE", "usr/lib/modules/RELEASE/vmlinuz", "lib/modules/RELEASE/vmlinuz"];

/// A kernel that can be booted.
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) release: String,
    home: PathBuf,
}

/// Lists the modules that were wanted.
const WANTED: &str = "wanted";

impl Kernel {
    /// The newest of its series as of the first call, which downloads it.
    ///
    /// # Errors
    /// When no suite has it, or the mirror cannot be reached.
    pub(super) fn ensure(
        workspace: &Workspace,
        archive: &Archive,
        emulator: &Emulator,
        series: &Series,
    ) -> Result<Self> {
        let home = workspace.tools().join("kernels").join(series.name);
        // Other modules may have been wanted when it was fetched.
        if fs::read_to_string(home.join(WANTED)).ok().as_deref() != Some(&*modules::wanted()) {
            let part = home.with_extension("part");
            for old in [&part, &home].into_iter().filter(|old| old.exists()) {
                fs::remove_dir_all(old)?;
            }
            fetch(workspace, archive, emulator, series, &part)?;
            fs::write(part.join(WANTED), modules::wanted())?;
            // Only what is whole has its name.
            fs::rename(&part, &home)?;
        }
        Ok(Self { release: fs::read_to_string(home.join("release"))?, home })
    }

    /// The kernel itself.
    pub(super) fn image(&self) -> PathBuf {
        self.home.join("vmlinuz")
    }

    /// Its modules, in the order of their names.
    pub(super) fn modules(&self) -> PathBuf {
        self.home.join("modules")
    }
}

fn fetch(
    workspace: &Workspace,
    archive: &Archive,
    emulator: &Emulator,
    series: &Series,
    home: &Path,
) -> Result<()> {
    let downloads = home.join("downloads");
    let release = download(workspace, archive, series, &downloads)?;
    let (unpacked, release) = (home.join("unpacked"), format!("{release}-{FLAVOUR}"));
    unpack_all(&downloads, &unpacked)?;
    let images = IMAGES.map(|path| unpacked.join(path.replace("RELEASE", &release)));
    let image = images.iter().find(|path| path.is_file()).context("the package holds no kernel")?;
    fs::rename(image, home.join("vmlinuz"))?;
    modules::collect(&unpacked, &home.join("modules"), emulator)?;
    fs::write(home.join("release"), release)?;
    fs::remove_dir_all(unpacked)?;
    Ok(fs::remove_dir_all(downloads)?)
}

/// Downloads the newest release from the first suite that has one, and returns it.
fn download(workspace: &Workspace, archive: &Archive, series: &Series, into: &Path) -> Result<String> {
    let mut reasons = Vec::new();
    for suite in series.suites {
        match download_from(workspace, archive, series, suite, into) {
            Ok(release) => return Ok(release),
            Err(error) => reasons.push(format!("{suite}: {error:#}")),
        }
    }
    bail!("{}", reasons.join("; "))
}

fn download_from(
    workspace: &Workspace,
    archive: &Archive,
    series: &Series,
    suite: &str,
    into: &Path,
) -> Result<String> {
    let apt = archive.apt(&workspace.tools(), &[suite])?;
    apt.update()?;
    let offered = apt.names("linux-")?;
    let release = series.newest(&offered).with_context(|| format!("has no {FLAVOUR} {}", series.name))?;
    let packages = packages_of(release, &offered);
    ensure!(!packages.is_empty(), "has no modules of {release}");
    say(&format!("downloading {} from {suite}", packages.join(", ")));
    apt.download(&packages, into)?;
    Ok(release.to_owned())
}
