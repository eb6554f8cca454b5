//! What is pinned: kinds and sizes of the maps, without a look at their content; and the kernel's names.

use aya::maps::{DevMapHash, HashMap, Map, MapData, MapType};
use lb_common::abi::{FragmentEntry, map};
use nix::net::if_::if_indextoname;

use super::maps::{MapsError, Wire, open};
use super::pins::{Pins, Tenant};

/// A pinned map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedMap {
    /// Its name.
    pub name: &'static str,
    /// What kind of map it is, as in `bpftool map`.
    pub kind: &'static str,
    /// Entries there is room for.
    pub entries: u32,
    /// Bytes of memory that the values take, over all CPUs.
    pub bytes: u64,
}

/// All maps of a tenant, in the order of [`Tenant::maps`].
pub fn inventory(pins: &Pins, tenant: Tenant) -> Result<Vec<PinnedMap>, MapsError> {
    tenant.maps().iter().map(|name| pinned(pins, name)).collect()
}

/// One map.
pub fn pinned(pins: &Pins, name: &'static str) -> Result<PinnedMap, MapsError> {
    let failed = MapsError::opening(pins, name);
    let info = open(pins, name)?.info().map_err(failed)?;
    let kind = info.map_type().unwrap_or(MapType::Unspecified);
    let copies = if matches!(kind, MapType::PerCpuArray) { cpus() } else { 1 };
    // A ring buffer has bytes, not entries.
    let size = info.value_size().max(1);
    let bytes = u64::from(info.max_entries()) * u64::from(size) * copies;
    Ok(PinnedMap { name, kind: word(kind), entries: info.max_entries(), bytes })
}

/// CPUs that the kernel keeps counters for; 1 if it does not tell.
fn cpus() -> u64 {
    aya::util::nr_cpus().map_or(1, |cpus| cpus as u64)
}

fn word(kind: MapType) -> &'static str {
    match kind {
        MapType::Array => "array",
        MapType::PerCpuArray => "percpu_array",
        MapType::DevMapHash => "devmap_hash",
        MapType::Hash => "hash",
        MapType::LruHash => "lru_hash",
        MapType::ProgramArray => "prog_array",
        MapType::RingBuf => "ringbuf",
        MapType::LpmTrie => "lpm_trie",
        _ => "other",
    }
}

/// Indices of the interfaces in `devices`, ascending.
pub fn devices(pins: &Pins) -> Result<Vec<u32>, MapsError> {
    let name = map::DEVICES;
    let failed = MapsError::opening(pins, name);
    let map: DevMapHash<MapData> = Map::DevMapHash(open(pins, name)?).try_into().map_err(failed)?;
    let mut keys = map.keys().collect::<Result<Vec<u32>, _>>().map_err(failed)?;
    keys.sort_unstable();
    Ok(keys)
}

/// What first fragments told, by key, ascending. Those that are pushed out meanwhile are not in it.
pub fn fragments(pins: &Pins) -> Result<Vec<(u64, FragmentEntry)>, MapsError> {
    let name = map::FRAGMENTS;
    let failed = MapsError::opening(pins, name);
    let map: HashMap<MapData, u64, Wire<FragmentEntry>> =
        Map::LruHashMap(open(pins, name)?).try_into().map_err(failed)?;
    let held = map.iter().filter_map(Result::ok).map(|(key, Wire(entry))| (key, entry));
    let mut held: Vec<_> = held.collect();
    held.sort_unstable_by_key(|(key, _)| *key);
    Ok(held)
}

/// Name of an interface of this network namespace; of one that is not here `if` and its index, as
/// iproute2 writes it.
pub fn interface_name(index: u32) -> String {
    let name = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("if{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_names() {
        assert_eq!(interface_name(1), "lo");
        assert_eq!(interface_name(u32::MAX), format!("if{}", u32::MAX));
    }
}
