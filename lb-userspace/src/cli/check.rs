use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config;

/// `spillway check`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// A line for each good file; all that is wrong with the others is the error.
#[expect(clippy::print_stdout, reason = "this is the answer")]
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for file in &options.files {
        match config::load(file) {
            Ok(_) => println!("{}: ok", file.display()),
            Err(problems) => reports.push(problems.to_string()),
        }
    }
    if reports.is_empty() { Ok(()) } else { Err(Failure::config(anyhow::anyhow!(reports.join("\n")))) }
}
