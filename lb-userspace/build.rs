//! Names the eBPF objects that the binary carries.
//!
//! `SPILLWAY_BPF_DIR` names a directory with one file per program; `cargo xtask build` sets it. The
//! crate reads `include_bytes!(env!("SPILLWAY_BPF_GATEWAY"))`. Without the variable those files are empty,
//! so that plain `cargo build` and `cargo test` need no eBPF toolchain, and the binary says at run time
//! that it carries no program.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const DIRECTORY: &str = "SPILLWAY_BPF_DIR";
const PROGRAMS: [(&str, &str); 2] =
    [("gateway", "SPILLWAY_BPF_GATEWAY"), ("receiver", "SPILLWAY_BPF_RECEIVER")];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={DIRECTORY}");
    let directory = env::var_os(DIRECTORY).map(PathBuf::from);
    for (program, variable) in PROGRAMS {
        let object = match &directory {
            Some(directory) => directory.join(program),
            None => empty(program)?,
        };
        if !object.is_file() {
            return Err(
                format!("{DIRECTORY}: no object {}; run `cargo xtask build`", object.display()).into()
            );
        }
        println!("cargo::rerun-if-changed={}", object.display());
        println!("cargo::rustc-env={variable}={}", object.display());
    }
    Ok(())
}

fn empty(program: &str) -> Result<PathBuf, Box<dyn Error>> {
    let object = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join(program);
    // Written once: a newer time stamp would build the crate again.
    if fs::metadata(&object).map_or(true, |metadata| metadata.len() != 0) {
        fs::write(&object, [])?;
    }
    Ok(object)
}
