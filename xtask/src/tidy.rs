//! `cargo xtask tidy`: the rules of the house that a program can check.
//!
//! Each rule is a function from a file to what breaks it there; [`RULES`] is the list.

mod attributes;
mod commit;
mod imports;
mod layout;
mod machine;
mod source;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;
use source::{Source, Violation};

type Rule = fn(&Source) -> Vec<Violation>;

const RULES: [Rule; 8] = [
    layout::length,
    layout::module_name,
    layout::heading,
    imports::aya_stays_in_datapath,
    imports::pipeline_is_pure,
    imports::decisions_are_pure,
    attributes::bare_allow,
    machine::names_no_machine,
];

/// Checks every file that git knows or would add, and the subject of the last commit.
///
/// # Errors
/// When this is not a git checkout.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let sources = read(workspace.root())?;
    let mut violations: Vec<Violation> =
        sources.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))).collect();
    violations.extend(commit::subject(&git(workspace.root(), &["log", "-1", "--format=%s"])?));
    for violation in &violations {
        println!("{violation}");
    }
    eprintln!("tidy: {} files, {} violations", sources.len(), violations.len());
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The text files; what is deleted but not yet committed, or is no text, has nothing to check.
fn read(root: &Path) -> Result<Vec<Source>> {
    let names = git(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let names = names.split('\0').filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| Source::read(root, name)).collect())
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    process::read(Command::new("git").current_dir(root).args(arguments))
        .context("tidy asks git which files are the project's; run it in a clone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_has_files_to_check() {
        let sources = read(Workspace::find().root()).unwrap();
        assert!(sources.iter().any(|source| source.path == "xtask/src/tidy.rs"));
    }
}
