//! Reconcile: from what the maps should hold to what they do hold.
//!
//! [`plan`] is pure: an ordered difference between an image and what the kernel *holds*, not what was last
//! written. [`apply`] walks it. Between any two operations every flow finds the backend it had before or one
//! it has after, and none that stands for something else.

mod access;
pub mod apply;
mod diff;
mod emptied;
mod held;
pub mod memory;
pub mod plan;
mod rouse;
#[cfg(test)]
mod tests;
mod tunnel_key;

pub use access::{grant, revoke};
pub use apply::{mark_down, perform, reconcile};
pub use memory::MemoryMaps;
pub use plan::{Op, Step, plan};

use lb_common::abi::{AccessFlags, AccessKey, QuicKey, QuicServer};
use std::collections::BTreeMap;
use std::io;

/// The maps' 64-bit words, by the maps' names in [`lb_common::abi::map`], and the two keyed maps that are reconciled.
pub trait KernelView {
    /// Number of words of a map; 0 if there is no such map.
    fn words(&self, map: &'static str) -> usize;

    /// A word as the kernel holds it; 0 beyond the end.
    fn load(&self, map: &'static str, word: usize) -> u64;

    /// Reads words from `first` on. To be overridden where finding the map takes longer than reading a word.
    fn read(&self, map: &'static str, first: usize, words: &mut [u64]) {
        for (word, value) in (first..).zip(words) {
            *value = self.load(map, word);
        }
    }

    /// The entries of `quic_servers`.
    fn quic_servers(&self) -> BTreeMap<QuicKey, QuicServer>;
}

/// Maps that can be changed. One owner at a time stores to them.
pub trait Maps: KernelView {
    /// Stores a word as one. Stores become visible to the kernel program in the order in which they are made.
    fn store(&mut self, map: &'static str, word: usize, value: u64);

    /// Gives a key of `quic_servers` its server, or takes the entry away.
    fn set_quic_server(&mut self, key: &QuicKey, server: Option<QuicServer>);
    /// All prefixes of access policies.
    ///
    /// # Errors
    /// What the kernel said.
    fn prefixes(&self) -> io::Result<Vec<(AccessKey, AccessFlags)>>;

    /// Adds a prefix, or changes what becomes of its sources.
    ///
    /// # Errors
    /// What the kernel said.
    fn put_prefix(&mut self, key: &AccessKey, flags: AccessFlags) -> io::Result<()>;

    /// Takes a prefix away, if it is there.
    ///
    /// # Errors
    /// What the kernel said.
    fn remove_prefix(&mut self, key: &AccessKey) -> io::Result<()>;

    /// Returns once every packet that the program began with before is finished.
    fn grace(&mut self);
}
