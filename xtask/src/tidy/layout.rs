//! Files that a reader can hold in mind, with names that say what is in them.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{Source, Violation};

const LONGEST: usize = 400;
const SAY_NOTHING: [&str; 8] =
    ["common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"];

/// No Rust file beyond the ceiling.
pub(super) fn length(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    if !source.is_rust() || lines <= LONGEST {
        return Vec::new();
    }
    vec![source.violation(
        LONGEST + 1,
        format!("{lines} lines, {LONGEST} at most"),
        "split it by what it does",
    )]
}

/// No module named for being useful.
pub(super) fn module_name(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let stem = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let names = stem.split('/').filter(|name| SAY_NOTHING.contains(name));
    names
        .map(|name| source.violation(1, format!("a module named `{name}`"), "name it for what is in it"))
        .collect()
}

/// No document with a section twice, as careless merges leave them: links to it lead to one of them only.
pub(super) fn heading(source: &Source) -> Vec<Violation> {
    if Path::new(&source.path).extension().is_none_or(|extension| extension != "md") {
        return Vec::new();
    }
    let headings = (1..).zip(source.text.lines()).filter(|(_, line)| line.starts_with("## "));
    let mut seen = BTreeSet::new();
    let again = headings.filter(|(_, line)| !seen.insert(*line));
    again
        .map(|(number, line)| source.violation(number, format!("`{line}` stands above already"), "keep one"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, lines: usize) -> Source {
        Source { path: path.into(), text: "line\n".repeat(lines) }
    }

    #[test]
    fn the_ceiling_is_for_rust_files() {
        assert!(length(&source("a.rs", 400)).is_empty());
        assert_eq!(length(&source("a.rs", 401)).len(), 1);
        assert!(length(&source("Cargo.lock", 5000)).is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_found_in_files_and_directories() {
        assert_eq!(module_name(&source("x/src/utils.rs", 1)).len(), 1);
        assert_eq!(module_name(&source("x/src/helpers/mac.rs", 1)).len(), 1);
        assert_eq!(module_name(&source("tests/tests/common.rs", 1)).len(), 1);
        assert!(module_name(&source("lb-common/src/lib.rs", 1)).is_empty());
        assert!(module_name(&source("docs/common.md", 1)).is_empty());
    }

    #[test]
    fn a_section_stands_once_in_a_document() {
        let text = |path: &str| Source { path: path.into(), text: "## a\n## b\n### a\n## a\n".into() };
        assert_eq!(heading(&text("docs/a.md")).len(), 1);
        assert!(heading(&text("a.rs")).is_empty());
    }
}
