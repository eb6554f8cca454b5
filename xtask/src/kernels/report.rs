//! What came of each kernel.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::test::summary::{Counts, Reader};

/// The line that says that all commands have run.
const END: &str = "guest: end";
/// Begins the line of a command's exit status.
const STATUS: &str = "guest: status ";

/// Lines that are shown of a failure.
const SHOWN: usize = 80;

/// One kernel's result.
pub(super) struct Outcome {
    /// The series that was asked for.
    pub(super) series: &'static str,
    /// The release that was booted, or why none was.
    pub(super) kernel: Result<String, String>,
    /// How long it ran.
    pub(super) took: Duration,
    /// Of its tests; a kernel that was not booted is one skipped.
    pub(super) counts: Counts,
    /// What was said last, if anything failed.
    pub(super) last: String,
}

impl Outcome {
    /// Of a kernel that was not booted.
    pub(super) fn skipped(series: &'static str, reason: String) -> Self {
        let counts = Counts { skipped: 1, ..Counts::default() };
        Self { series, kernel: Err(reason), took: Duration::ZERO, counts, last: String::new() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kernel {
            Err(reason) => write!(f, "SKIP kernel {}: {reason}", self.series),
            Ok(release) => {
                let verdict = if self.counts.failed == 0 { "ok" } else { "FAILED" };
                let (took, counts) = (self.took.as_secs_f64(), &self.counts);
                write!(f, "{}kernel {release}: {verdict} in {took:.1} s, {counts}", self.last)
            }
        }
    }
}

/// A table of all.
pub(super) struct Table<'a>(pub(super) &'a [Outcome]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<34} {:>8} {:>7} {:>7} {:>8}", "kernel", "seconds", "passed", "failed", "skipped")?;
        for Outcome { series, kernel, took, counts, .. } in self.0 {
            let name = kernel.clone().unwrap_or_else(|_| format!("{series} (not booted)"));
            let Counts { passed, failed, skipped } = counts;
            writeln!(f, "{name:<34} {:>8.1} {passed:>7} {failed:>7} {skipped:>8}", took.as_secs_f64())?;
        }
        Ok(())
    }
}

/// The ends of texts, below the files that hold the whole of them.
pub(super) fn ends(texts: &[(&Path, &[String])]) -> String {
    let end = |(path, lines): &(&Path, &[String])| {
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        format!("---- the end of {} ----\n{}\n", path.display(), last.join("\n"))
    };
    texts.iter().map(end).collect::<Vec<_>>().concat()
}

/// Counts what a machine said, and returns what of it is worth showing. A machine that did not come to its
/// end is a failure, and so is a command that failed though no test did.
pub(super) fn read(lines: &[String]) -> (Counts, Vec<String>) {
    let mut reader = Reader::default();
    let shown = lines.iter().filter_map(|line| reader.take(line)).collect();
    let ended = lines.iter().any(|line| line == END);
    let mut statuses = lines.iter().filter_map(|line| line.strip_prefix(STATUS));
    let succeeded = statuses.all(|status| status.starts_with("0 "));
    (reader.finish(ended && succeeded), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str =
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    fn count(lines: &[&str]) -> (usize, usize, usize) {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let counts = read(&lines).0;
        (counts.passed, counts.failed, counts.skipped)
    }

    #[test]
    fn only_a_machine_that_came_to_its_end_passes() {
        assert_eq!(count(&["running 2 tests", RESULT, "guest: status 0 of /t", END]), (2, 0, 0));
        assert_eq!(count(&["running 2 tests", RESULT, "guest: status 0 of /t"]), (2, 1, 0));
        assert_eq!(count(&["running 2 tests"]), (0, 1, 0));
        assert_eq!(count(&[]), (0, 1, 0));
    }

    #[test]
    fn a_command_that_cannot_run_is_a_failure() {
        assert_eq!(count(&["guest: status 127 of /t", END]), (0, 1, 0));
    }

    #[test]
    fn a_kernel_that_was_not_booted_is_skipped_with_its_reason() {
        let outcome = Outcome::skipped("6.1", "no mirror".to_owned());
        assert_eq!(outcome.to_string(), "SKIP kernel 6.1: no mirror");
        assert_eq!(outcome.counts.skipped, 1);
        assert!(Table(&[outcome]).to_string().contains("6.1 (not booted)"));
    }
}
