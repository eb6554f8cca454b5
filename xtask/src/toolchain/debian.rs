//! The sources of one exact release of Rust, from the distribution that this machine is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::apt::{PrivateApt, is_release};
use super::say;
use super::sources_list::{self, Mirror};
use crate::process;

/// Where Debian keeps several compiler versions side by side, then the moving suites.
const DEBIAN_SUITES: [&str; 4] = ["stable-backports", "trixie-backports", "unstable", "testing"];
const KEYRINGS: [(&str, &str); 2] = [
    ("debian", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    ("ubuntu", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
];

/// The file of the package that holds the sources of this release of Rust, downloaded once.
///
/// # Errors
/// No apt, no mirror in its configuration, or no suite there that has the release.
pub(super) fn download_rust_src(tools: &Path, release: &str) -> Result<PathBuf> {
    let downloads = tools.join("downloads");
    if let Some(cached) = cached(&downloads, release) {
        say(&format!("rust-src {release}: {} was downloaded before", cached.display()));
        return Ok(cached);
    }
    let archive = Archive::of_this_machine()?;
    for suite in archive.suites() {
        let apt = archive.apt(tools, &[&suite])?;
        if let Some((package, version)) = apt.find(release) {
            say(&format!("rust-src {release}: downloading {package} {version} from {suite}"));
            apt.download(&[format!("{package}={version}")], &downloads)?;
            return cached(&downloads, release).context("apt-get downloaded nothing");
        }
        say(&format!("rust-src {release}: not in {suite}"));
    }
    bail!("no suite of this machine's mirror has it")
}

/// The distribution's archive as this machine reaches it.
pub(crate) struct Archive {
    system: OperatingSystem,
    mirror: Mirror,
    keyring: PathBuf,
}

impl Archive {
    /// From apt's own configuration.
    ///
    /// # Errors
    /// No apt, no mirror in its configuration, or no keyring to check it with.
    pub(crate) fn of_this_machine() -> Result<Self> {
        ensure!(process::on_path("apt-get"), "this machine has no apt-get");
        let system = OperatingSystem::read()?;
        let mirror = sources_list::main_archive(Path::new("/etc/apt"), &system.codename)
            .context("apt's configuration names no mirror of this machine's release")?;
        let keyring = system.keyring(&mirror)?;
        Ok(Self { system, mirror, keyring })
    }

    /// The suite that the machine itself is of.
    pub(crate) fn own_suite(&self) -> &str {
        &self.mirror.suite
    }

    /// An apt of our own below `tools` that reads some suites of the archive.
    ///
    /// # Errors
    /// When its directory cannot be written.
    pub(crate) fn apt(&self, tools: &Path, suites: &[&str]) -> Result<PrivateApt> {
        PrivateApt::new(tools, &self.mirror, suites, &self.keyring)
    }

    /// Where a compiler's sources may be.
    fn suites(&self) -> Vec<String> {
        let own = [self.mirror.suite.clone(), format!("{}-updates", self.mirror.suite)];
        let debian = if self.system.id == "debian" { &DEBIAN_SUITES[..] } else { &[] };
        debian.iter().map(ToString::to_string).chain(own).collect()
    }
}

/// Unpacks the parts of a package whose paths match a pattern.
///
/// # Errors
/// A damaged package, or no room; the package is removed, so that the next run downloads it again.
pub(super) fn unpack(package: &Path, into: &Path, pattern: &str) -> Result<()> {
    let mut archive =
        Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let content = archive.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--wildcards", "-C"]).arg(into).arg(pattern).stdin(content);
    let unpacked = tar.status()?.success();
    if !(archive.wait()?.success() && unpacked) {
        fs::remove_file(package)?;
        bail!(
            "{} cannot be unpacked and was removed; make sure of room on the disk and run this again",
            package.display()
        );
    }
    Ok(())
}

fn cached(downloads: &Path, release: &str) -> Option<PathBuf> {
    let files = fs::read_dir(downloads).ok()?;
    files.filter_map(|file| Some(file.ok()?.path())).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.strip_suffix(".deb").and_then(|name| name.split('_').nth(1));
        name.starts_with("rust") && version.is_some_and(|version| is_release(version, release))
    })
}

struct OperatingSystem {
    id: String,
    codename: String,
}

impl OperatingSystem {
    fn read() -> Result<Self> {
        let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
        };
        Ok(Self { id: field("ID"), codename: field("VERSION_CODENAME") })
    }

    fn keyring(&self, mirror: &Mirror) -> Result<PathBuf> {
        let usual = KEYRINGS.iter().find(|(id, _)| *id == self.id).map(|(_, path)| PathBuf::from(path));
        let keyring = mirror.keyring.clone().or(usual).filter(|path| path.is_file());
        keyring.context("this machine has no archive keyring; install debian-archive-keyring")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_found_again_by_its_release() {
        let downloads = tempfile::tempdir().unwrap();
        let file = downloads.path().join("rust-src_1.95.0+dfsg1-2~bpo13+1_all.deb");
        fs::write(&file, "").unwrap();
        assert_eq!(cached(downloads.path(), "1.95.0"), Some(file));
        assert_eq!(cached(downloads.path(), "1.95.1"), None);
    }

    #[test]
    fn a_damaged_package_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let package = directory.path().join("rust-src_1.95.0-1_all.deb");
        fs::write(&package, "not a package").unwrap();
        let error = unpack(&package, directory.path(), "./usr").unwrap_err().to_string();
        assert!(error.contains("cannot be unpacked"), "{error}");
        assert!(!package.exists());
    }
}
