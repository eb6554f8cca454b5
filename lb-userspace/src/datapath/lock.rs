//! One agent for each directory of pins: two would overwrite each other's tables.
//!
//! The lock is flock(2) on the directory itself. It holds across network and mount namespaces, whatever path
//! leads to the directory, leaves no file, and the kernel frees it when its holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::io;

use thiserror::Error;

use super::pins::Pins;

/// The directory is another agent's, or cannot be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another agent holds it.
    #[error("another agent runs on the maps at {directory}; end it, or give this one a `pinPath` of its own")]
    Held {
        /// The directory.
        directory: String,
    },
    /// It cannot be opened or locked.
    #[error("{directory} cannot be locked: {source}")]
    Failed {
        /// The directory.
        directory: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Held as long as the value lives.
#[derive(Debug)]
pub struct PinLock {
    _directory: File,
}

impl PinLock {
    /// Locks the directory, which must be there.
    ///
    /// # Errors
    /// [`LockError`]
    pub fn take(pins: &Pins) -> Result<Self, LockError> {
        let directory = || pins.directory().display().to_string();
        let failed = |source| LockError::Failed { directory: directory(), source };
        let file = File::open(pins.directory()).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _directory: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { directory: directory() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(directory.path());
        assert!(matches!(PinLock::take(&pins), Err(LockError::Failed { .. })), "not there yet");
        pins.create().unwrap();
        let lock = PinLock::take(&pins).unwrap();
        assert!(matches!(PinLock::take(&pins), Err(LockError::Held { .. })));
        drop(lock);
        PinLock::take(&pins).unwrap();
    }
}
