use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::run::runtime;
use crate::daemon;

/// `spillway node`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    Ok(runtime()?.block_on(daemon::node::run(options.config.clone()))?)
}
