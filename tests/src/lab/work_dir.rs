//! A directory for a run's files with a BPF file system of its own, and the removal of what killed
//! runs left.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::{Builder, TempDir};

/// What the directories of all runs begin with.
const PREFIX: &str = "spillway-lab-";
/// Locked by the owner while it lives; the kernel frees the lock of a dead one.
const LOCK: &str = "lock";
/// Mount point of the BPF file system.
const BPF: &str = "bpf";

/// A private directory below the machine's temporary directory, removed on drop.
#[derive(Debug)]
pub struct WorkDir {
    dir: TempDir,
    _lock: File,
}

impl WorkDir {
    /// Makes the directory and mounts a BPF file system in it.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or when the kernel has no BPF file system.
    pub fn new() -> Result<Self> {
        let dir = Builder::new().prefix(PREFIX).tempdir().context("make a working directory")?;
        let lock = lock_under_its_name(dir.path())?;
        let work = Self { dir, _lock: lock };
        fs::create_dir(work.bpf())?;
        mount(Some("bpf"), &work.bpf(), Some("bpf"), MsFlags::empty(), None::<&str>)
            .context("mount a BPF file system (that needs root: use sudo)")?;
        Ok(work)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file that its owner alone may read, as a key's must be.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_key(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path().join(name);
        fs::write(&path, text).with_context(|| format!("write {name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("protect {name}"))
    }

    /// Root of the BPF file system.
    pub fn bpf(&self) -> PathBuf {
        self.path().join(BPF)
    }

    /// Removes the directories (and their mounts) of runs that are dead; returns how many.
    ///
    /// # Errors
    /// When the temporary directory cannot be read. What cannot be removed is left.
    pub fn sweep() -> Result<usize> {
        let entries = fs::read_dir(std::env::temp_dir()).context("read the temporary directory")?;
        let ours = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
            .map(|entry| entry.path());
        Ok(ours.filter(|dir| owner_is_dead(dir) && remove(dir)).count())
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Not mounted when `new` failed half-way; the TempDir removes the rest.
        let _ = umount2(&self.bpf(), MntFlags::MNT_DETACH);
    }
}

/// Makes the lock file, locked before it has its name: a sweep never sees it free while we live.
fn lock_under_its_name(dir: &Path) -> Result<File> {
    let fresh = dir.join("lock.new");
    let file = File::create(&fresh)?;
    file.lock().context("lock the working directory")?;
    fs::rename(&fresh, dir.join(LOCK))?;
    Ok(file)
}

fn owner_is_dead(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join(LOCK)) else { return false };
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_)))
}

fn remove(dir: &Path) -> bool {
    // Fails when nothing is mounted there, which is as good.
    let _ = umount2(&dir.join(BPF), MntFlags::MNT_DETACH);
    fs::remove_dir_all(dir).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_owner_is_seen_and_a_dead_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_under_its_name(dir.path()).unwrap();
        assert!(!owner_is_dead(dir.path()));
        drop(lock);
        assert!(owner_is_dead(dir.path()));
    }

    #[test]
    fn a_directory_without_a_lock_is_not_ours_to_remove() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!owner_is_dead(dir.path()));
    }
}
