//! The ways to other nodes: what the program goes by, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use aya::maps::{HashMap, Map, MapData, MapError};
use lb_common::abi::{NodeHop, receiver_map};
use lb_common::net::Address;

use super::maps::typed;
use crate::datapath::maps::{MapsError, Wire};
use crate::datapath::pins::Pins;

/// The two maps.
pub struct NodeHops {
    hops: HashMap<MapData, Wire<Address>, Wire<NodeHop>>,
    wanted: HashMap<MapData, Wire<Address>, u32>,
}

impl NodeHops {
    /// Opens the pins.
    ///
    /// # Errors
    /// [`MapsError`] if one is not there, or of another kind.
    pub fn open(pins: &Pins) -> Result<Self, MapsError> {
        Ok(Self {
            hops: typed(pins, receiver_map::NODE_HOPS, Map::HashMap)?,
            wanted: typed(pins, receiver_map::WANTED_HOPS, Map::LruHashMap)?,
        })
    }

    /// What the program goes by, by node; the unspecified address of a family stands for all others
    /// ([`NodeHop::ANY_V4`], [`NodeHop::ANY_V6`]).
    ///
    /// # Errors
    /// What the kernel said.
    pub fn held(&self) -> io::Result<BTreeMap<IpAddr, NodeHop>> {
        let entries = self.hops.iter().map(|entry| entry.map(|(Wire(node), Wire(hop))| (node.into(), hop)));
        entries.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    /// Makes an entry what it should be; `None`: not there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn set(&mut self, node: IpAddr, hop: Option<NodeHop>) -> io::Result<()> {
        let node = Wire(Address::from(node));
        match hop {
            Some(hop) => self.hops.insert(node, Wire(hop), 0).map_err(io::Error::other),
            None => absent(self.hops.remove(&node)),
        }
    }

    /// Nodes to which the program had no way of their own.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn wanted(&self) -> io::Result<BTreeSet<IpAddr>> {
        let keys = self.wanted.keys().map(|key| key.map(|Wire(node)| node.into()));
        keys.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    /// The same, and forgets them, so that what is there the next time was wanted since.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn take_wanted(&mut self) -> io::Result<BTreeSet<IpAddr>> {
        let wanted = self.wanted()?;
        wanted.iter().try_for_each(|node| absent(self.wanted.remove(&Wire(Address::from(*node)))))?;
        Ok(wanted)
    }
}

fn absent(removed: Result<(), MapError>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}
