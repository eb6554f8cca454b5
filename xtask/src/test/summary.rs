//! Counting what libtest prints, across every test binary of a run.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;

/// How tests ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads the output of `cargo test -- --show-output`, line by line.
#[derive(Default)]
pub(crate) struct Reader {
    counts: Counts,
    /// Binaries that began and did not report yet.
    running: usize,
    /// Within the output of tests that passed, which is quiet but for its skips.
    in_successes: bool,
    /// The test whose output is being read, and those of this binary that skipped themselves.
    current: Option<String>,
    skipping: BTreeSet<String>,
}

impl Reader {
    /// Takes one line, and returns what of it is worth showing.
    pub(crate) fn take(&mut self, line: &str) -> Option<String> {
        if let Some(counts) = result(line) {
            self.end_binary(counts);
        } else if line == "successes:" || line == "failures:" {
            self.in_successes = line == "successes:";
            self.current = None;
            return (!self.in_successes).then(|| line.to_owned());
        } else if self.in_successes {
            return self.take_output(line);
        } else if is_start(line) {
            self.running += 1;
        }
        Some(line.to_owned())
    }

    /// The counts. A binary that ended without a report, or a run that failed though no test did, is one
    /// failure.
    pub(crate) fn finish(mut self, succeeded: bool) -> Counts {
        self.counts.failed += self.running;
        if !succeeded && self.counts.failed == 0 {
            self.counts.failed = 1;
        }
        self.counts
    }

    fn take_output(&mut self, line: &str) -> Option<String> {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.current = Some(name.to_owned());
        }
        let (reason, test) = (line.strip_prefix("SKIP: ")?, self.current.as_ref()?);
        self.skipping.insert(test.clone());
        Some(format!("SKIP {test}: {reason}"))
    }

    fn end_binary(&mut self, mut counts: Counts) {
        let skipping = std::mem::take(&mut self.skipping).len().min(counts.passed);
        counts.passed -= skipping;
        counts.skipped += skipping;
        self.counts += counts;
        self.running = self.running.saturating_sub(1);
        self.in_successes = false;
    }
}

/// `running 12 tests`
fn is_start(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words[..], ["running", count, "test" | "tests"] if count.parse::<usize>().is_ok())
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s`
fn result(line: &str) -> Option<Counts> {
    let numbers = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |name: &str| {
        numbers.split("; ").find_map(|part| part.strip_suffix(name)?.trim().parse::<usize>().ok())
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str =
        "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s";
    const BAD: &str =
        "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished";

    fn read(lines: &[&str], succeeded: bool) -> Counts {
        let mut reader = Reader::default();
        for line in lines {
            reader.take(line);
        }
        reader.finish(succeeded)
    }

    fn counts(passed: usize, failed: usize, skipped: usize) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn results_of_all_binaries_are_summed() {
        let all = read(&["running 6 tests", OK, "running 3 tests", BAD], false);
        assert_eq!(all, counts(6, 2, 1));
        assert_eq!(all.to_string(), "6 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_binary_that_crashes_is_a_failure() {
        assert_eq!(read(&["running 1 test", OK, "running 4 tests", "test a ... ok"], false), counts(5, 1, 1));
        assert_eq!(read(&[], false), counts(0, 1, 0));
        assert_eq!(read(&["running 6 tests", OK], false), counts(5, 1, 1));
    }

    #[test]
    fn a_test_that_skips_itself_says_why() {
        let mut reader = Reader::default();
        reader.take("successes:");
        reader.take("---- tunnel stdout ----");
        assert_eq!(reader.take("chatter"), None);
        assert_eq!(reader.take("SKIP: no VXLAN").as_deref(), Some("SKIP tunnel: no VXLAN"));
    }

    #[test]
    fn a_test_that_skips_itself_did_not_pass() {
        let lines = [
            "running 6 tests",
            "successes:",
            "---- tunnel stdout ----",
            "SKIP: no VXLAN device in this kernel",
            "SKIP: nor a second one",
            "---- other stdout ----",
            "it printed something",
            OK,
        ];
        assert_eq!(read(&lines, true), counts(4, 0, 2));
    }

    #[test]
    fn a_failed_test_stays_failed_whatever_it_printed() {
        let lines = [
            "running 3 tests",
            "successes:",
            "",
            "failures:",
            "---- a stdout ----",
            "SKIP: no",
            "failures:",
            BAD,
        ];
        assert_eq!(read(&lines, false), counts(1, 2, 0));
    }
}
