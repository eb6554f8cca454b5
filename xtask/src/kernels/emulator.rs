//! qemu and busybox: the machine's own, or the distribution's packages unpacked below `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::say;
use crate::process;
use crate::toolchain::debian::Archive;
use crate::workspace::Workspace;

/// The packages, at the machine's own release.
const PACKAGES: [&str; 2] = ["qemu-system-x86", "busybox-static"];
const QEMU: &str = "usr/bin/qemu-system-x86_64";
/// Where Debian has put it, by release.
const BUSYBOX: [&str; 2] = ["bin/busybox", "usr/bin/busybox"];
/// Directories of libraries in the unpacked packages.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Firmware: the first programs that an emulated machine runs.
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// What boots a kernel here, and the tools inside.
pub(super) struct Emulator {
    /// The file system that the packages are unpacked to.
    root: PathBuf,
}

impl Emulator {
    /// Finds it, or downloads and unpacks it; the machine stays as it is.
    ///
    /// # Errors
    /// Another architecture, or packages that cannot be had.
    pub(super) fn ensure(workspace: &Workspace, archive: &Archive) -> Result<Self> {
        let home = workspace.tools().join("emulator");
        let emulator = Self { root: home.join("root") };
        if emulator.works() {
            return Ok(emulator);
        }
        say("downloading qemu and busybox");
        let fetched = fetch(workspace, archive, &home);
        fetched.context("no qemu; `apt-get install qemu-system-x86 busybox-static` may say why")?;
        process::read(&mut emulator.qemu_version()).context("the qemu that was unpacked does not run")?;
        Ok(emulator)
    }

    /// qemu with the files it needs, and no other option yet.
    pub(super) fn qemu(&self) -> Command {
        let mut command = self.at_home(QEMU);
        for directory in FIRMWARE {
            command.arg("-L").arg(self.root.join(directory));
        }
        command
    }

    /// A shell and the commands of a small system in one file.
    pub(super) fn busybox(&self) -> PathBuf {
        let paths = BUSYBOX.map(|path| self.root.join(path));
        let found = paths.iter().find(|path| path.is_file());
        found.unwrap_or(&paths[0]).clone()
    }

    /// The content of a file that `xz` compressed.
    ///
    /// # Errors
    /// When it is no such file.
    pub(super) fn unxz(&self, path: &Path) -> Result<Vec<u8>> {
        let output = Command::new(self.busybox()).args(["unxz", "-c"]).arg(path).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(output.stdout)
    }

    fn works(&self) -> bool {
        self.busybox().is_file() && process::read(&mut self.qemu_version()).is_ok()
    }

    fn qemu_version(&self) -> Command {
        let mut command = self.at_home(QEMU);
        command.arg("--version");
        command
    }

    fn at_home(&self, program: &str) -> Command {
        let libraries = LIBRARIES.map(|directory| self.root.join(directory).display().to_string());
        let mut command = Command::new(self.root.join(program));
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command
    }
}

/// From the release's backports where it has any: qemu 7.2 emulates some instructions wrongly, on which kernels
/// crash and verifiers err.
fn fetch(workspace: &Workspace, archive: &Archive, home: &Path) -> Result<()> {
    let own = archive.own_suite();
    let backports = format!("{own}-backports");
    fetch_from(workspace, archive, &[own, &backports], home)
        .or_else(|_| fetch_from(workspace, archive, &[own], home))
}

/// From the last of the suites as far as it goes, and what is needed beside from the others.
fn fetch_from(workspace: &Workspace, archive: &Archive, suites: &[&str], home: &Path) -> Result<()> {
    if home.exists() {
        fs::remove_dir_all(home)?;
    }
    let (downloads, root) = (home.join("downloads"), home.join("root"));
    let apt = archive.apt(&workspace.tools(), suites)?;
    apt.update()?;
    apt.download_with_dependencies(&PACKAGES, suites.last().unwrap_or(&""), &downloads)?;
    unpack_all(&downloads, &root)?;
    Ok(fs::remove_dir_all(downloads)?)
}

/// Unpacks every package that lies in a directory.
///
/// # Errors
/// A damaged package, or no room.
pub(super) fn unpack_all(downloads: &Path, into: &Path) -> Result<()> {
    for file in fs::read_dir(downloads)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            process::run(Command::new("dpkg-deb").arg("-x").arg(path).arg(into), "is the disk full?")?;
        }
    }
    Ok(())
}
