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

/// One sentence, and those of its causes that it does not tell already.
#[expect(clippy::print_stderr, reason = "this is where an error is told")]
fn report(failure: &Failure) {
    let mut told = failure.error.to_string();
    for cause in failure.error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    eprintln!("spillway: {told}");
}
