//! `cargo xtask VERB`: everything the project does to itself.
//!
//! A verb that builds or tests finds or installs its own tools first (see [`toolchain`]), says each
//! step in one line on standard error, and keeps standard output for what the verb is asked to print.

mod bench;
mod build;
mod build_and_load;
mod demo;
mod ebpf;
mod kernels;
mod metadata;
mod process;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Verb {
    /// Find or install the tools that the other verbs need
    Setup,
    /// Build the eBPF objects and the `spillway` binary that carries them
    Build(build::Arguments),
    /// Build an optimised `spillway`, then run it on an interface of this machine
    BuildAndLoad(build_and_load::Arguments),
    /// Run the test tiers; the last line is `N passed, N failed, N skipped`
    Test(test::Arguments),
    /// Check the rules of the house that a program can check
    Tidy,
    /// Build everything, then show the balancer at work in a lab of network namespaces
    Demo(demo::Arguments),
    /// Measure what a packet costs, beside the least it must cost
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let workspace = Workspace::find();
    let result = match Verb::parse() {
        Verb::Setup => setup::run(&workspace).map(|()| ExitCode::SUCCESS),
        Verb::Build(arguments) => build::run(&workspace, &arguments).map(|()| ExitCode::SUCCESS),
        Verb::BuildAndLoad(arguments) => build_and_load::run(&workspace, &arguments),
        Verb::Test(arguments) => test::run(&workspace, &arguments),
        Verb::Tidy => tidy::run(&workspace),
        Verb::Demo(arguments) => demo::run(&workspace, &arguments),
        Verb::Bench(arguments) => bench::run(&workspace, &arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
