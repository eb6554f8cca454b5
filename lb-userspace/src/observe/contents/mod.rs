//! The maps' content, decoded entry by entry, as `maps dump` and `maps get` print it. Needs no agent, and but
//! for `state` no record: indices stay indices.
//!
//! A dump leaves out what nobody wrote: entries of zeros. Where zeros mean something (rows that belong to
//! index 0, a service whose one pool is pool 0), the entry is in the dump if another map names it.

mod access;
mod decoded;
mod live;
#[cfg(test)]
mod tests;
mod vip;

pub use decoded::{Decoded, Entry, Key};
pub use live::Live;

use lb_common::abi::{
    AccessFlags, AccessKey, Budget, Connection, FragmentEntry, ProbeEntry, ProbeMark, SourceBucket,
    SourceKey, map,
};
use lb_common::reason::Reason;
use thiserror::Error;

use super::next_hop::InterfaceName;
use super::published::Published;
use super::view::Counts;
use crate::reconcile::MemoryMaps;

/// Everything that lies in the maps.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// What the program looks up.
    pub snapshot: &'a MemoryMaps,
    /// What it counted.
    pub counts: &'a dyn Counts,
    /// Entries of `service_stats`.
    pub service_stats: u32,
    /// Entries of `backend_stats` and `evidence`.
    pub backend_stats: u32,
    /// Keys of `devices`.
    pub devices: &'a [u32],
    /// What `connections` holds.
    pub connections: &'a [(u64, Connection)],
    /// What `fragments` holds, by key.
    pub fragments: &'a [(u64, FragmentEntry)],
    /// What `budgets` holds, by [`lb_common::abi::Insert`] and [`lb_common::abi::Reply`].
    pub budgets: &'a [Budget],
    /// What `access_prefixes` holds.
    pub prefixes: &'a [(AccessKey, AccessFlags)],
    /// What `source_buckets` holds.
    pub buckets: &'a [(SourceKey, SourceBucket)],
    /// What `probes` holds, by mark.
    pub probes: &'a [(ProbeMark, ProbeEntry)],
    /// What `state` says; `None`: nothing yet.
    pub published: Option<&'a Published>,
    /// Names of interfaces.
    pub interface_name: InterfaceName<'a>,
}

/// Why there is no such entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoEntry {
    /// The key is not of the map's kind.
    #[error("`{key}` is no key of {map}; use {expected}")]
    Key {
        /// What was given.
        key: String,
        /// Name of the map.
        map: &'static str,
        /// What a key looks like.
        expected: &'static str,
    },
    /// Nothing lies there.
    #[error("{map} has no entry {key}; {mend}")]
    Absent {
        /// What was given.
        key: String,
        /// Name of the map.
        map: &'static str,
        /// Where to look.
        mend: String,
    },
}

impl<'a> Contents<'a> {
    /// Entries of a map in order of their keys.
    pub fn dump(self, name: &'static str) -> Box<dyn Iterator<Item = Entry> + 'a> {
        let live = Live::of(self.snapshot);
        match name {
            map::REASON_STATS => {
                let counted = Reason::ALL.iter().filter(move |reason| self.counts.reason(**reason) > 0);
                Box::new(counted.map(move |reason| self.reason(*reason)))
            }
            map::DEVICES => Box::new(self.devices.iter().map(move |index| self.device(*index))),
            map::CONNECTIONS => Box::new(self.connections.iter().map(Entry::of_connection)),
            map::FRAGMENTS => Box::new(self.fragments.iter().map(Entry::of_fragment)),
            // The kernel gives no program out of it. Sampled flows are keys that nobody can read.
            map::PROGRAMS | map::SAMPLED_FLOWS => Box::new(std::iter::empty()),
            map::ACCESS_PREFIXES => Box::new(self.prefixes.iter().map(access::prefix)),
            map::SOURCE_BUCKETS => Box::new(self.buckets.iter().map(access::bucket)),
            map::BUDGETS => Box::new((0..).zip(self.budgets).map(Entry::of_budget)),
            map::TRACKING_STATS => Box::new(std::iter::once(Entry::of_tracking(self.counts.tracking()))),
            map::PROBE_STATS => Box::new(std::iter::once(Entry::of_probes(self.counts.probes()))),
            map::PROBES => {
                Box::new(self.probes.iter().map(move |probe| Entry::of_probe(probe, self.interface_name)))
            }
            map::QUIC_SERVERS => Box::new(self.snapshot.quic_servers.iter().map(Entry::of_quic_server)),
            map::STATE => Box::new(self.published.into_iter().flat_map(Entry::of_state)),
            _ => Box::new((0..self.length(name)).filter_map(move |index| {
                live.has(name, index, self).then(|| self.indexed(name, index)).flatten()
            })),
        }
    }

    /// One entry of a map, also one of zeros.
    pub fn get(self, name: &'static str, key: &str) -> Result<Entry, NoEntry> {
        match name {
            map::REASON_STATS => self.reason_named(key),
            map::STATE => self.state_named(key),
            map::CONNECTIONS => self.connection_under(key),
            map::FRAGMENTS => {
                let found = self.dump(name).find(|entry| entry.key == Key::Text(key.to_owned()));
                found.ok_or_else(|| absent(name, key, "see `maps dump fragments`"))
            }
            map::SAMPLED_FLOWS => Err(absent(name, key, "what they came to is in `evidence`")),
            map::PROGRAMS => Err(absent(name, key, "`bpftool prog` shows the programs of this machine")),
            map::QUIC_SERVERS => {
                let text = Key::Text(key.to_ascii_lowercase());
                let found = self.dump(name).find(|entry| entry.key == text);
                found.ok_or_else(|| {
                    absent(name, key, "write SERVICE/CONFIGURATION/SERVER-ID, as in `maps dump` of it")
                })
            }
            map::ACCESS_PREFIXES => access::find(self, key),
            map::SOURCE_BUCKETS => access::find_bucket(self, key),
            map::PROBES => {
                let found = self.dump(name).find(|entry| entry.key == Key::Text(key.to_ascii_lowercase()));
                found.ok_or_else(|| absent(name, key, "see `maps dump probes`"))
            }
            map::BUDGETS | map::TRACKING_STATS | map::PROBE_STATS => {
                let index = Key::Index(number(name, key)?);
                let found = self.dump(name).find(|entry| entry.key == index);
                found.ok_or_else(|| absent(name, key, "see `maps dump` of it"))
            }
            map::VIPS if key.parse::<u32>().is_err() => vip::find(self.snapshot, key),
            map::DEVICES => {
                let index = number(name, key)?;
                let found = self.devices.iter().find(|device| **device == index);
                found
                    .map(|index| self.device(*index))
                    .ok_or_else(|| absent(name, key, "see `maps dump devices`"))
            }
            _ => {
                let index = number(name, key)?;
                let mend = format!("keys end at {}", self.length(name).saturating_sub(1));
                self.indexed(name, index).ok_or_else(|| absent(name, key, &mend))
            }
        }
    }

    /// Entries of a map whose keys are indices.
    fn length(&self, name: &str) -> u32 {
        let snapshot = self.snapshot;
        let length = match name {
            map::CONTROL => snapshot.control.len(),
            map::VIP_FILTER => snapshot.filter.len(),
            map::VIPS => snapshot.vips.len(),
            map::PORT_RANGES => snapshot.ranges.len(),
            map::SERVICES => snapshot.services.len(),
            map::POOLS => snapshot.pools.len(),
            map::TABLES => snapshot.tables.len(),
            map::SLAB => snapshot.slab.len(),
            map::BACKENDS => snapshot.backends.len(),
            map::TUNNELS => snapshot.tunnels.len(),
            map::ACCESS_POLICIES => snapshot.access.len(),
            map::SERVICE_STATS => return self.service_stats,
            map::BACKEND_STATS | map::EVIDENCE => return self.backend_stats,
            _ => 0,
        };
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    /// The entry at an index, if the map has so many.
    fn indexed(&self, name: &str, index: u32) -> Option<Entry> {
        let (snapshot, at) = (self.snapshot, index as usize);
        let value = match name {
            map::CONTROL => Decoded::control(snapshot.control.get(at)?),
            map::VIP_FILTER => Decoded::filter(*snapshot.filter.get(at)?),
            map::VIPS => vip::bucket(snapshot, index)?,
            map::PORT_RANGES => vip::ranges(snapshot.ranges.get(at)?),
            map::SERVICES => Decoded::service(snapshot.services.get(at)?),
            map::POOLS => Decoded::pool(*snapshot.pools.get(at)?),
            map::TABLES => Decoded::table(snapshot.tables.get(at)?),
            map::SLAB => Decoded::rows(*snapshot.slab.get(at)?),
            map::BACKENDS => Decoded::backend(snapshot.backends.get(at)?, self.interface_name),
            map::TUNNELS => Decoded::tunnel(snapshot.tunnels.get(at)?),
            map::ACCESS_POLICIES => access::policy(snapshot.access.get(at)?),
            map::SERVICE_STATS if index < self.service_stats => self.counts.service(index).into(),
            map::EVIDENCE if index < self.backend_stats => self.counts.evidence(index).into(),
            map::BACKEND_STATS if index < self.backend_stats => self.counts.backend(index).into(),
            _ => return None,
        };
        Some(Entry { key: Key::Index(index), value })
    }

    fn device(&self, index: u32) -> Entry {
        Entry { key: Key::Index(index), value: Decoded::Device { interface: (self.interface_name)(index) } }
    }

    fn reason(&self, reason: Reason) -> Entry {
        Entry::of_reason(reason, self.counts.reason(reason))
    }

    fn connection_under(&self, key: &str) -> Result<Entry, NoEntry> {
        let expected = "a key in hexadecimal, as in `maps dump connections`";
        let digits = key.strip_prefix("0x").unwrap_or(key);
        let wanted = u64::from_str_radix(digits, 16).map_err(|_| wrong(map::CONNECTIONS, key, expected))?;
        let found = self.connections.iter().find(|(key, _)| *key == wanted);
        let mend = "the connection was never recorded, or is no longer";
        found.map(Entry::of_connection).ok_or_else(|| absent(map::CONNECTIONS, key, mend))
    }

    fn reason_named(&self, key: &str) -> Result<Entry, NoEntry> {
        let matches = |reason: &&Reason| reason.name() == key || (**reason as u32).to_string() == key;
        let reason = Reason::ALL.iter().find(matches);
        let expected = "a reason's name or number, as in `maps dump reason_stats`";
        reason.map(|reason| self.reason(*reason)).ok_or_else(|| wrong(map::REASON_STATS, key, expected))
    }

    fn state_named(&self, key: &str) -> Result<Entry, NoEntry> {
        let mut entries = self.published.into_iter().flat_map(Entry::of_state);
        let found = entries.find(|entry| entry.key == Key::Text(key.to_owned()));
        found.ok_or_else(|| wrong(map::STATE, key, "`agent` or `record`"))
    }
}

fn number(map: &'static str, key: &str) -> Result<u32, NoEntry> {
    let expected = "an index, a number from 0";
    key.parse().map_err(|_| wrong(map, key, expected))
}

fn wrong(map: &'static str, key: &str, expected: &'static str) -> NoEntry {
    NoEntry::Key { key: key.to_owned(), map, expected }
}

fn absent(map: &'static str, key: &str, mend: &str) -> NoEntry {
    NoEntry::Absent { key: key.to_owned(), map, mend: mend.to_owned() }
}
