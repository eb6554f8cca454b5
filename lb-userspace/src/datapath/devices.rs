//! The interfaces that the program may send packets out of: the `devices` map.
//!
//! A packet that leaves by the interface it came in on needs no entry. One that leaves by another is
//! redirected, and a redirect to an interface without an entry loses the packet (`XDP_ABORTED`). So an
//! interface gets its entry before the first backend names it, and loses it once no packet under way can.
//!
//! An entry is not all that a redirect needs: the egress driver must transmit XDP frames
//! (`ndo_xdp_xmit`). Most drivers with native XDP do, some of them only while a program is attached to the
//! egress interface too (list it under `gateway.interfaces`); a veth does only if its peer runs a program or
//! has NAPI on. The kernel does not say so beforehand, nor does the map: such packets are lost, and
//! counted by the kernel's tracepoint `xdp:xdp_devmap_xmit`. In generic mode any driver will do.

use std::collections::BTreeSet;

use aya::maps::xdp::XdpMapError;
use aya::maps::{DevMapHash, Map, MapData, MapError};
use lb_common::abi::map;
use thiserror::Error;

use super::maps::{MapsError, open};
use super::pins::Pins;

/// Why packets cannot be sent out of an interface.
#[derive(Debug, Error)]
#[error("no packet can be redirected to interface index {interface}: {source}")]
pub struct AdmitError {
    interface: u32,
    source: XdpMapError,
}

/// The `devices` map, to be changed.
pub struct Devices {
    map: DevMapHash<MapData>,
}

impl Devices {
    /// Opens the pin.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        let map = Map::DevMapHash(open(pins, map::DEVICES)?);
        let refused = MapsError::opening(pins, map::DEVICES);
        Ok(Self { map: map.try_into().map_err(refused)? })
    }

    /// Lets packets out of an interface of this network namespace; again, if the kernel took the entry away
    /// because the interface was gone for a while.
    ///
    /// # Errors
    /// If there is no such interface, or the map is full.
    pub fn admit(&mut self, interface: u32) -> Result<(), AdmitError> {
        // To write an entry again would lose the packet that looks it up in the middle of it.
        if self.map.get(interface, 0).is_ok_and(|entry| entry.if_index == interface) {
            return Ok(());
        }
        self.map.insert(interface, interface, None, 0).map_err(|source| AdmitError { interface, source })
    }

    /// The interfaces that packets are let out of, as the kernel holds them.
    pub fn admitted(&self) -> BTreeSet<u32> {
        // An entry that goes while the map is walked ends the walk early; the next walk sees the rest.
        self.map.keys().flatten().collect()
    }

    /// Lets no more packets out of an interface.
    ///
    /// # Errors
    /// What the kernel said; that there is no such entry is no error.
    pub fn dismiss(&mut self, interface: u32) -> Result<(), MapError> {
        match self.map.remove(interface) {
            Err(MapError::SyscallError(error)) if error.io_error.kind() != std::io::ErrorKind::NotFound => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}
