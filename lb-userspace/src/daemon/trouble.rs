//! What is wrong at the moment, for `status`.

/// Each kind stands until it is mended.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The file as it is now is refused.
    pub(super) configuration: Option<String>,
    /// The tables cannot be made or written.
    pub(super) tables: Option<String>,
    /// Configured interfaces are not balanced.
    pub(super) interfaces: Option<String>,
    /// Endpoints cannot be probed through their tunnels.
    pub(super) probes: Option<String>,
    /// The gateways are not told what they ask for.
    pub(super) report: Option<String>,
}

impl Trouble {
    /// As one text.
    pub(super) fn last(&self) -> Option<String> {
        let all = [&self.configuration, &self.tables, &self.interfaces, &self.probes, &self.report];
        let all: Vec<_> = all.into_iter().flatten().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_for_itself() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.last(), None);
        trouble.configuration = Some("a".into());
        assert_eq!(trouble.last().as_deref(), Some("a"));
        trouble.tables = Some("b".into());
        assert_eq!(trouble.last().as_deref(), Some("a; b"));
        trouble.configuration = None;
        assert_eq!(trouble.last().as_deref(), Some("b"));
        trouble.interfaces = Some("c".into());
        assert_eq!(trouble.last().as_deref(), Some("b; c"));
    }
}
