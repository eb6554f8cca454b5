//! The `state` map as a place for one text: the agent's record, which outlives it and is read without it.
//!
//! ```text
//! word 0            sequence: upper bits count versions, the lowest bit names the half in force
//! word 1            unused
//! words 2, 3        bytes in half 0, half 1
//! words 4 ..        half 0, then half 1, of equal size
//! ```
//!
//! A new text goes into the half that is not in force, then one store of the sequence exchanges them. A reader
//! that sees the sequence unchanged after copying has a whole text.

use std::sync::atomic::{Ordering, fence};

use thiserror::Error;

use super::mapping::Mapping;

const SEQUENCE: usize = 0;
const LENGTHS: usize = 2;
const HALVES: usize = 4;
/// Tries of a reader; each fails only if the text is exchanged twice while it is copied.
const TRIES: usize = 100;

/// Why a text was not written or read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// The text is larger than half of the map.
    #[error("the agent's record of {bytes} bytes does not fit {room}; raise gateway.limits")]
    Full {
        /// Bytes to be written.
        bytes: usize,
        /// Bytes there is room for.
        room: usize,
    },
    /// What lies in the map is no text of this format.
    #[error("the agent's record in the pins is damaged")]
    Damaged,
}

fn half_words(map: &Mapping) -> usize {
    map.words().len().saturating_sub(HALVES) / 2
}

/// Exchanges the text.
pub fn write(map: &Mapping, text: &[u8]) -> Result<(), StateError> {
    let room = half_words(map) * size_of::<u64>();
    if text.len() > room {
        return Err(StateError::Full { bytes: text.len(), room });
    }
    let sequence = map.load(SEQUENCE);
    let half = (sequence + 1) & 1;
    let start = HALVES + half as usize * half_words(map);
    for (word, bytes) in (start..).zip(text.chunks(size_of::<u64>())) {
        let mut padded = [0; size_of::<u64>()];
        padded[..bytes.len()].copy_from_slice(bytes);
        map.store(word, u64::from_ne_bytes(padded));
    }
    map.store(LENGTHS + half as usize, text.len() as u64);
    map.store(SEQUENCE, sequence + 1);
    Ok(())
}

/// The text in force; `None` if none was ever written.
pub fn read(map: &Mapping) -> Result<Option<Vec<u8>>, StateError> {
    for _ in 0..TRIES {
        let sequence = map.load(SEQUENCE);
        if sequence == 0 {
            return Ok(None);
        }
        let text = copy(map, (sequence & 1) as usize)?;
        fence(Ordering::Acquire);
        if map.load(SEQUENCE) == sequence {
            return Ok(Some(text));
        }
    }
    Err(StateError::Damaged)
}

fn copy(map: &Mapping, half: usize) -> Result<Vec<u8>, StateError> {
    let length = usize::try_from(map.load(LENGTHS + half)).map_err(|_| StateError::Damaged)?;
    if length > half_words(map) * size_of::<u64>() {
        return Err(StateError::Damaged);
    }
    let start = HALVES + half * half_words(map);
    let mut text: Vec<u8> =
        (start..start + length.div_ceil(8)).flat_map(|word| map.load(word).to_ne_bytes()).collect();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::mapping::Access;
    use std::os::fd::AsFd as _;

    /// An ordinary file serves as well as a map.
    fn map(words: usize) -> Mapping {
        let file = tempfile::tempfile().unwrap();
        file.set_len(words as u64 * 8).unwrap();
        Mapping::new(file.as_fd(), words, Access::Write).unwrap()
    }

    #[test]
    fn the_last_text_is_read() {
        let map = map(4 + 2 * 4);
        assert_eq!(read(&map), Ok(None));
        for text in [&b"one"[..], b"", b"something longer", b"12345678"] {
            write(&map, text).unwrap();
            assert_eq!(read(&map).unwrap().as_deref(), Some(text));
        }
    }

    #[test]
    fn a_text_too_large_leaves_the_old_one() {
        let map = map(4 + 2 * 2);
        write(&map, b"fits").unwrap();
        assert_eq!(write(&map, &[7; 17]), Err(StateError::Full { bytes: 17, room: 16 }));
        assert_eq!(read(&map).unwrap().as_deref(), Some(&b"fits"[..]));
    }

    #[test]
    fn nonsense_is_refused() {
        let map = map(16);
        map.store(SEQUENCE, 2);
        map.store(LENGTHS, u64::MAX);
        assert_eq!(read(&map), Err(StateError::Damaged));
    }
}
