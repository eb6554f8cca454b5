//! Lints are expected with a reason, so that the exception goes when its cause goes.

use super::source::{Source, Violation};

// In two parts, or this file would break its own rule.
const ALLOW: [&str; 2] = [concat!("#[", "allow("), concat!("#![", "allow(")];

/// No `allow` without a reason.
pub(super) fn bare_allow(source: &Source) -> Vec<Violation> {
    if !source.is_rust() {
        return Vec::new();
    }
    let lines: Vec<(usize, &str)> = source.code().collect();
    let bare = lines.iter().enumerate().filter(|(index, (_, code))| {
        ALLOW.iter().any(|allow| code.contains(allow)) && !gives_reason(&lines[*index..])
    });
    bare.map(|(_, (number, _))| {
        source.violation(
            *number,
            "a lint is allowed without a reason",
            "use `#[expect(lint, reason = \"…\")]`",
        )
    })
    .collect()
}

/// The attribute may be spread over lines; it ends at the first `)]`.
fn gives_reason(lines: &[(usize, &str)]) -> bool {
    let end = lines.iter().position(|(_, code)| code.contains(")]")).unwrap_or(lines.len() - 1);
    lines[..=end].iter().any(|(_, code)| code.contains("reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(text: &str) -> usize {
        bare_allow(&Source { path: "a.rs".into(), text: text.replace("ALLOW", ALLOW[0]) }).len()
    }

    #[test]
    fn an_allow_needs_a_reason() {
        assert_eq!(violations("ALLOWdead_code)]\nfn f() {}\n"), 1);
        assert_eq!(violations("ALLOWdead_code, reason = \"used under bpf\")]\n"), 0);
        assert_eq!(violations("ALLOW\n    dead_code,\n    reason = \"used under bpf\"\n)]\n"), 0);
        assert_eq!(violations("ALLOWdead_code\n)]\nlet reason = 1;\n"), 1);
        assert_eq!(violations("#[expect(dead_code, reason = \"…\")]\n"), 0);
    }
}
