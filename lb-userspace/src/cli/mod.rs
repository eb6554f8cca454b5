//! The command line: one module per verb.

mod admin;
mod backends;
mod check;
mod clusters;
mod doctor;
mod drain;
mod drill;
mod explain;
mod failback;
mod failure;
mod look;
mod maps;
mod node;
mod output;
mod plan;
mod rates;
mod receiver;
mod rollout;
mod run;
mod services;
mod status;
#[cfg(test)]
mod tests;
mod unload;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::observe::logging::{self, LogFormat};
pub use failure::Failure;

/// Kernel-accelerated layer-4 load balancer for services that live in several clusters.
#[derive(Debug, Parser)]
#[command(name = "spillway", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    log: Log,
}

#[derive(Debug, Args)]
struct Log {
    /// How the log on standard error looks.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Log more; twice: everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway agent: load, attach, watch, check, reconcile.
    Run(run::Options),
    /// Run a backend node's agent: the receiver, which takes off what gateways put around packets.
    Node(node::Options),
    /// Validate configuration files: every error at once.
    Check(check::Options),
    /// How the gateway, or the node, is: agent, configuration, interfaces, tables, errors.
    Status(look::Source),
    /// What is served, where it goes, and how much of it.
    Services(look::Source),
    /// The clusters: state, health, share.
    Clusters(look::Source),
    /// The backends: state, rows, share, counters, next hop.
    Backends(look::Source),
    /// What goes to each backend and cluster in a second, and how handshakes went; measured for a while.
    Rates(rates::Options),
    /// The BPF maps as they are in the kernel, decoded.
    Maps(maps::Options),
    /// One flow's way and why: service, hash, rows, backend, outer header, next hop; also by the loaded program.
    Explain(explain::Options),
    /// Look for what keeps a VIP from answering, at a gateway or at a node; changes nothing.
    Doctor(doctor::Options),
    /// What a change or a failure would move, before it happens; exit code 5 if it violates something.
    Plan(plan::Options),
    /// Give nothing new to a backend or a cluster, until told otherwise; the agent must run.
    Drain(drain::Drain),
    /// Give a drained backend or cluster its share again; the agent must run.
    Undrain(drain::Options),
    /// Give a cluster back at once what failover policies hold back of it; the agent must run.
    Failback(failback::Options),
    /// Lead new flows of a service from one pool to another, step by step and back.
    Rollout(rollout::Options),
    /// Lose a cluster on purpose, for a part of the clients and a time, and see what becomes of its flows.
    Drill(drill::Options),
    /// Take the program off all interfaces and remove the pinned maps; the agent must not run.
    Unload(unload::Options),
}

/// Where a gateway pins its maps, if nothing else is said.
const DEFAULT_PINS: &str = "/sys/fs/bpf/spillway";

/// Where the maps are.
#[derive(Debug, Args)]
struct Pinned {
    /// Directory on a BPF file system below which the maps are pinned.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PINS)]
    pin_path: PathBuf,
}

/// Does what the arguments say.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    logging::start(arguments.log.log_format, arguments.log.verbose);
    act(&arguments.verb)
}

fn act(verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Run(options) => run::run(options),
        Verb::Node(options) => node::run(options),
        Verb::Check(options) => check::run(options),
        Verb::Status(source) => status::run(source),
        Verb::Services(source) => services::run(source),
        Verb::Clusters(source) => clusters::run(source),
        Verb::Backends(source) => backends::run(source),
        Verb::Rates(options) => rates::run(options),
        Verb::Maps(options) => maps::run(options),
        Verb::Explain(options) => explain::run(options),
        Verb::Doctor(options) => doctor::run(options),
        Verb::Plan(options) => plan::run(options),
        Verb::Drain(options) => drain::drain(options),
        Verb::Undrain(options) => drain::undrain(options),
        Verb::Failback(options) => failback::run(options),
        Verb::Rollout(options) => rollout::run(options),
        Verb::Drill(options) => drill::run(options),
        Verb::Unload(options) => unload::run(options),
    }
}
