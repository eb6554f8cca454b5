//! The standard library's sources, of exactly the compiler's version: `core` is compiled from them for
//! eBPF. From the sysroot, else from rustup, else from the distribution's package.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::debian;
use super::rustc::Rustc;
use super::say;
use crate::process;
use crate::workspace::Workspace;

const RUSTUP_LIMIT: Duration = Duration::from_mins(5);

/// Leaves `library/` in `SYSROOT/lib/rustlib/src/rust`.
///
/// # Errors
/// When neither rustup nor the distribution has the sources, or the sysroot cannot be written.
pub(super) fn ensure(workspace: &Workspace, rustc: &Rustc) -> Result<()> {
    let release = &rustc.release;
    if present(rustc) {
        say(&format!("rust-src {release}: already there"));
        return Ok(());
    }
    if from_rustup(rustc) {
        say(&format!("rust-src {release}: installed by rustup"));
        return Ok(());
    }
    from_distribution(workspace, rustc).with_context(|| {
        format!("rust-src {release} is missing; run `rustup component add rust-src` where rustup can fetch")
    })?;
    say(&format!("rust-src {release}: installed from the distribution's package"));
    Ok(())
}

fn home(rustc: &Rustc) -> PathBuf {
    rustc.sysroot.join("lib/rustlib/src/rust")
}

fn present(rustc: &Rustc) -> bool {
    let library = home(rustc).join("library");
    library.join("core/src/lib.rs").is_file() && library.join("Cargo.lock").is_file()
}

/// Rustup is a try, not a requirement: it may be absent, or unable to fetch.
fn from_rustup(rustc: &Rustc) -> bool {
    if !process::on_path("rustup") {
        say("rust-src: no rustup here");
        return false;
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add", "rust-src"]);
    if let Some(toolchain) = env::var_os("RUSTUP_TOOLCHAIN") {
        command.arg("--toolchain").arg(toolchain);
    }
    let result = process::run_bounded(&mut command, RUSTUP_LIMIT, "trying the distribution's package");
    if let Err(error) = &result {
        say(&format!("rust-src: {error:#}"));
    }
    result.is_ok() && present(rustc)
}

fn from_distribution(workspace: &Workspace, rustc: &Rustc) -> Result<()> {
    let tools = workspace.tools();
    let package = debian::download_rust_src(&tools, &rustc.release)?;
    let staging = tools.join("staging");
    reset(&staging)?;
    debian::unpack(&package, &staging, "./usr/src/rustc-*/library")?;
    let library = staging.join("usr/src").join(format!("rustc-{}", rustc.release)).join("library");
    ensure!(library.is_dir(), "{} holds no library of {}", package.display(), rustc.release);
    install(&library, &home(rustc))?;
    fs::remove_dir_all(&staging)?;
    ensure!(present(rustc), "{} is incomplete", package.display());
    Ok(())
}

/// Copies beside the destination first: an interrupted copy must not look like sources.
fn install(library: &Path, home: &Path) -> Result<()> {
    let partial = home.with_extension("partial");
    let denied = || format!("cannot write {}; run this as the owner of the Rust toolchain", home.display());
    reset(&partial).with_context(denied)?;
    process::run(Command::new("cp").arg("-a").arg(library).arg(&partial), "is the disk full?")?;
    if home.exists() {
        fs::remove_dir_all(home).with_context(denied)?;
    }
    fs::rename(&partial, home).with_context(denied)
}

fn reset(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(sysroot: &Path) -> Rustc {
        Rustc { release: "1.0.0".into(), llvm: "1.0.0".into(), sysroot: sysroot.into() }
    }

    #[test]
    fn installed_sources_are_found_and_replace_a_broken_copy() {
        let directory = tempfile::tempdir().unwrap();
        let rustc = compiler(&directory.path().join("sysroot"));
        let library = directory.path().join("package/library");
        fs::create_dir_all(library.join("core/src")).unwrap();
        fs::write(library.join("core/src/lib.rs"), "").unwrap();
        fs::write(library.join("Cargo.lock"), "").unwrap();
        fs::create_dir_all(home(&rustc).join("library/half")).unwrap();
        assert!(!present(&rustc));
        install(&library, &home(&rustc)).unwrap();
        assert!(present(&rustc));
        assert!(!home(&rustc).join("library/half").exists());
        assert!(!home(&rustc).with_extension("partial").exists());
    }
}
