//! What building eBPF in Rust needs beyond a Rust toolchain and a C compiler, found or installed.
//!
//! 1. The standard library's sources, of exactly the compiler's version ([`rust_src`]);
//! 2. a linker that makes one eBPF object out of LLVM bitcode ([`bpf_linker`]);
//! 3. for the lab, the `ip` command ([`packages`]).
//!
//! Nothing is installed outside the Rust toolchain's own directory and `target/tools`, but for the
//! packages of step 3, which only `setup` and `demo` ask for.

mod apt;
mod bpf_linker;
pub(crate) mod debian;
pub(crate) mod packages;
mod rust_src;
mod rustc;
mod sources_list;

use anyhow::Result;

use crate::workspace::Workspace;
use rustc::Rustc;

/// Finds or installs what an eBPF build needs; quick when all is there.
///
/// # Errors
/// The first tool that is missing and cannot be installed, with its mend.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let rustc = Rustc::ask(workspace)?;
    say(&format!("rustc {} with LLVM {}", rustc.release, rustc.llvm));
    rust_src::ensure(workspace, &rustc)?;
    bpf_linker::ensure(workspace, &rustc)
}

fn say(step: &str) {
    eprintln!("toolchain: {step}");
}
