use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::daemon::{self, Origin};
use crate::datapath::packet_log::PacketLog;

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
    /// Log each packet for a VIP that is not sent to a node, and why; at most 100 a second.
    #[arg(long)]
    log_packets: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let Options { config, pin_path, interfaces, log_packets } = options;
    let origin = Origin { file: config.clone(), pin_path: pin_path.clone(), interfaces: interfaces.clone() };
    let log = if *log_packets { PacketLog::On } else { PacketLog::Off };
    let runtime = runtime()?;
    let ended = runtime.block_on(daemon::run(origin, log));
    // A name may be looked up that nobody waits for any more.
    runtime.shutdown_background();
    Ok(ended?)
}

/// What an agent runs on: one thread.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let built = Builder::new_current_thread().enable_all().build();
    Ok(built.context("the asynchronous runtime did not start")?)
}
