//! The flows that a receiver remembers.

use std::io;

use aya::maps::MapData;
use lb_common::abi::{Owned, OwnedKey, receiver_map};

use crate::datapath::batch;
use crate::datapath::maps::{MapsError, check, open};
use crate::datapath::pins::Pins;

/// Their map, to be looked at.
pub struct OwnedFlows {
    map: MapData,
    capacity: u32,
}

impl OwnedFlows {
    /// Opens the pin.
    ///
    /// # Errors
    /// [`MapsError::Open`] if there is none.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let name = receiver_map::OWNED_FLOWS;
        let map = open(pins, name)?;
        let info = map.info().map_err(MapsError::opening(pins, name))?;
        Ok(Self { capacity: info.max_entries(), map })
    }

    /// Whether the pinned map has room for so many.
    ///
    /// # Errors
    /// [`MapsError::Shape`] if it has not.
    pub(super) fn check(pins: &Pins, flows: u32) -> Result<(), MapsError> {
        check(pins, receiver_map::OWNED_FLOWS, Some(flows), size_of::<Owned>()).map(drop)
    }

    /// How many there is room for.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// All of them; to look does not count as use. One that is pushed out meanwhile may be missing.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn all(&self) -> io::Result<Vec<(OwnedKey, Owned)>> {
        batch::all(&self.map.fd())
    }
}
