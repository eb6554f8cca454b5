//! Files that a reader can hold in mind, with names that say what is in them.

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
}
