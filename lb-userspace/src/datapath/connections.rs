//! The recorded connections: all at once, one, or one less.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::maps::{HashMap, Map, MapData, MapError};
use bytemuck::Zeroable as _;
use lb_common::abi::{Connection, map};

use super::maps::{MapsError, Wire, open, path};
use super::pins::Pins;

/// Connections that are read by one system call, to begin with.
const BATCH: usize = 8192;
/// The most: a bucket of the kernel's table that has more is taken for a defect.
const LARGEST_BATCH: usize = 1 << 20;

/// The map of connections.
pub struct Connections {
    map: HashMap<MapData, u64, Wire<Connection>>,
    capacity: u32,
    /// For what aya has no call for.
    fd: OwnedFd,
}

impl Connections {
    /// Opens the pin.
    ///
    /// # Errors
    /// [`MapsError::Open`] if there is none, or another kind of map.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let name = map::CONNECTIONS;
        let failed = |source| MapsError::Open { name, path: path(pins, name), source };
        let data = open(pins, name)?;
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError).map_err(failed)?;
        let capacity = data.info().map_err(failed)?.max_entries();
        let map = Map::LruHashMap(data).try_into().map_err(failed)?;
        Ok(Self { map, capacity, fd })
    }

    /// How many there are, and how many fit.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn count(&self) -> io::Result<(u64, u64)> {
        Ok((self.all()?.len() as u64, self.capacity.into()))
    }

    /// The connection under a key. To look does not count as use.
    pub fn get(&self, key: u64) -> Option<Connection> {
        self.map.get(&key, 0).ok().map(|Wire(connection)| connection)
    }

    /// Removes connections, unless they are other than they were a moment ago: then a packet came.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn remove(&mut self, over: &[(u64, Connection)]) -> Result<(), MapError> {
        over.iter().try_for_each(|(key, judged)| {
            if self.get(*key).as_ref() != Some(judged) {
                return Ok(());
            }
            match self.map.remove(key) {
                Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// All connections, by their keys: `BPF_MAP_LOOKUP_BATCH`, a bucket of the table at a time or more, so that
    /// one which is there throughout is found once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn all(&self) -> io::Result<Vec<(u64, Connection)>> {
        let (mut all, mut position, mut size) = (Vec::new(), None, BATCH);
        loop {
            let mut batch = Batch::new(size);
            match batch.read(self.fd.as_fd().as_raw_fd(), &mut position) {
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

/// Room for some connections.
struct Batch {
    keys: Vec<u64>,
    values: Vec<Connection>,
    read: usize,
}

impl Batch {
    fn new(size: usize) -> Self {
        Self { keys: vec![0; size], values: vec![Connection::zeroed(); size], read: 0 }
    }

    fn entries(&self) -> impl Iterator<Item = (u64, Connection)> + '_ {
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
