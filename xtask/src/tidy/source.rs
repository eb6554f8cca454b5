//! A file under examination, and what was found in it.

use std::fmt;
use std::fs;
use std::path::Path;

/// A text file of the project.
pub(super) struct Source {
    /// From the workspace's root, with `/`.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
}

/// One place that breaks one rule.
#[derive(Debug, PartialEq)]
pub(super) struct Violation {
    /// `FILE:LINE`, or another place.
    pub(super) place: String,
    /// What is wrong.
    pub(super) reason: String,
    /// What to do.
    pub(super) mend: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.reason, self.mend)
    }
}

impl Source {
    /// `None` for what is no UTF-8 text or not there.
    pub(super) fn read(root: &Path, path: &str) -> Option<Self> {
        let text = fs::read_to_string(root.join(path)).ok()?;
        Some(Self { path: path.to_owned(), text })
    }

    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Lines without their `//` comments, numbered from one.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, without_comment(line)))
    }

    /// Lines, numbered from one.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// A violation at a line of this file.
    pub(super) fn violation(&self, line: usize, reason: impl Into<String>, mend: &'static str) -> Violation {
        Violation { place: format!("{}:{line}", self.path), reason: reason.into(), mend }
    }
}

/// An address such as `scheme://host` is no comment.
fn without_comment(line: &str) -> &str {
    let start = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    start.map_or(line, |(at, _)| &line[..at])
}

/// Whether `phrase` occurs as whole words: `aya` in `use aya::Ebpf`, not in `malaya`.
pub(super) fn has_phrase(code: &str, phrase: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(phrase).any(|(at, _)| {
        !code[..at].ends_with(part_of_word) && !code[at + phrase.len()..].starts_with(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_no_code_and_addresses_are_no_comments() {
        assert_eq!(without_comment("let a = 1; // aya"), "let a = 1; ");
        assert_eq!(without_comment("//! aya"), "");
        assert_eq!(without_comment("let a = \"http://h\"; // x"), "let a = \"http://h\"; ");
    }

    #[test]
    fn phrases_are_whole_words() {
        assert!(has_phrase("use aya::Ebpf;", "aya"));
        assert!(has_phrase("Instant::now()", "Instant::now"));
        assert!(!has_phrase("use aya_obj::btf;", "aya") && !has_phrase("malaya", "aya"));
    }

    #[test]
    fn a_violation_reads_as_place_reason_mend() {
        let source = Source { path: "a.rs".into(), text: String::new() };
        assert_eq!(source.violation(3, "too long", "split it").to_string(), "a.rs:3: too long; split it");
    }
}
