//! The kernel's maps, opened from their pins.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aya::Pod;
use aya::maps::{Array, MapData, MapError, PerCpuArray};
use lb_common::abi::{
    ACCESS_POLICIES, AccessFlags, AccessKey, AccessPolicy, BackendCounters, BackendEntry, Budget, Connection,
    Control, Evidence, FILTER_WORDS, PoolEntry, PortRanges, ProbeCounters, QuicKey, QuicServer,
    ServiceCounters, ServiceEntry, TableEntry, TrackingCounters, TunnelEntry, VipBucket, map,
};
use lb_common::reason::Reason;
use thiserror::Error;
use tracing::error;

use super::mapping::{Access, Mapping};
use super::pins::Pins;
use super::quic_servers::QuicServers;
use super::trie::Trie;
use crate::compile::Sizes;
use crate::evidence::Reading;
use crate::reconcile::{KernelView, Maps};

/// Why the pinned maps cannot be used.
#[derive(Debug, Error)]
pub enum MapsError {
    /// A map is not there, or may not be read.
    #[error("map {name} at {path} cannot be opened: {source}")]
    Open {
        /// Name of the map.
        name: &'static str,
        /// Its pin.
        path: String,
        /// What the kernel said.
        source: MapError,
    },
    /// A map has another shape than this version's.
    #[error(
        "map {name} is pinned with {found} entries of {value} bytes, where {expected} of {expected_value} are needed"
    )]
    Shape {
        /// Name of the map.
        name: &'static str,
        /// Its entries.
        found: u32,
        /// Bytes of an entry.
        value: u32,
        /// Entries that the limits ask for.
        expected: u32,
        /// Bytes of an entry in this version.
        expected_value: usize,
    },
    /// A map cannot be mapped into memory.
    #[error("map {name} cannot be mapped into memory: {source}")]
    Memory {
        /// Name of the map.
        name: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl MapsError {
    /// What it is that a map cannot be opened.
    pub(super) fn opening(pins: &Pins, name: &'static str) -> impl Fn(MapError) -> Self + Copy {
        move |source| Self::Open { name, path: pins.map(name).display().to_string(), source }
    }
}

/// Entries and bytes of an entry of every map that is mapped into memory.
pub fn shapes(sizes: &Sizes) -> [(&'static str, u32, usize); 13] {
    [
        (map::CONTROL, 1, size_of::<Control>()),
        (map::VIP_FILTER, FILTER_WORDS, size_of::<u64>()),
        (map::VIPS, sizes.buckets(), size_of::<VipBucket>()),
        (map::PORT_RANGES, sizes.port_ranges(), size_of::<PortRanges>()),
        (map::SERVICES, sizes.services, size_of::<ServiceEntry>()),
        (map::POOLS, sizes.pools, size_of::<PoolEntry>()),
        (map::TABLES, sizes.tables, size_of::<TableEntry>()),
        (map::SLAB, sizes.slab_words(), size_of::<u64>()),
        (map::BACKENDS, sizes.backends, size_of::<BackendEntry>()),
        (map::TUNNELS, sizes.pools, size_of::<TunnelEntry>()),
        (map::EVIDENCE, sizes.backends, size_of::<Evidence>()),
        (map::ACCESS_POLICIES, ACCESS_POLICIES, size_of::<AccessPolicy>()),
        (map::STATE, state_words(sizes), size_of::<u64>()),
    ]
}

/// Words of `state`: two records of what these sizes allow, at about 300 bytes a name.
fn state_words(sizes: &Sizes) -> u32 {
    const WORDS_PER_NAME: u32 = 300 / 8;
    let names = sizes.services.saturating_add(sizes.backends).saturating_add(4096);
    names.saturating_mul(WORDS_PER_NAME * 2)
}

/// All maps.
pub struct KernelMaps {
    mapped: HashMap<&'static str, Mapping>,
    services: PerCpuArray<MapData, Wire<ServiceCounters>>,
    backends: PerCpuArray<MapData, Wire<BackendCounters>>,
    reasons: PerCpuArray<MapData, u64>,
    tracking: PerCpuArray<MapData, Wire<TrackingCounters>>,
    probes: PerCpuArray<MapData, Wire<ProbeCounters>>,
    budgets: Array<MapData, Wire<Budget>>,
    quic_servers: QuicServers,
    access: Trie,
}

impl KernelMaps {
    /// Opens the pins. Their sizes must be what the limits ask for.
    pub fn open(pins: &Pins, sizes: &Sizes, access: Access) -> Result<Self, MapsError> {
        let shapes = shapes(sizes).map(|(name, entries, value)| (name, Some(entries), value));
        check(pins, map::CONNECTIONS, Some(sizes.connections), size_of::<Connection>())?;
        check(pins, map::QUIC_SERVERS, Some(sizes.quic_entries()), size_of::<QuicServer>())?;
        check(pins, map::ACCESS_PREFIXES, Some(sizes.access_prefixes), size_of::<AccessFlags>())?;
        Self::open_shaped(pins, &shapes, access)
    }

    /// Opens the pins, whatever their sizes, to look at them.
    pub fn look(pins: &Pins) -> Result<Self, MapsError> {
        let smallest = Sizes::of(&crate::config::model::Limits::default());
        let shapes = shapes(&smallest).map(|(name, _, value)| (name, None, value));
        Self::open_shaped(pins, &shapes, Access::Read)
    }

    fn open_shaped(
        pins: &Pins,
        shapes: &[(&'static str, Option<u32>, usize)],
        access: Access,
    ) -> Result<Self, MapsError> {
        let mapped = shapes
            .iter()
            .map(|&(name, entries, value)| Ok((name, mapping(pins, name, entries, value, access)?)))
            .collect::<Result<_, MapsError>>()?;
        Ok(Self {
            mapped,
            services: per_cpu(pins, map::SERVICE_STATS)?,
            backends: per_cpu(pins, map::BACKEND_STATS)?,
            reasons: per_cpu(pins, map::REASON_STATS)?,
            tracking: per_cpu(pins, map::TRACKING_STATS)?,
            probes: per_cpu(pins, map::PROBE_STATS)?,
            budgets: budgets(pins)?,
            quic_servers: QuicServers::open(pins)?,
            access: Trie::open(pins, map::ACCESS_PREFIXES)?,
        })
    }

    /// The words of a map that is mapped into memory.
    ///
    /// # Panics
    /// If `name` is not one of [`shapes`]: a defect of the caller, not of any input.
    pub fn mapping(&self, name: &str) -> &Mapping {
        self.mapped.get(name).unwrap_or_else(|| unreachable!("{name} is not a mapped array"))
    }

    /// What the program counted for a service, over all CPUs.
    pub fn service_counters(&self, index: u32) -> ServiceCounters {
        sum(&self.services, index, |total: &mut ServiceCounters, Wire(part)| {
            total.packets += part.packets;
            total.bytes += part.bytes;
            total.dropped += part.dropped;
        })
    }

    /// What the program counted for a backend, over all CPUs.
    pub fn backend_counters(&self, index: u32) -> BackendCounters {
        sum(&self.backends, index, |total: &mut BackendCounters, Wire(part)| {
            total.packets += part.packets;
            total.bytes += part.bytes;
        })
    }

    /// What the sampled flows of a backend came to.
    pub fn evidence(&self, index: u32) -> Evidence {
        const WORDS: usize = size_of::<Evidence>() / size_of::<u64>();
        let mut words = [0; WORDS];
        self.read(map::EVIDENCE, index as usize * WORDS, &mut words);
        bytemuck::cast(words)
    }

    /// All that was counted of a backend.
    pub fn reading(&self, index: u32) -> Reading {
        Reading { counters: self.backend_counters(index), evidence: self.evidence(index) }
    }

    /// What the program counted on rows that are not clean, over all CPUs.
    pub fn tracking_counters(&self) -> TrackingCounters {
        sum(&self.tracking, 0, |total: &mut TrackingCounters, Wire(part)| {
            total.hits += part.hits;
            total.inserted += part.inserted;
            total.refused_new += part.refused_new;
            total.refused_missed += part.refused_missed;
        })
    }

    /// What became of packets of probes, over all CPUs.
    pub fn probe_counters(&self) -> ProbeCounters {
        sum(&self.probes, 0, |total: &mut ProbeCounters, Wire(part)| {
            total.sent += part.sent;
            total.dropped += part.dropped;
        })
    }

    /// Connections recorded in the current second, by [`Insert`](lb_common::abi::Insert).
    pub fn budgets(&self) -> Vec<Budget> {
        self.budgets.iter().filter_map(|budget| Some(budget.ok()?.0)).collect()
    }

    /// What the longest prefix of an access policy says that holds a source; `None`: none does.
    pub fn access(&self, source: &AccessKey) -> Option<AccessFlags> {
        self.access.longest(source)
    }

    /// Packets that ended for a reason, over all CPUs.
    pub fn reason_count(&self, reason: Reason) -> u64 {
        sum(&self.reasons, reason as u32, |total, part| *total += part)
    }
}

impl KernelView for KernelMaps {
    fn words(&self, map: &'static str) -> usize {
        self.mapped.get(map).map_or(0, |mapping| mapping.words().len())
    }

    fn load(&self, map: &'static str, word: usize) -> u64 {
        self.mapped.get(map).map_or(0, |mapping| mapping.load(word))
    }

    fn read(&self, map: &'static str, first: usize, words: &mut [u64]) {
        words.fill(0);
        let held = self.mapped.get(map).and_then(|mapping| mapping.words().get(first..));
        for (value, word) in words.iter_mut().zip(held.unwrap_or_default()) {
            *value = word.load(Ordering::Acquire);
        }
    }

    /// What cannot be read is not there: the plan writes it anew, and says what hinders it.
    fn quic_servers(&self) -> BTreeMap<QuicKey, QuicServer> {
        self.quic_servers.all().unwrap_or_else(|reason| {
            error!(event = "quic", %reason, "server ids cannot be read");
            BTreeMap::new()
        })
    }
}

impl Maps for KernelMaps {
    fn store(&mut self, map: &'static str, word: usize, value: u64) {
        self.mapping(map).store(word, value);
    }

    /// What fails is tried again with the next plan, which finds it missing.
    fn set_quic_server(&mut self, key: &QuicKey, server: Option<QuicServer>) {
        if let Err(reason) = self.quic_servers.set(key, server) {
            error!(event = "quic", %reason, "a server id stays as it is");
        }
    }

    fn prefixes(&self) -> io::Result<Vec<(AccessKey, AccessFlags)>> {
        self.access.all()
    }

    fn put_prefix(&mut self, key: &AccessKey, flags: AccessFlags) -> io::Result<()> {
        self.access.put(key, flags)
    }

    fn remove_prefix(&mut self, key: &AccessKey) -> io::Result<()> {
        self.access.remove(key)
    }

    fn grace(&mut self) {
        grace();
    }
}

/// Longer than any packet is under way in the program, on a machine that cannot tell.
const LONG_ENOUGH: Duration = Duration::from_millis(100);

/// Returns once every CPU has passed through a quiescent state, so that a packet which saw the maps as they
/// were is through: `membarrier(MEMBARRIER_CMD_GLOBAL)` is the kernel's `synchronize_rcu`.
fn grace() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: the command takes no pointers and changes nothing in this process.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result != 0 {
        std::thread::sleep(LONG_ENOUGH);
    }
}

pub(super) fn mapping(
    pins: &Pins,
    name: &'static str,
    entries: Option<u32>,
    value: usize,
    access: Access,
) -> Result<Mapping, MapsError> {
    let (data, expected) = check(pins, name, entries, value)?;
    let words = expected as usize * value / size_of::<u64>();
    Mapping::new(data.fd(), words, access).map_err(|source| MapsError::Memory { name, source })
}

/// A pinned map of so many entries, or of any number, with their number.
pub(super) fn check(
    pins: &Pins,
    name: &'static str,
    entries: Option<u32>,
    value: usize,
) -> Result<(MapData, u32), MapsError> {
    let data = open(pins, name)?;
    let info = data.info().map_err(MapsError::opening(pins, name))?;
    let expected = entries.unwrap_or(info.max_entries());
    if info.max_entries() != expected || info.value_size() as usize != value {
        let (found, expected_value) = (info.max_entries(), value);
        return Err(MapsError::Shape { name, found, value: info.value_size(), expected, expected_value });
    }
    Ok((data, expected))
}

fn budgets(pins: &Pins) -> Result<Array<MapData, Wire<Budget>>, MapsError> {
    let name = map::BUDGETS;
    let map = aya::maps::Map::Array(open(pins, name)?);
    map.try_into().map_err(MapsError::opening(pins, name))
}

pub(super) fn per_cpu<T: Pod>(pins: &Pins, name: &'static str) -> Result<PerCpuArray<MapData, T>, MapsError> {
    let map = aya::maps::Map::PerCpuArray(open(pins, name)?);
    map.try_into().map_err(MapsError::opening(pins, name))
}

pub(super) fn open(pins: &Pins, name: &'static str) -> Result<MapData, MapsError> {
    MapData::from_pin(pins.map(name)).map_err(MapsError::opening(pins, name))
}

/// The same, with a descriptor for what aya has no call for.
pub(super) fn open_with_fd(pins: &Pins, name: &'static str) -> Result<(MapData, OwnedFd), MapsError> {
    let data = open(pins, name)?;
    let fd = data.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError);
    Ok((data, fd.map_err(MapsError::opening(pins, name))?))
}

pub(super) fn sum<T: Pod, S: Default>(
    map: &PerCpuArray<MapData, T>,
    index: u32,
    add: impl Fn(&mut S, &T),
) -> S {
    let mut total = S::default();
    // An index beyond the map has counted nothing.
    if let Ok(values) = map.get(&index, 0) {
        values.iter().for_each(|value| add(&mut total, value));
    }
    total
}

/// A counter as aya reads it.
#[repr(transparent)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire<T>(pub(super) T);

// SAFETY: transparent over a type that any bytes are, and that has no padding.
unsafe impl<T: bytemuck::Pod> Pod for Wire<T> {}
