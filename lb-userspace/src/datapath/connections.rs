//! The recorded connections: all at once, one, or one less.

use std::io;
use std::os::fd::OwnedFd;

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::abi::{Connection, map};

use super::batch;
use super::maps::{MapsError, Wire, open_with_fd};
use super::pins::Pins;

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
        let failed = MapsError::opening(pins, name);
        let (data, fd) = open_with_fd(pins, name)?;
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

    /// All connections, by their keys; one that is there throughout is found once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn all(&self) -> io::Result<Vec<(u64, Connection)>> {
        batch::all(&self.fd)
    }
}
