//! Tables of random bits: nothing promises that they are whole, and still no packet breaks the way.

use super::world::{VIP_V4, VIP_V6};
use super::{HEADROOM, framed, packet};
use crate::frame::SliceFrame;
use crate::tables::Tables;
use bytemuck::Pod;
use lb_common::abi::{
    BackendEntry, Control, PoolEntry, QuicKey, QuicServer, ServiceEntry, TableEntry, TunnelEntry, VipBucket,
    VipFlags, VipKey,
};
use lb_common::net::{Family, NetworkU16};
use proptest::prelude::*;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::IpAddr;

/// Every bit follows from the seed; every third entry is missing. The VIPs alone are found.
struct Garbage {
    control: Control,
    bucket: VipBucket,
    service: Option<ServiceEntry>,
    table: Option<TableEntry>,
    backend: Option<BackendEntry>,
    tunnel: Option<TunnelEntry>,
    seed: u64,
}

impl Garbage {
    fn new(seed: u64, to: IpAddr, port: u16) -> Self {
        let family = Family::of(to);
        let mut bucket = VipBucket::default();
        bucket.slots[0].key = VipKey::new(family, to.into(), 17, NetworkU16::new(port));
        bucket.slots[0].service = random::<u32>(seed, 1);
        bucket.slots[1].key = VipKey::of_address(family, to.into());
        bucket.slots[1].flags = random::<VipFlags>(seed, 2);
        Self {
            control: random(seed, 3),
            bucket,
            service: sometimes(seed, 4),
            table: sometimes(seed, 5),
            backend: sometimes(seed, 6),
            tunnel: sometimes(seed, 7),
            seed,
        }
    }
}

fn random<T: Pod>(seed: u64, what: u32) -> T {
    let mut value = T::zeroed();
    for (place, byte) in bytemuck::bytes_of_mut(&mut value).iter_mut().enumerate() {
        let mut hasher = DefaultHasher::new();
        (seed, what, place).hash(&mut hasher);
        *byte = hasher.finish().to_le_bytes()[0];
    }
    value
}

fn sometimes<T: Pod>(seed: u64, what: u32) -> Option<T> {
    (!random::<u32>(seed, what ^ 0xffff).is_multiple_of(3)).then(|| random(seed, what))
}

impl Tables for Garbage {
    fn control(&self) -> Option<&Control> {
        Some(&self.control)
    }
    fn filter(&self, _word: u32) -> Option<u64> {
        Some(u64::MAX)
    }
    fn bucket(&self, _index: u32) -> Option<&VipBucket> {
        Some(&self.bucket)
    }
    fn service(&self, _index: u32) -> Option<&ServiceEntry> {
        self.service.as_ref()
    }
    fn pool(&self, index: u32) -> Option<PoolEntry> {
        sometimes(self.seed, index)
    }
    fn table(&self, _index: u32) -> Option<&TableEntry> {
        self.table.as_ref()
    }
    fn slab(&self, word: u32) -> Option<u64> {
        sometimes(self.seed, word)
    }
    fn backend(&self, _index: u32) -> Option<&BackendEntry> {
        self.backend.as_ref()
    }
    fn tunnel(&self, _pool: u32) -> Option<&TunnelEntry> {
        self.tunnel.as_ref()
    }
    fn quic_server(&self, key: &QuicKey) -> Option<QuicServer> {
        sometimes(self.seed, u32::from(key.config()))
    }
    fn count_sent(&self, _service: u32, _backend: u32, _bytes: u64) {}
    fn count_dropped(&self, _service: u32) {}
    fn count_reason(&self, reason: u32) {
        assert!((reason as usize) < lb_common::reason::Reason::ALL.len());
    }
}

proptest! {
    #[test]
    fn no_table_breaks_the_way(
        seed in any::<u64>(),
        to in prop::sample::select([IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)].to_vec()),
        port in any::<u16>(),
        size in 0_usize..100,
    ) {
        let frame = framed(0, &packet(to, port, 0, &std::vec![7; size]));
        let mut buffer = [std::vec![0; HEADROOM], frame].concat();
        super::super::process(&mut SliceFrame::new(&mut buffer, HEADROOM, 1), &Garbage::new(seed, to, port));
    }
}
