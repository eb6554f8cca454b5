//! The demo: builds a lab, lets the gateway agent forward real HTTP requests in it, breaks a node, a cluster and, amid
//! connections that stay open, a gateway, and reports what the clients noticed.

mod account;
mod config;
mod gateway;
mod plan;
mod receivers;
mod report;
mod second_act;
mod stage;
mod story;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use account::Account;
use stage::Interrupt;

/// Shows the main job in a lab of network namespaces; nothing outside it changes. Needs root.
#[derive(Debug, Parser)]
pub struct Args {
    /// What is printed on standard output: an account for people, or one JSON object.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Requests of the undisturbed part.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    requests: u32,
    /// The IP version of the service and the nodes.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=6))]
    ip_version: u8,
    /// The spillway program to run; `cargo xtask demo` sets it.
    #[arg(long, env = "SPILLWAY_BIN", value_name = "PATH")]
    spillway: PathBuf,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Runs the demo; true if the main job worked. Everything is taken down in any case.
///
/// # Errors
/// When the lab cannot be built, the agent ends or does not do its work in time, or on a signal.
pub fn run(args: &Args) -> Result<bool> {
    let interrupt = Interrupt::install()?;
    let mut account = Account::new(args.output == Output::Json);
    let told = story::tell(args, &interrupt, &mut account);
    account.say("Taken down: the agents, the namespaces, the BPF file system. Nothing is left behind.");
    let report = told?;
    if args.output == Output::Json {
        println!("{}", serde_json::to_string(&report)?);
    }
    for problem in &report.problems {
        account.say(&format!("NOT AS IT SHOULD BE: {problem}"));
    }
    Ok(report.problems.is_empty())
}

/// Whether an error is the user's wish to stop.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.is::<stage::Interrupted>()
}
