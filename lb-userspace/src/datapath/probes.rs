//! Where packets of probes through tunnels go: the `probes` map.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::abi::{ProbeEntry, ProbeMark, map};

use super::batch;
use super::maps::{MapsError, Wire, open_with_fd};
use super::pins::Pins;

/// The map.
pub struct Probes {
    map: HashMap<MapData, u32, Wire<ProbeEntry>>,
    /// For what aya has no call for.
    fd: OwnedFd,
}

impl Probes {
    /// Opens the pin.
    ///
    /// # Errors
    /// [`MapsError`] if it is not there, or of another kind.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let name = map::PROBES;
        let failed = MapsError::opening(pins, name);
        let (data, fd) = open_with_fd(pins, name)?;
        Ok(Self { map: Map::HashMap(data).try_into().map_err(failed)?, fd })
    }

    /// All entries.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn all(&self) -> io::Result<BTreeMap<ProbeMark, ProbeEntry>> {
        let held: Vec<(u32, ProbeEntry)> = batch::all(&self.fd)?;
        let probe = |(mark, probe)| Some((ProbeMark::of_packet(mark)?, probe));
        Ok(held.into_iter().filter_map(probe).collect())
    }

    /// Makes it hold these and no others.
    ///
    /// # Errors
    /// What the kernel said; some of it may be done.
    pub fn hold(&mut self, wanted: &BTreeMap<ProbeMark, ProbeEntry>) -> io::Result<()> {
        let held = self.all()?;
        for mark in held.keys().filter(|mark| !wanted.contains_key(mark)) {
            match self.map.remove(&mark.number()) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        for (mark, probe) in wanted.iter().filter(|(mark, probe)| held.get(mark) != Some(probe)) {
            self.map.insert(mark.number(), Wire(*probe), 0).map_err(io::Error::other)?;
        }
        Ok(())
    }
}
