//! What the emulated machine holds, but for the modules: the tests as they were built for this machine, with
//! the libraries that they are linked to, and what they run.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cpio::Cpio;
use super::emulator::Emulator;
use super::kernel::Kernel;
use super::series::Extent;
use crate::build::{BINARY, BPF_DIR};
use crate::process;
use crate::workspace::Workspace;

/// The first program.
const INIT: &str = include_str!("init.sh");
const BUSYBOX: &str = "/bin/busybox";
/// Where the tests look for what this machine has elsewhere.
const OBJECTS: &str = "/guest/objects";
const SPILLWAY: &str = "/guest/spillway";
/// How much is tried, unless the caller says: an emulated machine is slow. Two histories are few, so they are
/// always the same.
const EFFORT: [(&str, &str); 3] =
    [("SPILLWAY_FUZZ_FRAMES", "500"), ("SPILLWAY_MODEL_REPLAYS", "2"), ("SPILLWAY_MODEL_SEED", "1")];

/// A test binary, and the words after it.
pub(crate) struct Test {
    /// Where cargo has left it.
    pub(crate) binary: PathBuf,
    /// A name in the emulated machine.
    pub(crate) name: &'static str,
    /// Options and filters of the test harness, in full.
    pub(crate) full: Vec<String>,
    /// On a kernel between others.
    pub(crate) between: Vec<String>,
}

/// The first file system of every kernel.
///
/// # Errors
/// When a program or what it is linked to cannot be read.
pub(super) fn file_system(
    workspace: &Workspace,
    emulator: &Emulator,
    spillway: &Path,
    tests: &[Test],
) -> Result<Vec<u8>> {
    let mut guest = Guest::default();
    guest.cpio.device(Path::new("/dev/console"), 5, 1);
    guest.cpio.file(Path::new("/init"), INIT.as_bytes());
    guest.copy(&emulator.busybox(), Path::new(BUSYBOX))?;
    let ip = on_path("ip")?;
    guest.program(workspace, &ip, &ip)?;
    guest.program(workspace, spillway, Path::new(SPILLWAY))?;
    for test in tests {
        guest.program(workspace, &test.binary, &path_of(test))?;
    }
    guest.directory(&workspace.bpf_objects(), Path::new(OBJECTS))?;
    // The tests look for it where it was when they were built.
    let fixtures = workspace.root().join("tests/fixtures/vectors");
    guest.directory(&fixtures, &fixtures)?;
    guest.cpio.file(Path::new("/guest/environment"), environment(&ip, &guest.libraries).as_bytes());
    Ok(guest.cpio.finish())
}

/// What is one kernel's own, to be appended to the file system: its modules, and what it runs.
///
/// # Errors
/// When they cannot be read.
pub(super) fn own(kernel: &Kernel, extent: Extent, tests: &[Test]) -> Result<Vec<u8>> {
    let mut guest = Guest::default();
    guest.cpio.file(Path::new("/guest/commands"), commands(tests, extent).as_bytes());
    guest.directory(&kernel.modules(), Path::new("/guest/modules"))?;
    Ok(guest.cpio.finish())
}

#[derive(Default)]
struct Guest {
    cpio: Cpio,
    libraries: BTreeSet<PathBuf>,
}

impl Guest {
    /// A program without its debugging information, and the libraries it is linked to.
    fn program(&mut self, workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
        for library in libraries(from)? {
            if self.libraries.insert(library.clone()) {
                self.copy(&library, &library)?;
            }
        }
        let stripped = workspace.tools().join("emulator/stripped");
        let mut strip = Command::new("strip");
        strip.args(["--strip-debug", "-o"]).arg(&stripped).arg(from);
        // Only to be smaller: a machine without `strip` boots what there is.
        let smaller = process::read(&mut strip).is_ok();
        self.copy(if smaller { &stripped } else { from }, to)
    }

    fn directory(&mut self, from: &Path, to: &Path) -> Result<()> {
        let mut files: Vec<_> = fs::read_dir(from)?.collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        files.iter().try_for_each(|file| self.copy(&file.path(), &to.join(file.file_name())))
    }

    fn copy(&mut self, from: &Path, to: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| from.display().to_string())?;
        self.cpio.file(to, &content);
        Ok(())
    }
}

fn path_of(test: &Test) -> PathBuf {
    Path::new("/guest").join(test.name)
}

fn commands(tests: &[Test], extent: Extent) -> String {
    let arguments = |test: &Test| match extent {
        Extent::Full => test.full.join(" "),
        Extent::Between => test.between.join(" "),
    };
    let line = |test: &Test| format!("{} {}\n", path_of(test).display(), arguments(test));
    tests.iter().map(line).collect()
}

fn environment(ip: &Path, libraries: &BTreeSet<PathBuf>) -> String {
    let directory = |path: &Path| path.parent().unwrap_or(path).display().to_string();
    let directories: BTreeSet<String> = libraries.iter().map(|library| directory(library)).collect();
    let directories: Vec<String> = directories.into_iter().collect();
    let given =
        |name: &str, usual: &str| (name.to_owned(), env::var(name).unwrap_or_else(|_| usual.to_owned()));
    let mut all = vec![
        ("PATH".to_owned(), directory(ip)),
        ("LD_LIBRARY_PATH".to_owned(), directories.join(":")),
        (BPF_DIR.to_owned(), OBJECTS.to_owned()),
        (BINARY.to_owned(), SPILLWAY.to_owned()),
        ("RUST_BACKTRACE".to_owned(), "0".to_owned()),
    ];
    all.extend(EFFORT.map(|(name, usual)| given(name, usual)));
    all.extend(env::var("SPILLWAY_FUZZ_SEED").ok().map(|seed| ("SPILLWAY_FUZZ_SEED".to_owned(), seed)));
    let lines: Vec<String> = all.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    lines.concat()
}

fn on_path(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("this machine has no `{program}`"))
}

/// What a program is linked to, the loader among it; of a static one, nothing.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let Ok(listed) = process::read(Command::new("ldd").arg(program)) else { return Ok(Vec::new()) };
    if let Some(missing) = listed.lines().find(|line| line.contains("not found")) {
        bail!("{}: {}", program.display(), missing.trim());
    }
    Ok(paths_in(&listed))
}

/// `libc.so.6 => /lib/libc.so.6 (0x…)`, and for the loader `/lib64/ld.so (0x…)`.
fn paths_in(ldd: &str) -> Vec<PathBuf> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    ldd.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_listed() {
        let ldd =
            "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so.2 (0x7f)\n";
        assert_eq!(paths_in(ldd), [PathBuf::from("/lib/x/libc.so.6"), PathBuf::from("/lib64/ld.so.2")]);
    }

    #[test]
    fn each_test_is_one_command() {
        let test = Test {
            binary: "/t/e2e-1".into(),
            name: "e2e",
            full: vec!["--show-output".into(), "x".into()],
            between: vec!["y".into()],
        };
        assert_eq!(commands(std::slice::from_ref(&test), Extent::Full), "/guest/e2e --show-output x\n");
        assert_eq!(commands(&[test], Extent::Between), "/guest/e2e y\n");
    }
}
