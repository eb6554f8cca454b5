//! Measurements: what a packet costs in the gateway's program, what a frame costs on a wire ([`wire`]), what the
//! agent costs ([`control`]).
//!
//! The chain method. A wrapper program is repeated in the kernel; it undoes the last run's change of
//! length, writes the first bytes anew, makes the frame the next flow's, and tail-calls the program under
//! test. The time from the first run to the last, divided by the runs between, is a sample. Floors (to
//! pass, to swap MACs, to make room, to write a constant outer header) are programs under test like the
//! gateway: **every figure, of a floor or of a case, includes the wrapper**, so a multiple of a floor and
//! a difference to it mean the same for all.

mod case;
mod chain;
pub mod control;
mod gateway;
pub mod loss;
mod machine;
pub mod plan;
pub mod policy;
mod quiet;
mod receiver;
pub mod report;
mod resident;
mod round;
pub mod tables;
pub mod wire;
mod world;

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use chain::Chain;
use report::Report;

/// How much to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Effort {
    /// Samples of each case that nothing disturbed
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub samples: u32,
    /// Packets in a sample
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub packets: u32,
    /// Seconds to measure for at most; what has fewer samples by then is reported with those
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
}

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Measure only this case, beside the floors; may be given several times
    #[arg(long = "case", value_name = "NAME", value_parser = PossibleValuesParser::new(case::names()))]
    pub cases: Vec<String>,
}

/// Measures the floors and the cases, round by round.
///
/// Fails without root, without the programs, or if a run did not do what its case says.
pub fn datapath(choice: &Choice, effort: &Effort) -> Result<Report> {
    let machine = claim_machine()?;
    let cases = case::chosen(&choice.cases);
    let mut chain = Chain::load(&cases)?;
    let figures = round::measure(&mut chain, &cases, effort)?;
    Ok(Report::new(machine, &cases, &figures))
}

/// Runs every floor and case of [`datapath`] and [`wire`] once, on few packets, and measures nothing.
///
/// Fails as they do.
pub fn rehearse() -> Result<()> {
    claim_machine()?;
    let cases = case::chosen(&[]);
    round::rehearse(&mut Chain::load(&cases)?, &cases)?;
    wire::with_link(round::rehearse)
}

fn claim_machine() -> Result<report::Machine> {
    let machine = machine::describe();
    eprintln!("bench: {}", quiet::claim_processor()?.note);
    Ok(machine)
}
