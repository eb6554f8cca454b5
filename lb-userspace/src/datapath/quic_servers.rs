//! Who has which QUIC server id: the `quic_servers` map.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::abi::{QuicKey, QuicServer, map};

use super::batch;
use super::maps::{MapsError, Wire, open_with_fd};
use super::pins::Pins;

/// The map.
pub(super) struct QuicServers {
    map: HashMap<MapData, Wire<QuicKey>, Wire<QuicServer>>,
    /// For what aya has no call for.
    fd: OwnedFd,
}

impl QuicServers {
    /// Opens the pin.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapsError> {
        let name = map::QUIC_SERVERS;
        let failed = MapsError::opening(pins, name);
        let (data, fd) = open_with_fd(pins, name)?;
        Ok(Self { map: Map::HashMap(data).try_into().map_err(failed)?, fd })
    }

    /// All entries.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn all(&self) -> io::Result<BTreeMap<QuicKey, QuicServer>> {
        Ok(batch::all(&self.fd)?.into_iter().collect())
    }

    /// Gives a key its server, or takes the entry away; that there is none is no error.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn set(&mut self, key: &QuicKey, server: Option<QuicServer>) -> Result<(), MapError> {
        match server {
            Some(server) => self.map.insert(Wire(*key), Wire(server), 0),
            None => match self.map.remove(&Wire(*key)) {
                Err(MapError::KeyNotFound) => Ok(()),
                result => result,
            },
        }
    }
}
