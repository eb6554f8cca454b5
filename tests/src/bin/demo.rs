//! `demo`: the main job, shown in a lab of network namespaces. Run it through `cargo xtask demo`.

use std::process::ExitCode;

use clap::Parser;
use lb_tests::demo::{Args, is_interruption, run};

/// What a shell reports for a program ended by SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            if is_interruption(&error) { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}
