//! All entries of a hash map of the kernel: `BPF_MAP_LOOKUP_BATCH`, a bucket of the table at a time or more, so that
//! an entry which is there throughout is found once. aya has no call for it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use bytemuck::Pod;

/// Entries that are read by one system call, to begin with.
const BATCH: usize = 8192;
/// The most: a bucket of the kernel's table that has more is taken for a defect.
const LARGEST_BATCH: usize = 1 << 20;

/// The entries of a map whose keys and values are of these types.
///
/// # Errors
/// What the kernel said.
pub(super) fn all<K: Pod, V: Pod>(map: &impl AsFd) -> io::Result<Vec<(K, V)>> {
    let (mut all, mut position, mut size) = (Vec::new(), None, BATCH);
    loop {
        let mut batch = Batch::new(size);
        match batch.read(map.as_fd().as_raw_fd(), &mut position) {
            Read::More => all.extend(batch.entries()),
            Read::Last => {
                all.extend(batch.entries());
                return Ok(all);
            }
            Read::TooSmall if size < LARGEST_BATCH => size *= 2,
            Read::TooSmall => return Err(io::ErrorKind::OutOfMemory.into()),
            Read::Failed(error) => return Err(error),
        }
    }
}

/// The part of `union bpf_attr` for batches (`linux/bpf.h`).
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// What a call came to.
enum Read {
    /// There is more.
    More,
    /// That was all.
    Last,
    /// A bucket has more than there was room for.
    TooSmall,
    /// The kernel refused.
    Failed(io::Error),
}

/// Room for some entries.
struct Batch<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
    read: usize,
}

impl<K: Pod, V: Pod> Batch<K, V> {
    fn new(size: usize) -> Self {
        Self { keys: vec![K::zeroed(); size], values: vec![V::zeroed(); size], read: 0 }
    }

    fn entries(&self) -> impl Iterator<Item = (K, V)> + '_ {
        self.keys.iter().copied().zip(self.values.iter().copied()).take(self.read)
    }

    /// Reads on from `position`, which is the kernel's word for a bucket.
    fn read(&mut self, map: i32, position: &mut Option<u32>) -> Read {
        const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
        let (before, mut after) = (*position, 0_u32);
        let mut attributes = Attributes {
            in_batch: before.as_ref().map_or(0, |position| std::ptr::from_ref(position) as u64),
            out_batch: (&raw mut after) as u64,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: u32::try_from(self.keys.len()).unwrap_or(u32::MAX),
            map_fd: map.cast_unsigned(),
            ..Attributes::default()
        };
        // SAFETY: the attributes are laid out as the kernel defines them and zero where they are not set; every
        // pointer in them is to memory that outlives the call: the words before and after, and room for `count`
        // keys and values of the map's own sizes.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, &raw mut attributes, size_of::<Attributes>())
        };
        self.read = (attributes.count as usize).min(self.keys.len());
        if result == 0 {
            *position = Some(after);
            return Read::More;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOENT) => Read::Last,
            Some(libc::ENOSPC) => Read::TooSmall,
            _ => Read::Failed(error),
        }
    }
}
