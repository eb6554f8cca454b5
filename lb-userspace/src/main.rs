//! `spillway`: one binary for the agent and for the questions to it.

use std::process::ExitCode;

use clap::Parser as _;
use lb_userspace::cli::{Arguments, Failure};

fn main() -> ExitCode {
    let failure = match lb_userspace::cli::run(&Arguments::parse()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    report(&failure);
    ExitCode::from(failure.code())
}

/// One sentence and its causes, each on a line of its own.
#[expect(clippy::print_stderr, reason = "this is where an error is told")]
fn report(failure: &Failure) {
    eprintln!("spillway: {:#}", failure.error);
}
