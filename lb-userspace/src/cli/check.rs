use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::Failure;
use super::output::{Format, Output, json, lines};
use crate::config::{self, Problem, Problems};

/// `spillway check`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration files, of gateways or nodes.
    #[arg(required_unless_present = "schema", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the JSON Schema of a gateway's file instead, or with `--schema=node` of a node's.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "gateway",
        conflicts_with = "files"
    )]
    schema: Option<Kind>,
    #[command(flatten)]
    output: Output,
}

/// Whose file it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Of `spillway run`.
    Gateway,
    /// Of `spillway node`.
    Node,
}

/// A line for each good file; all that is wrong with the others is the error. As JSON the answer is the list of
/// all problems, empty if there are none.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    if let Some(kind) = options.schema {
        return json(&match kind {
            Kind::Gateway => config::schema(),
            Kind::Node => config::node_schema(),
        });
    }
    let problems: Vec<_> = options.files.iter().map(|file| (file, config::check(file).err())).collect();
    match options.output.format {
        Format::Table => {
            let good = problems.iter().filter(|(_, problems)| problems.is_none());
            lines(good.map(|(file, _)| format!("{}: ok", file.display())))?;
            report(problems.iter().filter_map(|(_, problems)| problems.as_ref()))
        }
        Format::Json => {
            let all: Vec<&Problem> =
                problems.iter().filter_map(|(_, problems)| problems.as_ref()).flatten().collect();
            json(&all)?;
            if all.is_empty() { Ok(()) } else { Err(Failure::config(anyhow!("{} errors", all.len()))) }
        }
    }
}

fn report<'a>(problems: impl Iterator<Item = &'a Problems>) -> Result<(), Failure> {
    let reports: Vec<_> = problems.map(ToString::to_string).collect();
    if reports.is_empty() { Ok(()) } else { Err(Failure::config(anyhow!(reports.join("\n")))) }
}
