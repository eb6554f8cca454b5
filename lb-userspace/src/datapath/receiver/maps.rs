//! The receiver's maps, opened from their pins.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use lb_common::abi::{
    Accepted, AccessFlags, AccessKey, EPOCHS, KnownKey, RECEIVER_STATE_WORDS, TunnelCounters, TunnelKey,
    TunnelKind, receiver_map,
};
use lb_common::net::Address;
use lb_common::reason::ReceiverReason;

use crate::compile::ReceiverImage;
use crate::datapath::mapping::{Access, Mapping};
use crate::datapath::maps::{MapsError, Wire, mapping, open, per_cpu, sum};
use crate::datapath::pins::Pins;
use crate::datapath::trie::Trie;

/// All maps.
pub struct ReceiverMaps {
    accepted: Array<MapData, Wire<Accepted>>,
    own: HashMap<MapData, Wire<Address>, u32>,
    peers: Trie,
    keys: Array<MapData, Wire<KnownKey>>,
    taken: PerCpuArray<MapData, Wire<TunnelCounters>>,
    reasons: PerCpuArray<MapData, u64>,
    clamped: PerCpuArray<MapData, u64>,
    /// The agent's own.
    pub state: Mapping,
}

impl ReceiverMaps {
    /// Opens the pins.
    ///
    /// # Errors
    /// [`MapsError`] if one is not there, or of another kind or size.
    pub fn open(pins: &Pins, access: Access) -> Result<Self, MapsError> {
        let words = Some(RECEIVER_STATE_WORDS);
        Ok(Self {
            accepted: typed(pins, receiver_map::ACCEPTED, Map::Array)?,
            own: typed(pins, receiver_map::OWN_ADDRESSES, Map::HashMap)?,
            peers: Trie::open(pins, receiver_map::PEERS)?,
            keys: typed(pins, receiver_map::TUNNEL_KEYS, Map::Array)?,
            taken: per_cpu(pins, receiver_map::TUNNEL_STATS)?,
            reasons: per_cpu(pins, receiver_map::RECEIVER_STATS)?,
            clamped: per_cpu(pins, receiver_map::CLAMP_STATS)?,
            state: mapping(pins, receiver_map::STATE, words, size_of::<u64>(), access)?,
        })
    }

    /// What the program goes by.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn image(&self) -> io::Result<ReceiverImage> {
        let Wire(accepted) = self.accepted.get(&0, 0).map_err(io::Error::other)?;
        let own = self.own()?;
        let peers = self.peers.all()?.into_iter().filter(admitted).map(|(key, _)| key).collect();
        Ok(ReceiverImage { accepted, own, peers, keys: self.tunnel_keys()? })
    }

    /// The addresses that it takes for the node's own.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn own(&self) -> io::Result<BTreeSet<IpAddr>> {
        let own = self.own.keys().map(|key| key.map(|Wire(address)| IpAddr::from(address)));
        own.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    fn tunnel_keys(&self) -> io::Result<BTreeMap<u8, TunnelKey>> {
        let mut keys = BTreeMap::new();
        for epoch in 0..=u8::MAX {
            let Wire(held) = self.keys.get(&epoch.into(), 0).map_err(io::Error::other)?;
            if held.known != 0 {
                keys.insert(epoch, held.key);
            }
        }
        Ok(keys)
    }

    /// Makes the program go by `wanted`, entry by entry: all that is new first, so that what stays is never
    /// missing. How many entries changed.
    ///
    /// # Errors
    /// What the kernel said. Some of it may be done; to hold what was held before undoes that.
    pub fn hold(&mut self, wanted: &ReceiverImage) -> io::Result<usize> {
        let held = self.image()?;
        let (peers, own) = (&wanted.peers - &held.peers, &wanted.own - &held.own);
        let keys = wanted.keys.iter().filter(|(epoch, key)| held.keys.get(epoch) != Some(key));
        let mut changes = peers.len() + own.len();
        peers.iter().try_for_each(|peer| self.peers.put(peer, AccessFlags::default()))?;
        own.iter().try_for_each(|address| self.add_own(*address))?;
        for (epoch, key) in keys {
            self.set_key(*epoch, KnownKey { known: 1, key: *key })?;
            changes += 1;
        }
        if held.accepted != wanted.accepted {
            self.accepted.set(0, Wire(wanted.accepted), 0).map_err(io::Error::other)?;
            changes += 1;
        }
        Ok(changes + self.remove_others(&held, wanted)?)
    }

    fn remove_others(&mut self, held: &ReceiverImage, wanted: &ReceiverImage) -> io::Result<usize> {
        // Also such that admit nobody.
        let peers = self.peers.all()?.into_iter().map(|(key, _)| key);
        let peers: Vec<_> = peers.filter(|key| !wanted.peers.contains(key)).collect();
        let own = &held.own - &wanted.own;
        peers.iter().try_for_each(|peer| self.peers.remove(peer))?;
        own.iter().try_for_each(|address| self.remove_own(*address))?;
        let keys: Vec<_> = held.keys.keys().filter(|epoch| !wanted.keys.contains_key(epoch)).collect();
        keys.iter().try_for_each(|epoch| self.set_key(**epoch, KnownKey::default()))?;
        Ok(peers.len() + own.len() + keys.len())
    }

    fn set_key(&mut self, epoch: u8, key: KnownKey) -> io::Result<()> {
        const { assert!(EPOCHS > u8::MAX as u32) }
        self.keys.set(epoch.into(), Wire(key), 0).map_err(io::Error::other)
    }

    fn add_own(&mut self, address: IpAddr) -> io::Result<()> {
        self.own.insert(Wire(Address::from(address)), 0, 0).map_err(io::Error::other)
    }

    fn remove_own(&mut self, address: IpAddr) -> io::Result<()> {
        match self.own.remove(&Wire(Address::from(address))) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// What was taken out of tunnels of a kind, over all CPUs.
    pub fn taken(&self, kind: TunnelKind) -> TunnelCounters {
        sum(&self.taken, kind as u32, |total: &mut TunnelCounters, Wire(part)| {
            total.packets += part.packets;
            total.bytes += part.bytes;
        })
    }

    /// Packets that ended for a reason, over all CPUs.
    pub fn reason_count(&self, reason: ReceiverReason) -> u64 {
        sum(&self.reasons, reason as u32, |total, part| *total += part)
    }

    /// Answers to SYNs that were made to ask for less, over all CPUs.
    pub fn clamped(&self) -> u64 {
        sum(&self.clamped, 0, |total, part| *total += part)
    }
}

fn admitted((_, flags): &(AccessKey, AccessFlags)) -> bool {
    *flags == AccessFlags::default()
}

/// A pinned map as what it is.
pub(super) fn typed<T: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
    kind: fn(MapData) -> Map,
) -> Result<T, MapsError> {
    let failed = MapsError::opening(pins, name);
    kind(open(pins, name)?).try_into().map_err(failed)
}
