//! An apt of our own: its lists, cache and state are under `target/tools/apt`, and the machine's stay as
//! they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::sources_list::Mirror;
use crate::process;

/// What dpkg knows about the machine.
const INSTALLED: &str = "/var/lib/dpkg/status";

/// An apt that reads one mirror and writes only below its own directory.
pub(crate) struct PrivateApt {
    configuration: PathBuf,
}

impl PrivateApt {
    /// Its files are below `tools`; `keyring` is what the mirror's signatures are checked with.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(super) fn new(tools: &Path, mirror: &Mirror, suites: &[&str], keyring: &Path) -> Result<Self> {
        let home = tools.join("apt").join(suites.join("+"));
        for directory in ["lists/partial", "cache/archives/partial", "state"] {
            fs::create_dir_all(home.join(directory))?;
        }
        fs::write(home.join("state/status"), "")?;
        let source = |suite| format!("deb [signed-by={}] {} {suite} main\n", keyring.display(), mirror.uri);
        fs::write(home.join("sources.list"), suites.iter().map(source).collect::<Vec<_>>().concat())?;
        let configuration = home.join("apt.conf");
        fs::write(&configuration, settings(&home) + &inherited_settings())?;
        Ok(Self { configuration })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.configuration).env("LC_ALL", "C");
        command
    }

    /// Reads what the mirror offers.
    ///
    /// # Errors
    /// When the mirror cannot be reached, or does not have the suite.
    pub(crate) fn update(&self) -> Result<()> {
        process::read(self.command("apt-get").args(["-q", "update", "-o", "APT::Update::Error-Mode=any"]))
            .map(|_| ())
    }

    /// Name and version of the package of this release. A suite the mirror does not have is the same as one without it.
    pub(super) fn find(&self, release: &str) -> Option<(String, String)> {
        self.update().ok()?;
        let minor = release.rsplit_once('.').map_or(release, |(minor, _)| minor);
        ["rust-src".to_owned(), format!("rust-{minor}-src")].into_iter().find_map(|package| {
            let known = process::read(self.command("apt-cache").args(["madison", &package])).ok()?;
            version_in(&known, release).map(|version| (package, version))
        })
    }

    /// Names of all packages that begin so.
    ///
    /// # Errors
    /// When apt-cache fails.
    pub(crate) fn names(&self, beginning: &str) -> Result<Vec<String>> {
        let names = process::read(self.command("apt-cache").args(["pkgnames", beginning]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Leaves the files of packages, each `NAME` or `NAME=VERSION`, in `into`, only when they are whole.
    ///
    /// # Errors
    /// When the mirror cannot be reached.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        let partial = into.join("partial");
        fs::create_dir_all(&partial)?;
        let mut command = self.command("apt-get");
        command.args(["-q", "download"]).args(packages).current_dir(&partial);
        process::run(&mut command, "is the machine's mirror reachable?")?;
        for file in fs::read_dir(&partial)? {
            let file = file?;
            fs::rename(file.path(), into.join(file.file_name()))?;
        }
        Ok(())
    }

    /// Leaves the files of packages, and of what they need and this machine does not have, in `into`: from
    /// `suite` where it has them. Nothing is installed.
    ///
    /// # Errors
    /// When the mirror cannot be reached, or the packages cannot be had beside what is installed.
    pub(crate) fn download_with_dependencies(
        &self,
        packages: &[&str],
        suite: &str,
        into: &Path,
    ) -> Result<()> {
        fs::create_dir_all(into.join("partial"))?;
        let mut command = self.command("apt-get");
        command.args(["-q", "-y", "--no-install-recommends", "--download-only"]);
        command.args(["-t", suite, "-o", &format!("Dir::State::status={INSTALLED}")]);
        command.args(["-o", &format!("Dir::Cache::archives={}", into.display())]);
        command.arg("install").args(packages);
        process::run(&mut command, "is the machine's mirror reachable?")
    }
}

/// A line of `apt-cache madison` is `package | version | source`.
fn version_in(madison: &str, release: &str) -> Option<String> {
    let versions = madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    versions.into_iter().find(|version| is_release(version, release)).map(str::to_owned)
}

fn settings(home: &Path) -> String {
    let at = |path: &str| home.join(path).display().to_string();
    let nowhere = "/dev/null".to_owned();
    let settings = [
        ("Dir::State", at("state")),
        ("Dir::State::lists", at("lists")),
        ("Dir::State::status", at("state/status")),
        ("Dir::Cache", at("cache")),
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", nowhere.clone()),
        ("Dir::Etc::main", nowhere.clone()),
        ("Dir::Etc::parts", nowhere.clone()),
        ("Dir::Etc::preferences", nowhere.clone()),
        ("Dir::Etc::preferencesparts", nowhere),
        ("APT::Sandbox::User", "root".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
    ];
    settings.map(|(name, value)| format!("{name} \"{value}\";\n")).concat()
}

/// How the machine reaches its mirror (proxies, clocks), without the hooks it runs after an update.
fn inherited_settings() -> String {
    const KEPT: [&str; 4] = ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"];
    let all = process::read(Command::new("apt-config").arg("dump")).unwrap_or_default();
    let kept = all.lines().filter(|line| KEPT.iter().any(|name| line.starts_with(name)));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

/// `1.95.0+dfsg1-2` is a package of 1.95.0; `1.95.01-1` is not.
pub(super) fn is_release(version: &str, release: &str) -> bool {
    version.strip_prefix(release).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
  rust-src | 1.96.1+dfsg1-2~bpo13+1 | http://mirror.example/debian trixie-backports/main amd64 Packages
  rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://mirror.example/debian trixie-backports/main amd64 Packages
";

    #[test]
    fn exactly_the_compilers_release_is_chosen() {
        assert_eq!(version_in(MADISON, "1.95.0").as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(version_in(MADISON, "1.94.0"), None);
        assert_eq!(version_in(MADISON, "1.9"), None);
    }
}
