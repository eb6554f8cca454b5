//! The VIP table: two-choice hashing (Pagh, Rodler: "Cuckoo Hashing", ESA 2001, with buckets of two), and
//! the filter in front of it. A look-up reads at most two cache lines.
//!
//! There are at least as many buckets as keys, so at most half of the slots are in use. Keys that find both
//! of their buckets full push others on; where that does not end, another seed is tried.

use super::error::{CompileError, Resource};
use lb_common::abi::{
    FILTER_WORDS, PortRange, PortRanges, RANGES_PER_LINE, SLOTS_PER_BUCKET, VipBucket, VipFlags, VipKey,
    VipSlot, VipTable,
};
use lb_common::net::{Family, NetworkU16};
use std::collections::BTreeMap;
use std::net::IpAddr;

const MAX_MOVES: u32 = 500;
const SEEDS: u32 = 64;

/// Everything that is looked up by destination, in a fixed order.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    slots: BTreeMap<([u8; 16], u8, u16), VipSlot>,
    /// By address and protocol.
    ranges: BTreeMap<(IpAddr, u8), Vec<PortRange>>,
}

impl Keys {
    /// Adds an address as such: it stays even if its services take no packet.
    pub fn address(&mut self, address: IpAddr, local: bool) {
        let flags = if local { VipFlags::LOCAL } else { VipFlags::default() };
        self.put(VipKey::of_address(Family::of(address), address.into()), 0, flags);
    }

    /// Adds a port of an address (which [`Keys::address`] has added); port 0 is any port.
    pub fn port(&mut self, address: IpAddr, protocol: u8, port: u16, service: u32) {
        let family = Family::of(address);
        let key = VipKey::new(family, address.into(), protocol, NetworkU16::new(port));
        self.put(key, service, VipFlags::default());
        if port == 0 {
            self.put(VipKey::of_address(family, address.into()), 0, VipFlags::ANY_PORT);
        }
    }

    /// Adds ports from `first` to `last` of an address (which [`Keys::address`] has added).
    pub fn range(&mut self, address: IpAddr, protocol: u8, (first, last): (u16, u16), service: u32) {
        let range = PortRange { first, count: last.saturating_sub(first).saturating_add(1), service };
        self.ranges.entry((address, protocol)).or_default().push(range);
    }

    /// Adds an address of this gateway that other clusters' gateways send to.
    pub fn tunnel(&mut self, address: IpAddr) {
        self.put(VipKey::of_tunnel(Family::of(address), address.into()), 0, VipFlags::default());
    }

    /// Adds the keys of ranges, and returns the lines that they lead to. To be called once all ports are added.
    ///
    /// # Errors
    /// [`CompileError::Full`] if an address and protocol has more ranges than a line.
    pub fn lines(&mut self) -> Result<Vec<PortRanges>, CompileError> {
        let mut lines = Vec::new();
        for ((address, protocol), mut ranges) in std::mem::take(&mut self.ranges) {
            ranges.sort_by_key(|range| range.first);
            let (needed, limit) = (ranges.len() as u64, RANGES_PER_LINE as u64);
            ranges.resize(RANGES_PER_LINE.max(ranges.len()), PortRange::default());
            let ranges = ranges.try_into().map_err(|_| CompileError::Full {
                resource: Resource::PortRanges,
                needed,
                limit,
            })?;
            let line = u32::try_from(lines.len()).unwrap_or(u32::MAX);
            lines.push(PortRanges { reserved: 0, ranges });
            let (family, address) = (Family::of(address), address.into());
            self.put(VipKey::of_ranges(family, address, protocol), line, VipFlags::default());
            self.put(VipKey::of_address(family, address), 0, VipFlags::PORT_RANGES);
        }
        Ok(lines)
    }

    fn put(&mut self, key: VipKey, service: u32, flags: VipFlags) {
        let order = (key.address().bytes(), key.protocol(), key.port().get());
        let slot = self.slots.entry(order).or_insert(VipSlot { key, service, flags });
        slot.flags = slot.flags.with(flags);
    }

    /// The filter: one bit for each address.
    pub fn filter(&self) -> Vec<u64> {
        let mut words = vec![0; FILTER_WORDS as usize];
        for slot in self.slots.values() {
            let (word, bit) = VipKey::filter_bit(family_of(&slot.key), &slot.key.address());
            words[word as usize] |= bit;
        }
        words
    }

    /// Gives each key a slot in one of its two buckets. The table begins at bucket 0 and has at most
    /// 2^`max_log2` buckets.
    ///
    /// # Errors
    /// [`CompileError::Full`] if there are more keys than such buckets, [`CompileError::Crowded`] if no seed fits.
    pub fn place(&self, max_log2: u8) -> Result<(VipTable, Vec<VipBucket>), CompileError> {
        let keys = self.slots.len().max(2) as u64;
        if keys > 1 << max_log2 {
            return Err(CompileError::Full {
                resource: Resource::VipKeys,
                needed: keys,
                limit: 1 << max_log2,
            });
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most max_log2")]
        let least = keys.next_power_of_two().ilog2() as u8;
        let tables =
            (least..=max_log2).flat_map(|log2| (0..SEEDS).map(move |seed| VipTable::new(0, log2, seed)));
        tables
            .into_iter()
            .find_map(|table| self.fill(table).map(|buckets| (table, buckets)))
            .ok_or(CompileError::Crowded { keys, log2: max_log2 })
    }

    fn fill(&self, table: VipTable) -> Option<Vec<VipBucket>> {
        let mut nest = Nest { table, buckets: vec![VipBucket::default(); 1 << table.log2()] };
        self.slots.values().all(|slot| nest.insert(*slot)).then_some(nest.buckets)
    }
}

fn family_of(key: &VipKey) -> Family {
    key.family().unwrap_or(Family::V4)
}

struct Nest {
    table: VipTable,
    buckets: Vec<VipBucket>,
}

impl Nest {
    /// Whether a place was found. If not, some key is lost and the nest useless.
    fn insert(&mut self, mut slot: VipSlot) -> bool {
        let (first, second) = self.choices(&slot);
        if self.put(first, slot) || self.put(second, slot) {
            return true;
        }
        let mut bucket = first;
        for step in 0..MAX_MOVES {
            let victim = (step.wrapping_mul(0x9E37_79B1) >> 31) as usize;
            std::mem::swap(&mut slot, &mut self.buckets[bucket].slots[victim]);
            let (first, second) = self.choices(&slot);
            bucket = if bucket == first { second } else { first };
            if self.put(bucket, slot) {
                return true;
            }
        }
        false
    }

    fn choices(&self, slot: &VipSlot) -> (usize, usize) {
        let (first, second) = slot.key.buckets(family_of(&slot.key), self.table);
        (first as usize, second as usize)
    }

    fn put(&mut self, bucket: usize, slot: VipSlot) -> bool {
        let slots: &mut [VipSlot; SLOTS_PER_BUCKET] = &mut self.buckets[bucket].slots;
        let free = slots.iter_mut().find(|slot| slot.key.family().is_none());
        free.map(|place| *place = slot).is_some()
    }
}
