//! `cargo xtask test`: the tiers in order, with plain `cargo test`, and one line at the end.
//!
//! A tier that cannot run here says why and counts as skipped. A test that finds at run time that it
//! cannot run prints a line `SKIP: reason`; it counts as skipped too, never as passed.

mod binaries;
pub(crate) mod summary;
mod tier;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::metadata::Metadata;
use crate::workspace::Workspace;
use crate::{build, ebpf, kernels, process, toolchain};
use summary::{Counts, Reader};
use tier::Tier;

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run these tiers only; all by default
    #[arg(long, value_enum, value_delimiter = ',', num_args = 1..)]
    tier: Vec<Tier>,
    /// Passed on to the test binaries, such as a test's name
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the tiers; the exit code says whether anything failed.
///
/// # Errors
/// When cargo itself cannot be run.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let tiers = if arguments.tier.is_empty() { Tier::ALL.to_vec() } else { arguments.tier.clone() };
    let metadata = Metadata::load(workspace)?;
    let mut counts = Counts::default();
    let stage = Stage::prepare(workspace, &tiers, &mut counts);
    for tier in tiers {
        let start = Instant::now();
        let of_tier = stage.run(tier, &metadata, &arguments.rest)?;
        eprintln!("test: tier {tier}: {of_tier}, in {} s", start.elapsed().as_secs());
        counts += of_tier;
    }
    println!("{counts}");
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the tiers run on: a checkout, and programs for those that load them or why there are none.
struct Stage<'a> {
    workspace: &'a Workspace,
    programs: Result<PathBuf, String>,
}

impl<'a> Stage<'a> {
    /// Builds what the tiers need. A tool that this machine cannot have skips tiers; code that does not
    /// compile is a failure.
    fn prepare(workspace: &'a Workspace, tiers: &[Tier], counts: &mut Counts) -> Self {
        let programs = if !tiers.iter().any(|tier| tier.needs_programs()) {
            Err("not asked for".to_owned())
        } else if let Err(error) = toolchain::ensure(workspace).and_then(|()| toolchain::packages::ensure()) {
            Err(format!("{error:#}"))
        } else {
            let built = ebpf::build(workspace).and_then(|()| build::binary(workspace, false));
            built.map_err(|error| {
                counts.failed += 1;
                eprintln!("FAILED build: {error:#}");
                "the build failed, see above".to_owned()
            })
        };
        if tiers.contains(&Tier::E2e) && process::is_root() {
            toolchain::packages::ensure_for_tests();
        }
        Self { workspace, programs }
    }

    fn run(&self, tier: Tier, metadata: &Metadata, rest: &[String]) -> Result<Counts> {
        eprintln!("test: tier {tier}");
        if tier.needs_root() && !process::is_root() {
            return Ok(skip(tier, "it needs root; run this with sudo"));
        }
        if let (true, Err(reason)) = (tier.needs_programs(), &self.programs) {
            return Ok(skip(tier, reason));
        }
        if let (Tier::Kernels, Ok(binary)) = (tier, &self.programs) {
            let tests = binaries::for_kernels(self.workspace, binary, rest)?;
            return kernels::run(self.workspace, binary, &tests);
        }
        let Some(selection) = tier.selection(metadata) else {
            return Ok(skip(tier, "package lb-tests has no test target of that name"));
        };
        self.cargo_test(tier, &selection, rest)
    }

    fn cargo_test(&self, tier: Tier, selection: &[String], rest: &[String]) -> Result<Counts> {
        let mut command = process::cargo(self.workspace.root());
        // The whole workspace each time: another selection would unify features in another way, and
        // compile most dependencies again.
        command.args(["test", "--locked", "--no-fail-fast", "--workspace"]).args(selection);
        command.args(["--", "--show-output"]).args(tier.harness_options()).args(rest);
        if let Ok(binary) = &self.programs {
            build::with_objects(&mut command, self.workspace).env(build::BINARY, binary);
        }
        read_results(&mut command)
    }
}

fn skip(tier: Tier, reason: &str) -> Counts {
    println!("SKIP tier {tier}: {reason}");
    Counts { skipped: 1, ..Counts::default() }
}

fn read_results(command: &mut Command) -> Result<Counts> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut reader = Reader::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if let Some(shown) = reader.take(&line) {
            println!("{shown}");
        }
    }
    let status = child.wait()?;
    Ok(reader.finish(status.success()))
}
