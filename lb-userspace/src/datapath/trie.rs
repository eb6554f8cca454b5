//! A trie of prefixes in the kernel: those of access policies, or a receiver's gateways.

use std::io;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData, MapError};
use lb_common::abi::{AccessFlags, AccessKey};

use super::maps::{MapsError, Wire, open};
use super::pins::Pins;

/// A key behind its first word, which is the length.
type Rest = [u8; 20];

/// The map, opened.
#[derive(Debug)]
pub(super) struct Trie(LpmTrie<MapData, Rest, Wire<AccessFlags>>);

impl Trie {
    pub(super) fn open(pins: &Pins, name: &'static str) -> Result<Self, MapsError> {
        let failed = MapsError::opening(pins, name);
        Map::LpmTrie(open(pins, name)?).try_into().map(Self).map_err(failed)
    }

    /// What the longest prefix says that holds the key. An error is a look-up that found none.
    pub(super) fn longest(&self, source: &AccessKey) -> Option<AccessFlags> {
        self.0.get(&split(source), 0).ok().map(|Wire(flags)| flags)
    }

    pub(super) fn all(&self) -> io::Result<Vec<(AccessKey, AccessFlags)>> {
        let entry = |(key, Wire(flags))| (join(&key), flags);
        self.0.iter().map(|read| read.map(entry).map_err(io::Error::other)).collect()
    }

    pub(super) fn put(&mut self, key: &AccessKey, flags: AccessFlags) -> io::Result<()> {
        self.0.insert(&split(key), Wire(flags), 0).map_err(io::Error::other)
    }

    pub(super) fn remove(&mut self, key: &AccessKey) -> io::Result<()> {
        match self.0.remove(&split(key)) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn split(key: &AccessKey) -> Key<Rest> {
    let Bytes { length, rest } = bytemuck::cast(*key);
    Key::new(u32::from_ne_bytes(length), rest)
}

fn join(key: &Key<Rest>) -> AccessKey {
    bytemuck::cast(Bytes { length: key.prefix_len().to_ne_bytes(), rest: key.data() })
}

/// The key, in the two parts that aya knows.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Bytes {
    length: [u8; 4],
    rest: Rest,
}
