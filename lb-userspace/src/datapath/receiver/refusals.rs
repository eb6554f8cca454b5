//! The connections that a node refused.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use aya::maps::{Map, MapData, MapError, PerCpuHashMap};
use lb_common::abi::{REFUSALS, RefusedKey, receiver_map};

use super::maps::typed;
use crate::datapath::maps::{MapsError, Wire};
use crate::datapath::pins::Pins;

/// Entries that are read at most: one that is pushed out while it is read lets the kernel begin again.
const MOST: usize = 8 * REFUSALS as usize;

/// Their map, to be looked at.
pub struct Refusals {
    map: PerCpuHashMap<MapData, Wire<RefusedKey>, u64>,
}

impl Refusals {
    /// Opens the pin.
    ///
    /// # Errors
    /// [`MapsError`] if there is none, or of another kind.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self { map: typed(pins, receiver_map::REFUSALS, Map::PerCpuLruHashMap)? })
    }

    /// How often each was refused, over all CPUs. One that is pushed out meanwhile may be missing.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn all(&self) -> io::Result<Vec<(RefusedKey, u64)>> {
        let mut all = BTreeMap::new();
        for key in self.map.keys().take(MOST) {
            let Wire(key) = key.map_err(io::Error::other)?;
            match self.map.get(&Wire(key), 0) {
                Ok(counts) => _ = all.insert(order(&key), (key, counts.iter().sum())),
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(all.into_values().collect())
    }
}

fn order(key: &RefusedKey) -> (IpAddr, u16, u32) {
    (key.address.into(), key.port.get(), key.protocol)
}
