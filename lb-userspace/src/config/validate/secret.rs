//! `clusterSet.secretFile`: 32 hexadecimal digits that nobody but the owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::config::model::Secret;
use crate::config::problem::Problems;
use crate::config::read::Located;

/// Digits in the file.
const DIGITS: usize = 32;

/// Permission bits of group and others.
const NOT_OWNER: u32 = 0o077;

/// Reads the secret; links are followed, and what counts is the mode of the file at their end.
pub(super) fn read(path: &Located<String>, base: &Path, problems: &mut Problems) -> Option<Secret> {
    let full = base.join(&path.value);
    match digits(&full) {
        Ok(text) => parse(&text).or_else(|| {
            let reason = format!("{} does not hold exactly {DIGITS} hexadecimal digits", full.display());
            problems.add(&path.place, reason, mend_content(&full));
            None
        }),
        Err(Refusal { reason, mend }) => {
            problems.add(&path.place, reason, mend);
            None
        }
    }
}

fn mend_content(path: &Path) -> String {
    format!("make one: (umask 077; od -An -tx1 -N16 /dev/urandom | tr -d ' \\n' > {})", path.display())
}

struct Refusal {
    reason: String,
    mend: String,
}

/// The file's text, a little more than a good file has at most.
fn digits(path: &Path) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: io::Error| {
        let mend = match error.kind() {
            io::ErrorKind::NotFound => mend_content(path),
            _ => "let the user that runs spillway read it".into(),
        };
        Refusal { reason: format!("cannot read {}: {error}", path.display()), mend }
    };
    let file = open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        let reason = format!("{} is not a regular file", path.display());
        return Err(Refusal { reason, mend: mend_content(path) });
    }
    if meta.mode() & NOT_OWNER != 0 {
        let reason = format!(
            "{} has mode {:04o}: others than its owner may use it",
            path.display(),
            meta.mode() & 0o7777
        );
        return Err(Refusal { reason, mend: format!("chmod 600 {}", path.display()) });
    }
    let mut text = Vec::new();
    file.take(DIGITS as u64 + 3).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Never waits, even where a FIFO lies in place of the file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// k0 and k1 from the digits, with at most one line end behind them.
fn parse(text: &[u8]) -> Option<Secret> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    if digits.len() != DIGITS {
        return None;
    }
    let (k0, k1) = digits.split_at(DIGITS / 2);
    Some(Secret { k0: word(k0)?, k1: word(k1)? })
}

/// A little-endian word from 16 digits.
fn word(digits: &[u8]) -> Option<u64> {
    let byte = |pair: &[u8]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()
    };
    let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
    Some(u64::from_le_bytes(bytes?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian() {
        let secret = parse(b"000102030405060708090a0b0c0d0e0F").unwrap();
        assert_eq!(secret.k0, 0x0706_0504_0302_0100);
        assert_eq!(secret.k1, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(parse(b"000102030405060708090a0b0c0d0e0f\n"), Some(secret));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "00", "000102030405060708090a0b0c0d0e0f00", "000102030405060708090a0b0c0d0e0g"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse(b"000102030405060708090a0b0c0d0e0f\n\n"), None);
        assert_eq!(parse(b" 00102030405060708090a0b0c0d0e0f"), None);
    }
}
