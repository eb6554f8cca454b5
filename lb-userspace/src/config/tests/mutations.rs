//! Good files, broken at random: an error is fine, a panic is not, and every place is in the file.

use std::fs;

use proptest::prelude::*;

use super::world::{root, secrets};
use crate::config::check_text;

/// What is put in: YAML's own characters, and values at the edges of what is allowed.
const WORDS: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    "- ",
    ": ",
    ":",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!!int ",
    "!x ",
    "<<: ",
    "'",
    "\"",
    "#",
    "|",
    ">",
    "%",
    "---\n",
    "...\n",
    "null",
    "~",
    "true",
    "-1",
    "0",
    "1e9",
    ".nan",
    "18446744073709551616",
    "0Ki",
    "4095Mi",
    "9999999999h",
    "::",
    "0.0.0.0",
    "ä",
    "\u{feff}",
    "\u{0}",
    "endpoints: []",
    "weight: 0",
    "599-100",
];

#[derive(Debug, Clone)]
struct Edit {
    at: usize,
    remove: usize,
    word: &'static str,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(WORDS));
    let edit = edit.prop_map(|(at, remove, word)| Edit { at: at.index(1 << 16), remove, word });
    prop::collection::vec(edit, 1..6)
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for Edit { at, remove, word } in edits {
        let start = at % (chars.len() + 1);
        let end = (start + remove).min(chars.len());
        chars.splice(start..end, word.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn never_panics(edits in edits(), which in 0..4_usize) {
        let name = ["every-key.yaml", "yaml-forms.yaml", "minimal.yaml", "node-every-key.yaml"][which];
        let text = fs::read_to_string(root().join("tests/fixtures/config/good").join(name)).expect("readable");
        let text = apply(&text, &edits);
        if let Err(problems) = check_text(&text, name, secrets().path()) {
            prop_assert!(!problems.is_empty());
            // YAML's line ends are LF, CR and CRLF; an error may stand behind the last one.
            let lines = text.split(['\n', '\r']).count();
            for problem in &problems {
                prop_assert!(problem.line as usize <= lines + 1, "{problem}");
                prop_assert!(!problem.reason.is_empty() && !problem.mend.is_empty());
            }
        }
    }
}
