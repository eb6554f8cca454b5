//! `cargo xtask bench`: figures on standard output, progress on standard error.

use std::fmt::Display;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use lb_tests::bench::control::Subject;
use lb_tests::bench::{self, Choice, Effort};
use serde_json::Value;

/// Measurements of this project.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Bench {
    /// What a packet costs in the gateway's program, beside what it must cost
    Datapath {
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        effort: Effort,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What a frame costs that really comes and goes, on a pair of interfaces made for it
    Wire {
        #[command(flatten)]
        effort: Effort,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What the agent costs: building tables, filling empty maps, memory
    Control {
        #[command(flatten)]
        subject: Subject,
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What a change of a pool moves under each algorithm, how even the load is, what a table costs; needs no root
    Tables {
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What a change between clusters moves, beside what must move; needs no root
    Policy {
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What `spillway plan` takes for a thousand services; needs no root
    Plan {
        /// How the result is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// What the loss of one of several gateways breaks under churn, with `tracking: chain` and with less; needs no root
    Chain {
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
    match run(&Bench::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Datapath { choice, effort, output } => {
            let report = bench::datapath(choice, effort)?;
            print(*output, &report, &report.json());
        }
        Bench::Wire { effort, output } => {
            let report = bench::wire::measure(effort)?;
            print(*output, &report, &report.json());
        }
        Bench::Control { subject, output } => {
            let report = bench::control::measure(subject)?;
            print(*output, &report, &report.json()?);
        }
        Bench::Tables { output } => {
            let report = bench::tables::measure()?;
            print(*output, &report, &report.json()?);
        }
        Bench::Policy { output } => {
            let report = bench::policy::measure();
            print(*output, &report, &report.json()?);
        }
        Bench::Plan { output } => {
            let report = bench::plan::measure()?;
            print(*output, &report, &report.json()?);
        }
        Bench::Chain { output } => {
            let report = bench::loss::measure();
            print(*output, &report, &report.json()?);
        }
    }
    Ok(())
}

fn print(output: Output, table: &impl Display, json: &Value) {
    match output {
        Output::Table => print!("{table}"),
        Output::Json => println!("{json}"),
    }
}
