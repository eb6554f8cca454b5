//! What an agent has put into the pins, read without it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use lb_common::abi::{BackendEntry, BackendFlags, Control, map};
use lb_userspace::compile::record::BackendRecord;
use lb_userspace::datapath::devices::Devices;
use lb_userspace::datapath::maps::KernelMaps;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::datapath::state;
use lb_userspace::observe::published::Published;
use lb_userspace::reconcile::KernelView;

/// The maps and their record.
pub(crate) struct View {
    pub(crate) published: Published,
    maps: KernelMaps,
    pins: Pins,
}

impl View {
    /// Of a pin path, once something is published there.
    pub(crate) fn of(pin_path: &Path) -> Option<Self> {
        let pins = Pins::new(pin_path);
        let maps = KernelMaps::look(&pins).ok()?;
        let text = state::read(maps.mapping(map::STATE)).ok()??;
        Some(Self { published: serde_json::from_slice(&text).unwrap(), maps, pins })
    }

    fn record(&self, address: IpAddr) -> Option<&BackendRecord> {
        let mut pools = self.published.record.pools.values();
        pools.find_map(|pool| pool.backends.get(&address).filter(|backend| backend.gone.is_none()))
    }

    /// The state of an endpoint; nothing if it is not configured.
    pub(crate) fn state(&self, address: IpAddr) -> Option<&'static str> {
        let text = serde_json::to_value(self.record(address)?.state).unwrap();
        let known = ["up", "down", "draining", "unknown"];
        known.into_iter().find(|state| text.as_str() == Some(*state))
    }

    /// The program's entry of an endpoint.
    pub(crate) fn entry(&self, address: IpAddr) -> BackendEntry {
        self.read(map::BACKENDS, self.record(address).unwrap().index.into())
    }

    /// Whether packets are sent to an endpoint.
    pub(crate) fn serves(&self, address: IpAddr) -> bool {
        self.entry(address).route.flags.has(BackendFlags::SERVES)
    }

    /// The first half of the hash key in force.
    pub(crate) fn k0(&self) -> u64 {
        self.read::<Control>(map::CONTROL, 0).k0
    }

    /// Interfaces that packets may leave by.
    pub(crate) fn egresses(&self) -> BTreeSet<u32> {
        Devices::open(&self.pins).unwrap().admitted()
    }

    /// Interfaces that have a link of the program.
    pub(crate) fn linked(&self) -> Vec<String> {
        self.pins.links().unwrap().into_iter().map(|link| link.interface).collect()
    }

    fn read<T: bytemuck::Pod>(&self, map: &'static str, index: usize) -> T {
        let mut entry = T::zeroed();
        let words: &mut [u64] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut entry));
        let start = index * words.len();
        (start..).zip(words).for_each(|(word, value)| *value = self.maps.load(map, word));
        entry
    }
}
