//! A place in a JSON document (RFC 6901).

use serde_json::Value;

use crate::quotable::quotable;

/// Whether a text leads to a place: it is empty, which is all of the document, or begins with `/`; `~` is written `~0` and
/// `/` within a name `~1` (RFC 6901, 3).
pub fn is_valid(pointer: &str) -> bool {
    let escaped = pointer.split('~').skip(1).all(|behind| behind.starts_with(['0', '1']));
    escaped && (pointer.is_empty() || pointer.starts_with('/'))
}

/// The number at a place, or what a text there says; `None`: there is null.
///
/// # Errors
/// What is there instead.
pub fn number(pointer: &str, body: &[u8]) -> Result<Option<f64>, String> {
    let document: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let Some(found) = document.pointer(pointer) else {
        return Err(format!("nothing is at {pointer:?} of {}", quotable(&document.to_string())));
    };
    let number = match found {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number
        .map(Some)
        .ok_or_else(|| format!("no number is at {pointer:?}, but {}", quotable(&found.to_string())))
}
