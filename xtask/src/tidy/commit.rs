//! A history that reads in one column.

use super::source::Violation;

const LONGEST: usize = 72;

/// The subject fits, and there is one.
pub(super) fn subject(subject: &str) -> Option<Violation> {
    let subject = subject.trim_end();
    let length = subject.chars().count();
    let reason = match length {
        0 => "no subject".to_owned(),
        1..=LONGEST => return None,
        _ => format!("a subject of {length} characters, {LONGEST} at most: {subject}"),
    };
    Some(Violation { place: "HEAD".into(), reason, mend: "amend it: `crate: imperative summary`" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventy_two_characters_fit() {
        assert_eq!(subject(&format!("{}\n", "é".repeat(72))), None);
        assert!(subject(&"e".repeat(73)).is_some());
        assert!(subject("\n").is_some());
    }
}
