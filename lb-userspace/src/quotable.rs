//! Text of somebody else's as one short line of a log.

/// Characters that are kept.
const MOST: usize = 120;

/// The first line that is not empty, without control characters and not endless.
pub fn quotable(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    line.chars().take(MOST).map(shown).collect()
}
