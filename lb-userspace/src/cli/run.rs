use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Failure;
use crate::daemon::{self, Origin};

/// `spillway run`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Directory on a BPF file system below which the maps are pinned; overrides `gateway.pinPath`.
    #[arg(long, value_name = "DIR")]
    pin_path: Option<PathBuf>,
    /// Balance this interface; overrides `gateway.interfaces`. May be given several times.
    #[arg(long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime did not start")?;
    let Options { config, pin_path, interfaces } = options;
    let origin = Origin { file: config.clone(), pin_path: pin_path.clone(), interfaces: interfaces.clone() };
    Ok(runtime.block_on(daemon::run(origin))?)
}
