use clap::{Args, Subcommand};

use super::Failure;
use super::admin::Admin;
use crate::daemon::protocol::Request;

/// `spillway failback`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Subcommand)]
enum What {
    /// All pools of a cluster.
    Cluster {
        /// The cluster's name.
        name: String,
    },
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let What::Cluster { name } = &options.what;
    options.admin.tell(&Request::Failback(name.clone()))
}
