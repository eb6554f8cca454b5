//! A BPF array map, memory-mapped: its words are read and stored without a system call.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// May the words be stored to?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look only.
    Read,
    /// Look and change.
    Write,
}

/// The words of a map. The kernel program reads them at the same time.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
    access: Access,
}

// SAFETY: the memory is shared with the kernel anyway and touched only through atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` 64-bit words of an array that was made memory-mappable.
    pub fn new(map: impl AsFd, words: usize, access: Access) -> io::Result<Self> {
        let length = NonZeroUsize::new(words * size_of::<u64>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let protection = match access {
            Access::Read => ProtFlags::PROT_READ,
            Access::Write => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours, and the
        // kernel refuses a length beyond the map's.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start: start.cast(), words, access })
    }

    /// All words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping covers `words` words until it is dropped, and a page is aligned for them.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }

    /// Reads a word; 0 beyond the end.
    pub fn load(&self, word: usize) -> u64 {
        self.words().get(word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Stores a word. Stores become visible to the kernel program in their order. One beyond the end, or to a
    /// mapping for reading, is an error of the caller and changes nothing.
    pub fn store(&self, word: usize, value: u64) {
        debug_assert!(self.access == Access::Write && word < self.words);
        if self.access == Access::Write
            && let Some(word) = self.words().get(word)
        {
            word.store(value, Ordering::Release);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that was mapped, and no borrow of it outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.words * size_of::<u64>()) };
        debug_assert!(unmapped.is_ok());
    }
}
