//! The eBPF objects: compiled, checked, and laid where `SPILLWAY_BPF_DIR` points.

mod object_check;
mod stack;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::metadata::Metadata;
use crate::process;
use crate::workspace::Workspace;

const PACKAGE: &str = "lb-ebpf";
const TARGET: &str = "bpfel-unknown-none";

/// Instruction set v3 with unaligned loads gives the fewest instructions that Linux 5.10 still loads;
/// BTF lets the kernel and bpftool name what they show.
const FLAGS: [&str; 3] =
    ["-Ctarget-cpu=v3", "-Clink-arg=--cpu-features=+allows-misaligned-mem-access", "-Clink-arg=--btf"];

/// The linker optimises the program as one module, so each crate hands it one module, unoptimised
/// across crates; debug information is what BTF is made from.
const PROFILE: [&str; 5] = [
    "profile.release.codegen-units=1",
    "profile.release.lto=false",
    "profile.release.debug=2",
    "profile.release.opt-level=3",
    "profile.release.overflow-checks=false",
];

/// Builds every program of `lb-ebpf` and leaves the objects in [`Workspace::bpf_objects`]. An object
/// that did not change keeps its time stamp, so that nothing is built again for it.
///
/// # Errors
/// What the compiler said, or an object that the kernel would refuse for a reason known beforehand.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    compile(workspace)?;
    let objects = workspace.bpf_objects();
    fs::create_dir_all(&objects)?;
    let programs = Metadata::load(workspace)?.targets(PACKAGE, "bin");
    for program in &programs {
        let built = workspace.bpf_target().join(TARGET).join("release").join(&program.name);
        publish(&built, &objects.join(&program.name))?;
    }
    let names: Vec<_> = programs.iter().map(|program| program.name.as_str()).collect();
    remove_others(&objects, &names)?;
    eprintln!("ebpf: {} in {}", names.join(", "), objects.display());
    Ok(())
}

fn compile(workspace: &Workspace) -> Result<()> {
    let mut command = process::cargo(workspace.root());
    command.args(["build", "--locked", "--release", "--package", PACKAGE, "--bins", "--features", "program"]);
    command.args(["--target", TARGET, "-Zbuild-std=core", "--target-dir"]).arg(workspace.bpf_target());
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    // build-std is not stable; this one build asks a stable compiler for it.
    command.env("RUSTC_BOOTSTRAP", "1");
    // Named last, these replace what the caller's environment says for the host.
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    put_on_path(&mut command, &workspace.tools().join("bin"))?;
    process::run(&mut command, "the compiler's message above says where")
}

fn put_on_path(command: &mut Command, directory: &Path) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(directory.to_path_buf()).chain(env::split_paths(&path));
    command.env("PATH", env::join_paths(all).context("the path of this checkout holds a colon")?);
    Ok(())
}

fn publish(built: &Path, published: &Path) -> Result<()> {
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    let faults = object_check::faults(&bytes).with_context(|| format!("cannot read {}", built.display()))?;
    if !faults.is_empty() {
        bail!("{} is not fit for the kernel:\n  {}", built.display(), faults.join("\n  "));
    }
    if fs::read(published).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(published, bytes).with_context(|| format!("cannot write {}", published.display()))
}

/// A program that is no longer built must not be found.
fn remove_others(objects: &Path, names: &[&str]) -> Result<()> {
    for entry in fs::read_dir(objects)? {
        let entry = entry?;
        if !names.iter().any(|name| entry.file_name() == *name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_object_is_not_published() {
        let directory = tempfile::tempdir().unwrap();
        let built = directory.path().join("built");
        fs::write(&built, "no object").unwrap();
        assert!(publish(&built, &directory.path().join("published")).is_err());
        assert!(!directory.path().join("published").exists());
    }

    #[test]
    fn objects_of_programs_that_are_gone_go_too() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["gateway", "old"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        remove_others(directory.path(), &["gateway"]).unwrap();
        assert!(directory.path().join("gateway").exists() && !directory.path().join("old").exists());
    }
}
