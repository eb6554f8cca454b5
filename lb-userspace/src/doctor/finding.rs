//! What an examination comes to.

use std::fmt::Display;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Looked at, and as it should be.
    Ok,
    /// Worth knowing; or it cannot be seen from here, and must hold all the same.
    Hint,
    /// Some packets suffer, or will; or it could not be looked at.
    Warning,
    /// Packets of a VIP do not come through.
    Error,
}

impl Severity {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Name of the check, as in `docs/operations.md`.
    pub check: &'static str,
    /// What it is about: an interface, an address, a pool.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub says: String,
    /// What to do about it; `None` where nothing is to be done.
    pub mend: Option<String>,
}

/// A check's name with what it is about: findings are made from it.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    check: &'static str,
    subject: String,
}

impl Topic {
    pub(super) fn new(check: &'static str, subject: impl Display) -> Self {
        Self { check, subject: subject.to_string() }
    }

    pub(super) fn ok(&self, says: impl Into<String>) -> Finding {
        self.finding(Severity::Ok, says.into(), None)
    }

    pub(super) fn hint(&self, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.at(Severity::Hint, says, mend)
    }

    pub(super) fn warning(&self, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.at(Severity::Warning, says, mend)
    }

    pub(super) fn error(&self, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.at(Severity::Error, says, mend)
    }

    /// It could not be looked at, which is not the same as being in order.
    pub(super) fn unseen(&self, why: &str) -> Finding {
        self.warning(format!("not looked at: {why}"), "run it as root, in the agent's network namespace")
    }

    pub(super) fn at(&self, severity: Severity, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(severity, says.into(), Some(mend.into()))
    }

    fn finding(&self, severity: Severity, says: String, mend: Option<String>) -> Finding {
        Finding { check: self.check, subject: self.subject.clone(), severity, says, mend }
    }
}

/// The first few of many, and how many more there are.
pub(super) fn few<T: Display>(all: &[T]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_order_has_no_mend() {
        let topic = Topic::new("mtu", "eth0");
        assert_eq!(topic.ok("1500").mend, None);
        let findings =
            [topic.hint("a", "b"), topic.warning("a", "b"), topic.error("a", "b"), topic.unseen("a")];
        assert!(findings.iter().all(|finding| finding.mend.is_some()));
        assert!(findings.iter().all(|finding| finding.severity > Severity::Ok));
    }

    #[test]
    fn of_many_a_few_are_named() {
        assert_eq!(few(&[1, 2]), "1, 2");
        assert_eq!(few(&[1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
    }
}
