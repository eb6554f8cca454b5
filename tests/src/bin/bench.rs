//! `cargo xtask bench`: figures on standard output, progress on standard error.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use lb_tests::bench::report::Report;
use lb_tests::bench::{self, Effort};

/// Measurements of this project.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Bench {
    /// What a packet costs in the gateway's program, beside what it must cost
    Datapath {
        #[command(flatten)]
        effort: Effort,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    let Bench::Datapath { effort, output } = Bench::parse();
    match bench::datapath(&effort) {
        Ok(report) => print(&report, output),
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print(report: &Report, output: Output) {
    match output {
        Output::Table => print!("{report}"),
        Output::Json => println!("{}", report.json()),
    }
}
