//! When the configuration may have changed: something happened in a directory that it lies in.
//!
//! Directories are watched, not files: editors and `ConfigMap` volumes put a new file, or a link to a new
//! directory, in the place of the old one. What is told is only that it is time to look.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

/// A change is told once nothing more has happened for this long.
const QUIET: Duration = Duration::from_millis(100);
/// A change is told after this long however much goes on.
const LONGEST: Duration = Duration::from_secs(1);

/// Watches the directories of some files.
pub(super) struct FileWatch {
    /// `None`: the kernel does not tell; there are still SIGHUP and the regular look.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    happened: mpsc::Receiver<()>,
    /// Once something has happened: when it is told, and when at the latest.
    due: Option<(Instant, Instant)>,
}

impl FileWatch {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let (sender, happened) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error may stand for events that were lost. A full channel says it already.
            if event.is_ok_and(|event| !changes(event.kind)) {
                return;
            }
            _ = sender.try_send(());
        });
        let unable = |reason| warn!(event = "reload", %reason, "files are not watched; send SIGHUP");
        Self { watcher: watcher.map_err(unable).ok(), watched: BTreeSet::new(), happened, due: None }
    }

    /// Watches the directories that these files lie in, and no others; those anew that were replaced.
    pub(super) fn watch(&mut self, files: &[&Path]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = files.iter().flat_map(|file| directories(file)).collect();
        for gone in self.watched.difference(&wanted) {
            // It may be gone altogether.
            _ = watcher.unwatch(gone);
        }
        for directory in &wanted {
            if let Err(reason) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                debug!(event = "reload", directory = %directory.display(), %reason, "not watched");
            }
        }
        self.watched = wanted;
    }

    /// Returns when something has happened and it has been quiet since. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            let Some((due, latest)) = self.due else {
                if self.happened.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                let now = Instant::now();
                self.due = Some((now + QUIET, now + LONGEST));
                continue;
            };
            tokio::select! {
                Some(()) = self.happened.recv() => self.due = Some((latest.min(Instant::now() + QUIET), latest)),
                () = sleep_until(due) => {
                    self.due = None;
                    return;
                }
            }
        }
    }
}

/// What tells one state of a file from another: device, inode, size, times of content and of status.
pub(super) type Print = (u64, u64, u64, [i64; 4]);

/// `None`: there is no such file.
pub(super) fn print(file: &Path) -> Option<Print> {
    let seen = fs::metadata(file).ok()?;
    let times = [seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()];
    Some((seen.dev(), seen.ino(), seen.size(), times))
}

/// Whether an event may mean another content; looking at a file is an event as well.
fn changes(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The directory that the name stands in, and the one that the file lies in if the name is a link.
fn directories(file: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = file.canonicalize().ok().map(|file| parent(&file));
    [parent(file)].into_iter().chain(real).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tokio::time::timeout;

    /// Whether a change is told soon after `change`.
    async fn tells(watch: &mut FileWatch, change: impl FnOnce()) -> bool {
        change();
        timeout(Duration::from_millis(1500), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn writes_and_renames_are_told_and_looks_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        fs::write(&file, "1").unwrap();
        let mut watch = FileWatch::new();
        watch.watch(&[&file]);
        assert!(!tells(&mut watch, || drop(fs::read(&file))).await, "a look");
        assert!(tells(&mut watch, || fs::write(&file, "2").unwrap()).await, "a write");
        let other = directory.path().join("b.yaml");
        fs::write(&other, "3").unwrap();
        assert!(tells(&mut watch, || fs::rename(&other, &file).unwrap()).await, "a rename");
        assert!(!tells(&mut watch, || ()).await, "told once");
    }

    #[tokio::test]
    async fn a_config_map_that_is_exchanged_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("..1")).unwrap();
        fs::write(at("..1/a.yaml"), "1").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let mut watch = FileWatch::new();
        watch.watch(&[&at("a.yaml")]);
        fs::create_dir(at("..2")).unwrap();
        fs::write(at("..2/a.yaml"), "2").unwrap();
        symlink("..2", at("..data_tmp")).unwrap();
        assert!(tells(&mut watch, || ()).await, "the preparations");
        assert!(tells(&mut watch, || fs::rename(at("..data_tmp"), at("..data")).unwrap()).await);
    }

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(directories(Path::new("no-such-file.yaml")), [PathBuf::from(".")]);
    }

    #[test]
    fn another_content_mode_or_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        assert_eq!(print(&file), None);
        fs::write(&file, "1").unwrap();
        let first = print(&file);
        assert_eq!(first, print(&file));
        let other = directory.path().join("y");
        fs::write(&other, "2").unwrap();
        fs::rename(other, &file).unwrap();
        assert_ne!(first, print(&file));
    }
}
