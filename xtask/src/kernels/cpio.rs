//! A cpio archive in the format `newc`, from which the kernel makes its first file system
//! (`Documentation/driver-api/early-userspace/buffer-format.rst` in the kernel's sources).

use std::collections::BTreeSet;
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;
const LAST: &str = "TRAILER!!!";

/// An archive in the making. Several, one after the other, are one archive to the kernel.
#[derive(Default)]
pub(super) struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

/// What an entry is, beside its name and content.
#[derive(Default)]
struct Kind {
    mode: u32,
    device: (u32, u32),
}

impl Cpio {
    /// Adds a file that may be run, and the directories above it. `path` is from the root.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) {
        let name = self.name_below_directories(path);
        self.entry(&name, &Kind { mode: PROGRAM, ..Kind::default() }, content);
    }

    /// Adds a character device.
    pub(super) fn device(&mut self, path: &Path, major: u32, minor: u32) {
        let name = self.name_below_directories(path);
        self.entry(&name, &Kind { mode: DEVICE, device: (major, minor) }, &[]);
    }

    /// The archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(LAST, &Kind::default(), &[]);
        self.bytes
    }

    fn name_below_directories(&mut self, path: &Path) -> String {
        let name = |path: &Path| path.to_string_lossy().trim_start_matches('/').to_owned();
        let mut above: Vec<String> = path.ancestors().skip(1).map(name).collect();
        above.reverse();
        for directory in above.into_iter().filter(|directory| !directory.is_empty()) {
            if self.directories.insert(directory.clone()) {
                self.entry(&directory, &Kind { mode: DIRECTORY, ..Kind::default() }, &[]);
            }
        }
        name(path)
    }

    fn entry(&mut self, name: &str, kind: &Kind, content: &[u8]) {
        self.entries += 1;
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (major, minor) = kind.device;
        // Number, mode, owner, group, links, time, size, device, device named, length of the name, checksum.
        let fields = [
            self.entries,
            kind.mode,
            0,
            0,
            1,
            0,
            size(content.len()),
            0,
            0,
            major,
            minor,
            size(name.len() + 1),
            0,
        ];
        self.bytes.extend(b"070701");
        self.bytes.extend(fields.map(|field| format!("{field:08x}")).concat().bytes());
        self.bytes.extend(name.bytes().chain([0]));
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_after_its_directories_and_all_is_aligned() {
        let mut cpio = Cpio::default();
        cpio.file(Path::new("/a/b"), b"content");
        cpio.file(Path::new("/a/c"), b"");
        let bytes = cpio.finish();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let starts: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.iter().all(|at| at % 4 == 0));
        let names: Vec<&str> = starts.iter().map(|at| text[at + 110..].split('\0').next().unwrap()).collect();
        assert_eq!(names, ["a", "a/b", "a/c", LAST]);
        assert_eq!(&text[starts[1]..starts[1] + 22], "07070100000002000081ed");
    }
}
