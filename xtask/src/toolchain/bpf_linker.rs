//! The linker for eBPF, compiled once into `target/tools` against the LLVM that the Rust toolchain
//! itself carries: no system LLVM is needed, and the bitcode's version always fits.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::rustc::Rustc;
use super::say;
use crate::process;
use crate::workspace::Workspace;

const VERSION: &str = "0.13.0";

/// Leaves a working `bin/bpf-linker` for this compiler in `target/tools`.
///
/// # Errors
/// When the toolchain carries no LLVM library, or cargo cannot fetch or compile the linker.
pub(super) fn ensure(workspace: &Workspace, rustc: &Rustc) -> Result<()> {
    let tools = workspace.tools();
    let stamp = format!("{VERSION} {} {} {}\n", rustc.release, rustc.llvm, rustc.sysroot.display());
    let stamp_file = tools.join("bpf-linker.stamp");
    let made_for_this = fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp);
    if made_for_this && works(&tools) {
        say(&format!("bpf-linker {VERSION}: already there"));
        return Ok(());
    }
    say(&format!("bpf-linker {VERSION}: compiling, one to three minutes"));
    // The stamp goes first, so that an interrupted installation is begun again.
    fs::create_dir_all(&tools)?;
    fs::write(&stamp_file, "unfinished\n")?;
    install(workspace, rustc)?;
    fs::write(stamp_file, stamp)?;
    say(&format!("bpf-linker {VERSION}: installed"));
    Ok(())
}

fn works(tools: &Path) -> bool {
    let version = process::read(Command::new(tools.join("bin/bpf-linker")).arg("--version"));
    version.is_ok_and(|text| text.split_whitespace().any(|word| word == VERSION))
}

fn install(workspace: &Workspace, rustc: &Rustc) -> Result<()> {
    let tools = workspace.tools();
    link_llvm(&tools.join("llvm/lib"), rustc)?;
    let build = tools.join("build");
    let feature = format!("llvm-{}", rustc.llvm_major());
    let mut command = process::cargo(workspace.root());
    command.args([
        "install",
        "bpf-linker",
        "--version",
        VERSION,
        "--locked",
        "--force",
        "--no-default-features",
    ]);
    command.args(["--features", &feature, "--root"]).arg(&tools).arg("--target-dir").arg(&build);
    // Found beside the binary, so that a copied `target/tools` still works.
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Clink-arg=-Wl,-rpath,$ORIGIN/../llvm/lib");
    command.env("LLVM_PREFIX", tools.join("llvm"));
    process::run(&mut command, "cargo must reach its registry, and a C compiler must be installed")?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))
}

/// `libLLVM.so` for the link editor, and the name that the library gives itself for the run.
fn link_llvm(directory: &Path, rustc: &Rustc) -> Result<()> {
    let library = llvm_library(&rustc.sysroot.join("lib"), rustc.llvm_major()).with_context(|| {
        format!("{} carries no LLVM library; use a Rust toolchain from rustup", rustc.sysroot.display())
    })?;
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    let own_name = library.file_name().unwrap_or_default();
    symlink(&library, directory.join(own_name))?;
    symlink(&library, directory.join("libLLVM.so"))?;
    Ok(())
}

fn llvm_library(lib: &Path, major: &str) -> Option<PathBuf> {
    let prefix = format!("libLLVM.so.{major}.");
    let files = fs::read_dir(lib).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.into_iter().find(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchains_llvm_is_linked_under_both_names() {
        let sysroot = tempfile::tempdir().unwrap();
        let library = sysroot.path().join("lib/libLLVM.so.22.1-rust-1.95.0-stable");
        fs::create_dir(sysroot.path().join("lib")).unwrap();
        fs::write(sysroot.path().join("lib/libLLVM-22-rust-1.95.0-stable.so"), "INPUT(…)").unwrap();
        fs::write(&library, "").unwrap();
        let rustc = Rustc { release: "1.95.0".into(), llvm: "22.1.2".into(), sysroot: sysroot.path().into() };
        let links = sysroot.path().join("links");
        for _again in 0..2 {
            link_llvm(&links, &rustc).unwrap();
        }
        assert_eq!(fs::read_link(links.join("libLLVM.so")).unwrap(), library);
        assert_eq!(fs::read_link(links.join("libLLVM.so.22.1-rust-1.95.0-stable")).unwrap(), library);
    }

    #[test]
    fn a_toolchain_without_llvm_is_named() {
        let sysroot = tempfile::tempdir().unwrap();
        let rustc = Rustc { release: "1.95.0".into(), llvm: "22.1.2".into(), sysroot: sysroot.path().into() };
        let error = link_llvm(&sysroot.path().join("links"), &rustc).unwrap_err().to_string();
        assert!(error.contains("carries no LLVM library"), "{error}");
    }
}
