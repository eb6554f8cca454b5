//! What is wrong with a configuration: every error at once, each with its place, reason and mend.

use std::fmt;

use serde::Serialize;

/// Where a value stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, from 1; 0: the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0: the whole file.
    pub column: u32,
    /// Keys and indices from the top, as in `pools[1].endpoints[0].address`; empty: the whole file.
    pub path: String,
}

/// One error of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0: the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0: the whole file.
    pub column: u32,
    /// Keys and indices from the top; empty: the whole file.
    pub path: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}\n  mend: {}", self.reason, self.mend)
    }
}

/// All errors of one file. `Display` is a readable report, `Serialize` a list of [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems {
    #[serde(skip)]
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// No error yet in `file` (the name that the report shows).
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// Adds an error at a place.
    pub fn add(&mut self, place: &Place, reason: impl Into<String>, mend: impl Into<String>) {
        self.list.push(Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            path: place.path.clone(),
            reason: reason.into(),
            mend: mend.into(),
        });
    }

    /// Adds an error of the whole file.
    pub(crate) fn add_whole(&mut self, reason: impl Into<String>, mend: impl Into<String>) {
        self.add(&Place::default(), reason, mend);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The errors in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Number of errors.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// In the order of the file; errors at one place stay in the order in which they were found.
    pub(crate) fn sorted(mut self) -> Self {
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        self
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A text from the file for an error: in quotes, on one line, at most 60 characters of it.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Of `known`, the name most like `name`, if one is near enough to be meant.
pub(crate) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// More names than this are not searched: a large file with many errors must not take minutes.
    const MOST: usize = 1024;
    /// Nor are longer ones, in bytes: the distance takes time and memory by the product of the lengths.
    const LONGEST: usize = 128;
    let lower = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, &known.to_lowercase());
    known
        .take(MOST)
        .filter(|known| name.len() <= LONGEST && known.len() <= LONGEST)
        .map(|known| (distance(known), known))
        .min()
        .filter(|&(distance, known)| distance <= 2.max(known.len() / 3) && distance < known.len())
        .map(|(_, known)| known)
}

/// What helps whoever wrote a name that is not `known`: the one that was meant, or those there are.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    /// More names than this do not help.
    const MOST: usize = 8;
    if let Some(meant) = closest(name, known.clone()) {
        return format!("did you mean {meant:?}?");
    }
    let count = known.clone().count();
    let some = known.take(MOST).collect::<Vec<_>>().join(", ");
    match count {
        0 => "there is none at all".to_owned(),
        1..=MOST => format!("there is {some}"),
        _ => format!("there is {some} and {} more", count - MOST),
    }
}

/// That there is no such name, and what helps.
pub(crate) fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    format!("there is no {kind} {name:?}; {}", near(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_the_one_that_was_meant_or_those_there_are() {
        assert_eq!(near("web-ue", ["web-eu", "web-us"].into_iter()), "did you mean \"web-eu\"?");
        assert_eq!(near("billing", ["web-eu", "web-us"].into_iter()), "there is web-eu, web-us");
        assert_eq!(near("billing", std::iter::empty()), "there is none at all");
        let many: Vec<_> = (10..20).map(|number| number.to_string()).collect();
        let said = near("billing", many.iter().map(String::as_str));
        assert_eq!(said, "there is 10, 11, 12, 13, 14, 15, 16, 17 and 2 more");
    }

    #[test]
    fn closest_finds_a_slip_and_no_stranger() {
        assert_eq!(closest("web-ue", ["web-eu", "web-us"].into_iter()), Some("web-eu"));
        assert_eq!(closest("billing", ["web-eu", "web-us"].into_iter()), None);
        assert_eq!(closest("a", ["b"].into_iter()), None, "nothing in common");
        assert_eq!(
            closest("udp", ["TCP", "UDP"].into_iter()),
            Some("UDP"),
            "upper and lower case are a slip"
        );
        let long = "x".repeat(1 << 20);
        assert_eq!(closest(&long, [long.as_str()].into_iter()), None, "too long to compare");
    }

    #[test]
    fn report_names_place_reason_and_mend() {
        let mut problems = Problems::new("x.yaml");
        problems.add(&Place { line: 3, column: 5, path: "a.b".into() }, "is bad", "make it good");
        problems.add_whole("cannot be read", "look");
        assert_eq!(
            problems.sorted().to_string(),
            "x.yaml: cannot be read\n  mend: look\nx.yaml:3:5: a.b: is bad\n  mend: make it good"
        );
    }
}
