//! The tests on other kernels than this machine's: Debian's, from the oldest that is supported to the newest,
//! each booted in qemu without KVM.
//!
//! Kernels, qemu and busybox come from the mirror that apt is configured with, once, into `target/tools`;
//! nothing is installed. What runs inside are the test binaries as they were built for this machine.

mod boot;
mod cpio;
mod emulator;
mod guest;
mod kernel;
mod modules;
mod report;
mod series;

use std::env::consts::ARCH;
use std::fs;
use std::iter;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::test::summary::Counts;
use crate::toolchain::debian::Archive;
use crate::workspace::Workspace;
use emulator::Emulator;
pub(crate) use guest::Test;
use kernel::Kernel;
use report::{Outcome, Table};
use series::Series;

/// The flavour of Debian's kernels that has no drivers but those of virtual machines.
const FLAVOUR: &str = "cloud-amd64";
/// Machines that run at the same time: each has two processors and uses hardly more than one.
const AT_ONCE: usize = 2;

/// Runs the tests on every kernel. One that cannot be had is skipped.
///
/// # Errors
/// When the files of the emulated machine cannot be made.
pub(crate) fn run(workspace: &Workspace, spillway: &Path, tests: &[Test]) -> Result<Counts> {
    let outcomes = match ready(workspace) {
        Ok((archive, emulator)) => {
            let files = guest::file_system(workspace, &emulator, spillway, tests)?;
            let kernels = series::ALL
                .iter()
                .map(|series| (series, Kernel::ensure(workspace, &archive, &emulator, series)));
            Bench { emulator: &emulator, logs: workspace.root().join("target/kernels"), files, tests }
                .boot_all(kernels.collect())
        }
        Err(error) => skip_all(&format!("{error:#}")),
    };
    println!("\n{}", Table(&outcomes));
    let mut counts = Counts::default();
    outcomes.into_iter().for_each(|outcome| counts += outcome.counts);
    Ok(counts)
}

fn ready(workspace: &Workspace) -> Result<(Archive, Emulator)> {
    ensure!(ARCH == "x86_64", "the kernels are for x86_64, and this machine is {ARCH}");
    let archive = Archive::of_this_machine()?;
    let emulator = Emulator::ensure(workspace, &archive)?;
    Ok((archive, emulator))
}

fn skip_all(reason: &str) -> Vec<Outcome> {
    series::ALL.iter().map(|series| shown(Outcome::skipped(series.name, reason.to_owned()))).collect()
}

fn shown(outcome: Outcome) -> Outcome {
    println!("{outcome}");
    outcome
}

fn say(step: &str) {
    eprintln!("kernels: {step}");
}

/// A series, and its kernel or why there is none.
type Candidate = (&'static Series, Result<Kernel>);

/// All that is the same for every kernel.
struct Bench<'a> {
    emulator: &'a Emulator,
    logs: PathBuf,
    files: Vec<u8>,
    tests: &'a [Test],
}

impl Bench<'_> {
    /// The outcomes are in the order of the kernels.
    fn boot_all(&self, kernels: Vec<Candidate>) -> Vec<Outcome> {
        let queue = Mutex::new(kernels.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            let mine = iter::from_fn(next).map(|(number, kernel)| (number, shown(self.outcome(kernel))));
            mine.collect::<Vec<_>>()
        };
        let mut all: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn outcome(&self, (series, kernel): Candidate) -> Outcome {
        let kernel = match kernel {
            Ok(kernel) => kernel,
            Err(error) => return Outcome::skipped(series.name, format!("{error:#}")),
        };
        self.boot(&kernel, series).unwrap_or_else(|error| Outcome {
            series: series.name,
            kernel: Ok(kernel.release.clone()),
            took: Duration::ZERO,
            counts: Counts { failed: 1, ..Counts::default() },
            last: format!("{error:#}\n"),
        })
    }

    fn boot(&self, kernel: &Kernel, series: &'static Series) -> Result<Outcome> {
        let at = |what: &str| self.logs.join(format!("{}.{what}", series.name));
        let (files, console, log) = (at("cpio"), at("console"), at("log"));
        fs::create_dir_all(&self.logs)?;
        fs::write(&files, [&self.files[..], &guest::own(kernel, series.extent, self.tests)?].concat())?;
        let said = boot::boot(self.emulator, kernel, &files, &console)?;
        fs::remove_file(files)?;
        fs::write(&log, said.log()).context("cannot keep what was said")?;
        let (counts, lines) = report::read(&said.lines);
        let of_kernel =
            String::from_utf8_lossy(&fs::read(&console)?).lines().map(str::to_owned).collect::<Vec<_>>();
        let last = if counts.failed > 0 {
            report::ends(&[(&console, &of_kernel), (&log, &lines)])
        } else {
            String::new()
        };
        Ok(Outcome { series: series.name, kernel: Ok(kernel.release.clone()), took: said.took, counts, last })
    }
}
