//! Two services on two VIPs, one pool each, one backend each: UDP 443 by IPv4, UDP 80 by IPv6.

use crate::probe::{Fate, Probes};
use crate::redirect::GATEWAYS;
use crate::tables::Tables;
use core::cell::RefCell;
use lb_common::abi::{
    AccessFlags, AccessKey, BackendEntry, BackendFlags, Control, Features, FragmentEntry, LinkAddress,
    PoolEntry, ProbeEntry, ProbeMark, QuicKey, QuicServer, Route, Selector, ServiceEntry, TableEntry,
    TunnelEntry, VipBucket, VipFlags, VipKey, VipSlot, VipTable, outer_v4_sum,
};
use lb_common::net::{Family, NetworkU16};
use lb_common::reason::Reason;
use lb_common::row::{Mode, Row};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

pub(super) const VIP_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
pub(super) const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
pub(super) const SOURCE_V4: [u8; 4] = [192, 0, 2, 1];
pub(super) const BACKEND_V4: [u8; 4] = [203, 0, 113, 11];
pub(super) const SOURCE_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(super) const BACKEND_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0xe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
pub(super) const HOP: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 0x11];
pub(super) const OWN: [u8; 6] = [0, 0, 0x5e, 0, 0x53, 1];
pub(super) const TUNNEL_PORT: u16 = 6081;
pub(super) const VNI: u32 = 0x00ab_cdef;
pub(super) const INNER: [u8; 6] = [2, 0, 0, 0, 0, 9];
pub(super) const MTU: u16 = 1500;
pub(super) const INTERFACE: u32 = 3;
const UDP: u8 = 17;
const TABLE: VipTable = VipTable::new(0, 4, 1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Service, backend, bytes.
    Sent(u32, u32, u64),
    /// Service.
    Dropped(u32),
    Reason(Reason),
}

pub(super) struct World {
    pub(super) control: Control,
    filter: BTreeMap<u32, u64>,
    buckets: Vec<VipBucket>,
    pub(super) services: Vec<ServiceEntry>,
    pub(super) pools: Vec<PoolEntry>,
    pub(super) tables: Vec<TableEntry>,
    pub(super) slab: Vec<u64>,
    pub(super) backends: Vec<BackendEntry>,
    fragments: RefCell<BTreeMap<u64, FragmentEntry>>,
    pub(super) tunnels: Vec<TunnelEntry>,
    pub(super) features: Features,
    pub(super) servers: BTreeMap<QuicKey, QuicServer>,
    pub(super) probes: BTreeMap<u32, ProbeEntry>,
    pub(super) fates: RefCell<Vec<Fate>>,
    /// Other clusters' gateways, by the keys that their packets are looked up by.
    gateways: Vec<AccessKey>,
    counts: RefCell<Vec<Count>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_flags(VipFlags::default())
    }

    pub(super) fn with_local_vips() -> Self {
        Self::with_flags(VipFlags::LOCAL)
    }

    /// Both backends are reached by a tunnel over UDP.
    pub(super) fn with_tunnels(flag: BackendFlags) -> Self {
        let mut world = Self::new();
        for backend in &mut world.backends {
            backend.route.flags = backend.route.flags.with(flag);
            backend.port = NetworkU16::new(TUNNEL_PORT);
        }
        world
    }

    fn with_flags(flags: VipFlags) -> Self {
        let table = |index: u32| TableEntry { current: index * 4, log2_rows: 2, ..TableEntry::default() };
        let service = |index: u16| ServiceEntry { select: Selector::pool(index), ..ServiceEntry::default() };
        let slab = |index: u16| bytemuck::cast([Row::new(index, Mode::Clean); 4]);
        let mut world = Self {
            control: Control { vips: TABLE, k0: 1, k1: 2, ..Control::default() },
            filter: BTreeMap::new(),
            buckets: std::vec![VipBucket::default(); 16],
            services: [service(0), service(1)].to_vec(),
            pools: [
                PoolEntry { table: 1, ..PoolEntry::default() },
                PoolEntry { table: 2, ..PoolEntry::default() },
            ]
            .to_vec(),
            tables: [TableEntry::default(), table(0), table(1)].to_vec(),
            slab: [slab(0), slab(1)].to_vec(),
            backends: [
                backend(SOURCE_V4.into(), BACKEND_V4.into()),
                backend(SOURCE_V6.into(), BACKEND_V6.into()),
            ]
            .to_vec(),
            fragments: RefCell::default(),
            tunnels: [TunnelEntry::new(VNI, INNER); 2].to_vec(),
            features: Features::ALL,
            servers: BTreeMap::new(),
            probes: BTreeMap::new(),
            fates: RefCell::default(),
            gateways: Vec::new(),
            counts: RefCell::default(),
        };
        world.add_vip(VIP_V4.into(), Family::V4, flags);
        world.add_vip(VIP_V6.into(), Family::V6, flags);
        world
    }

    fn add_vip(&mut self, vip: IpAddr, family: Family, flags: VipFlags) {
        let address = vip.into();
        let (word, bit) = VipKey::filter_bit(family, &address);
        *self.filter.entry(word).or_default() |= bit;
        self.insert(family, VipSlot { key: VipKey::of_address(family, address), service: 0, flags });
        for (service, port) in [(0, 443), (1, 80)] {
            let key = VipKey::new(family, address, UDP, NetworkU16::new(port));
            self.insert(family, VipSlot { key, service, flags: VipFlags::default() });
        }
    }

    /// Takes what `gateways` send to `own`, all of IPv4.
    pub(super) fn take_redirects(&mut self, own: [u8; 4], gateways: &[[u8; 4]]) {
        let (family, address) = (Family::V4, IpAddr::from(own).into());
        let (word, bit) = VipKey::filter_bit(family, &address);
        *self.filter.entry(word).or_default() |= bit;
        let key = VipKey::of_tunnel(family, address);
        self.insert(family, VipSlot { key, service: 0, flags: VipFlags::default() });
        self.control.redirects = NetworkU16::new(TUNNEL_PORT);
        let key = |from: &[u8; 4]| AccessKey::of_source(GATEWAYS, family, IpAddr::from(*from).into());
        self.gateways = gateways.iter().map(key).collect();
    }

    fn insert(&mut self, family: Family, slot: VipSlot) {
        let (first, second) = slot.key.buckets(family, TABLE);
        let free = [first, second].into_iter().find_map(|bucket| {
            let slots = &self.buckets[bucket as usize].slots;
            slots.iter().position(|slot| slot.key.family().is_none()).map(|place| (bucket, place))
        });
        let (bucket, place) = free.expect("room for six keys in sixteen buckets");
        self.buckets[bucket as usize].slots[place] = slot;
    }

    pub(super) fn take_counts(&self) -> Vec<Count> {
        self.counts.take()
    }
}

pub(super) fn backend(source: IpAddr, destination: IpAddr) -> BackendEntry {
    let sum = match (source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            outer_v4_sum(u32::from_ne_bytes(from.octets()), u32::from_ne_bytes(to.octets()))
        }
        _ => 0,
    };
    let family = if source.is_ipv4() { BackendFlags::default() } else { BackendFlags::OUTER_V6 };
    BackendEntry {
        route: Route { flags: BackendFlags::SERVES.with(family), interface: INTERFACE },
        destination_mac: LinkAddress::new(HOP, 0),
        source_mac: LinkAddress::new(OWN, 0),
        destination: destination.into(),
        source: source.into(),
        mtu: MTU,
        header_sum: sum,
        ..BackendEntry::default()
    }
}

impl Tables for World {
    fn features(&self) -> Features {
        self.features
    }
    fn control(&self) -> Option<&Control> {
        Some(&self.control)
    }
    fn filter(&self, word: u32) -> Option<u64> {
        Some(self.filter.get(&word).copied().unwrap_or(0))
    }
    fn bucket(&self, index: u32) -> Option<&VipBucket> {
        self.buckets.get(index as usize)
    }
    fn service(&self, index: u32) -> Option<&ServiceEntry> {
        self.services.get(index as usize)
    }
    fn pool(&self, index: u32) -> Option<PoolEntry> {
        self.pools.get(index as usize).copied()
    }
    fn table(&self, index: u32) -> Option<&TableEntry> {
        self.tables.get(index as usize)
    }
    fn slab(&self, word: u32) -> Option<u64> {
        self.slab.get(word as usize).copied()
    }
    fn backend(&self, index: u32) -> Option<&BackendEntry> {
        self.backends.get(index as usize)
    }
    fn access(&self, source: &AccessKey) -> Option<AccessFlags> {
        self.gateways.contains(source).then_some(AccessFlags::default())
    }
    fn fragment(&self, key: u64) -> Option<FragmentEntry> {
        self.fragments.borrow().get(&key).copied()
    }
    fn remember_fragment(&self, key: u64, entry: &FragmentEntry) {
        self.fragments.borrow_mut().insert(key, *entry);
    }
    fn tunnel(&self, pool: u32) -> Option<&TunnelEntry> {
        self.tunnels.get(pool as usize)
    }
    fn quic_server(&self, key: &QuicKey) -> Option<QuicServer> {
        self.servers.get(key).copied()
    }
    fn count_sent(&self, service: u32, backend: u32, bytes: u64) {
        self.counts.borrow_mut().push(Count::Sent(service, backend, bytes));
    }
    fn count_dropped(&self, service: u32) {
        self.counts.borrow_mut().push(Count::Dropped(service));
    }
    fn count_reason(&self, reason: u32) {
        self.counts.borrow_mut().push(Count::Reason(Reason::ALL[reason as usize]));
    }
}

impl Probes for World {
    fn probe(&self, mark: ProbeMark) -> Option<ProbeEntry> {
        self.probes.get(&mark.number()).copied()
    }
    fn count(&self, fate: Fate) {
        self.fates.borrow_mut().push(fate);
    }
}
