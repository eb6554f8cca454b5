//! XDP programs as `cargo xtask build` made them, and the do-nothing peer.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};

use super::Namespace;

/// Names the directory of the compiled programs; `cargo xtask` sets it.
const DIRECTORY_VARIABLE: &str = "SPILLWAY_BPF_DIR";

/// The directory of compiled programs.
#[derive(Debug, Clone)]
pub struct Objects {
    directory: PathBuf,
}

impl Objects {
    /// The directory that the environment names.
    ///
    /// # Errors
    /// When it is not named, or the programs are not there; with the mend.
    pub fn from_env() -> Result<Self> {
        let directory = env::var_os(DIRECTORY_VARIABLE).with_context(|| {
            format!(
                "{DIRECTORY_VARIABLE} is not set: run it through `cargo xtask demo` or `cargo xtask test`"
            )
        })?;
        let objects = Self { directory: directory.into() };
        let receiver = objects.path("receiver");
        ensure!(receiver.is_file(), "{} is missing: run `cargo xtask build`", receiver.display());
        Ok(objects)
    }

    /// Paths of all objects.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn all(&self) -> Result<Vec<PathBuf>> {
        let files = std::fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.path()));
        files.collect()
    }

    /// Path of the object that binary `name` of lb-ebpf was compiled to.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A program attached to an interface until dropped.
#[derive(Debug)]
pub struct Attached {
    _object: Ebpf,
}

impl Attached {
    /// Attaches a program that passes everything: without one on the peer, a veth loses what
    /// `XDP_TX` sends.
    ///
    /// # Errors
    /// When the kernel refuses the program or there is no such interface.
    pub fn pass(objects: &Objects, namespace: &Namespace, interface: &str) -> Result<Self> {
        let mut object = load(&objects.path("receiver"), "pass")?;
        attach(&mut object, "pass", namespace, interface)?;
        Ok(Self { _object: object })
    }
}

/// An object with its maps, none of its programs loaded.
pub(super) fn open(path: &Path) -> Result<Ebpf> {
    Ebpf::load_file(path).with_context(|| format!("load {}", path.display()))
}

/// Loads one program of an object.
pub(super) fn load(path: &Path, program: &str) -> Result<Ebpf> {
    let mut object = open(path)?;
    xdp(&mut object, program)?.load().with_context(|| format!("load program {program}"))?;
    Ok(object)
}

/// The program of this name.
pub(super) fn xdp<'o>(object: &'o mut Ebpf, program: &str) -> Result<&'o mut Xdp> {
    Ok(object.program_mut(program).context("no such program in the object")?.try_into()?)
}

/// Attaches a loaded program. Interface names are looked up in the calling thread's namespace.
pub(super) fn attach(object: &mut Ebpf, program: &str, namespace: &Namespace, interface: &str) -> Result<()> {
    let xdp = xdp(object, program)?;
    namespace.enter(|| {
        xdp.attach(interface, XdpMode::Driver)
            .map(drop)
            .with_context(|| format!("attach {program} to {interface} in {}", namespace.name()))
    })
}
