//! Who has which QUIC server id: the `quic_servers` map.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::abi::{QuicKey, QuicServer, map};

use super::batch;
use super::maps::{MapsError, Wire, open, path};
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
        let failed = |source| MapsError::Open { name, path: path(pins, name), source };
        let data = open(pins, name)?;
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError).map_err(failed)?;
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
