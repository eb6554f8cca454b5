//! System programs that the lab runs.

use std::process::Command;

use anyhow::{Result, bail};

use super::say;
use crate::process;

/// A program and the package that brings it.
const NEEDED: [(&str, &str); 1] = [("ip", "iproute2")];
/// What some tests alone run; without it they are skipped.
const FOR_TESTS: [(&str, &str); 1] = [("nft", "nftables")];

/// Finds each program, or installs its package where that is possible.
///
/// # Errors
/// A program is missing and this machine has no apt-get, or this is not root.
pub(crate) fn ensure() -> Result<()> {
    NEEDED.iter().try_for_each(|(program, package)| find_or_install(program, package))
}

/// The same for what some tests alone run. A program that cannot be had is said to be missing, and no error.
pub(crate) fn ensure_for_tests() {
    for (program, package) in FOR_TESTS {
        if let Err(error) = find_or_install(program, package) {
            say(&format!("{package}: tests that need it will be skipped: {error:#}"));
        }
    }
}

fn find_or_install(program: &str, package: &str) -> Result<()> {
    if process::on_path(program) {
        say(&format!("{package}: already there"));
        return Ok(());
    }
    if !process::on_path("apt-get") || !process::is_root() {
        bail!("the lab needs the `{program}` command; install {package} with the system's package manager");
    }
    say(&format!("{package}: installing"));
    let mend = format!("install {package} by hand");
    process::run(Command::new("apt-get").args(["-q", "update"]), &mend)?;
    let mut install = Command::new("apt-get");
    install.args(["-q", "-y", "--no-install-recommends", "install", package]);
    process::run(install.env("DEBIAN_FRONTEND", "noninteractive"), &mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_needs_nothing() {
        assert!(find_or_install("sh", "no-such-package-here").is_ok());
    }
}
