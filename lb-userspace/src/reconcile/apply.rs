//! The plan's operations, performed in order.

use super::Maps;
use super::access::{grant, revoke};
use super::diff::{read, words_of};
use super::plan::{Op, plan};
use crate::compile::MapImage;
use lb_common::abi::{BackendEntry, BackendFlags, map};
use std::io;

/// Makes the maps hold the image, and returns the number of operations that took; 0: they held it.
///
/// # Errors
/// What the kernel said of access prefixes.
pub fn reconcile(image: &MapImage, maps: &mut impl Maps) -> io::Result<usize> {
    let unwanted = grant(image, maps, false)?;
    let ops = plan(image, maps);
    for op in &ops {
        perform(op, maps);
    }
    revoke(&unwanted, maps)?;
    Ok(ops.len())
}

/// Performs one operation.
pub fn perform(op: &Op, maps: &mut impl Maps) {
    match op {
        Op::Store { map, words, .. } => words.iter().for_each(|&(word, value)| maps.store(map, word, value)),
        Op::QuicServers { servers, .. } => {
            servers.iter().for_each(|(key, server)| maps.set_quic_server(key, *server));
        }
        Op::Grace => maps.grace(),
    }
}

/// Marks a backend as not serving by one store: its rows fall back to others until the next tables are there.
pub fn mark_down(maps: &mut impl Maps, backend: u16) {
    let mut entry: BackendEntry = read(maps, map::BACKENDS, backend.into());
    entry.route.flags = entry.route.flags.without(BackendFlags::SERVES);
    let word = usize::from(backend) * words_of::<BackendEntry>();
    if word < maps.words(map::BACKENDS) {
        maps.store(map::BACKENDS, word, bytemuck::cast(entry.route));
    }
}
