//! The ordered difference between an image and the kernel's maps.
//!
//! What is named is written before what names it, and taken away after:
//!
//! 1. the rows in force of backends that begin to serve again: at least RESIDUE, for flows are recorded with
//!    those that stood in for them; and a wait until no packet is under way that saw them clean;
//! 2. the key of tags, and its epoch; the tunnels that backends are to be reached by; backends that are new, changed, or begin to serve, and the spares of pools in which a backend ceases to serve, then those backends, by one store each;
//! 3. rows and tables that nothing names yet; then pools and QUIC server ids, then access policies, then services;
//! 4. the VIP table and its port ranges, into the half that packets are not looked up in, and the filter's new bits; then the
//!    control word, which exchanges the halves;
//! 5. services and pools that have nothing left to send to, now that nothing leads to them that had better;
//!    then backends that the image does not have cease to serve, for connections may still be recorded with them;
//! 6. once the packets under way are through: QUIC server ids, services, pools, tables, backends and filter bits that
//!    the image does not have, and keys of tags.

use super::KernelView;
use super::diff::{
    FIRST_LAST_OF_2, FIRST_LAST_OF_4, FIRST_LAST_OF_8, Order, SINGLE, difference, differing, differing_words,
    occupied, read, words_of,
};
use super::emptied::Emptied;
use super::rouse::{clean_rows, merged};
use super::tunnel_key::{KEYS_EPOCH_VIPS, in_force, spent, turned};
use crate::compile::MapImage;
use crate::compile::image::region_words;
use bytemuck::Pod;
use lb_common::abi::{
    BackendEntry, Control, FILTER_WORDS, PoolEntry, PortRanges, QuicKey, QuicServer, Route, VipBucket,
    VipTable, map,
};
use lb_common::row::ROWS_PER_WORD;
use std::collections::{BTreeMap, BTreeSet};

/// One operation on the maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Stores words, in this order.
    Store {
        /// Why.
        step: Step,
        /// Name of the map.
        map: &'static str,
        /// Word in the map and its new value.
        words: Vec<(usize, u64)>,
    },
    /// Changes entries of `quic_servers`.
    QuicServers {
        /// Why.
        step: Step,
        /// The keys and their servers; `None`: the entry goes.
        servers: Vec<(QuicKey, Option<QuicServer>)>,
    },
    /// Waits until the packets under way are through.
    Grace,
}

impl Op {
    /// What it is for; `None`: it waits.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Store { step, .. } | Self::QuicServers { step, .. } => Some(*step),
            Self::Grace => None,
        }
    }
}

/// What an operation is for, in the order of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Rows of a backend that is about to serve again.
    Rouse,
    /// The key of tags that backends are to be reached with, or another.
    TunnelKey,
    /// What the headers toward a pool's backends need.
    Tunnel,
    /// A backend is added, changed, or begins to serve.
    Raise,
    /// A pool gets a spare that goes on serving.
    Spare,
    /// A backend ceases to serve.
    Lower,
    /// Rows of a table to come.
    Rows,
    /// A table to come.
    Table,
    /// A pool gets its table.
    Pool,
    /// A server id gets its backend.
    QuicServer,
    /// An access policy to come, or its default.
    Access,
    /// A service gets its pools and its access policy.
    Service,
    /// The VIP table to come, or bits of its filter.
    Vips,
    /// The VIP table comes into force, or the hash key changes.
    Control,
    /// A service or a pool has nothing left to send to.
    Empty,
    /// A backend that tables name no more ceases to serve.
    Retire,
    /// What is named no more is cleared.
    Remove,
}

/// What is to be done, in order; nothing, if the kernel holds the image.
pub fn plan<K: KernelView>(image: &MapImage, kernel: &K) -> Vec<Op> {
    let mut draft = Draft { image, kernel, ops: Vec::new(), emptied: Emptied::of(image, kernel) };
    draft.rouse();
    draft.tunnel_key();
    draft.tunnels();
    draft.backends();
    draft.tables();
    draft.pools();
    draft.quic_servers();
    draft.access();
    draft.services();
    draft.vips();
    draft.empty();
    draft.retire();
    draft.remove();
    draft.ops
}

struct Draft<'a, K> {
    image: &'a MapImage,
    kernel: &'a K,
    ops: Vec<Op>,
    emptied: Emptied,
}

impl<K: KernelView> Draft<'_, K> {
    fn store(&mut self, step: Step, map: &'static str, words: Vec<(usize, u64)>) {
        if !words.is_empty() {
            self.ops.push(Op::Store { step, map, words });
        }
    }

    fn entry<T: Pod>(&mut self, step: Step, map: &'static str, index: u32, entry: &T, order: Order) {
        self.store(step, map, differing(self.kernel, map, index, entry, order));
    }

    fn rouse(&mut self) {
        let image = self.image;
        let returning = image.backends.iter().filter(|(index, entry)| self.returns(**index, entry));
        let words: Vec<_> =
            returning.flat_map(|(index, entry)| clean_rows(self.kernel, *index, entry.pool.into())).collect();
        if !words.is_empty() {
            self.store(Step::Rouse, map::SLAB, merged(words));
            self.ops.push(Op::Grace);
        }
    }

    fn returns(&self, index: u32, entry: &BackendEntry) -> bool {
        let held: BackendEntry = read(self.kernel, map::BACKENDS, index);
        held != BackendEntry::default() && !held.serves() && entry.serves()
    }

    fn tunnel_key(&mut self) {
        let held: Control = read(self.kernel, map::CONTROL, 0);
        let turned = turned(&self.image.control, &held);
        if turned != held {
            self.entry(Step::TunnelKey, map::CONTROL, 0, &turned, KEYS_EPOCH_VIPS);
            self.ops.push(Op::Grace);
        }
    }

    fn tunnels(&mut self) {
        for (index, tunnel) in &self.image.tunnels {
            self.entry(Step::Tunnel, map::TUNNELS, *index, tunnel, FIRST_LAST_OF_2);
        }
    }

    fn backends(&mut self) {
        let (lowered, raised): (Vec<_>, Vec<_>) =
            self.image.backends.iter().partition(|(index, entry)| self.lowers(**index, entry));
        for (index, entry) in raised {
            self.entry(Step::Raise, map::BACKENDS, *index, entry, FIRST_LAST_OF_8);
        }
        let lowered: Vec<_> = lowered
            .into_iter()
            .filter(|(_, entry)| !self.emptied.pools.contains(&entry.pool.into()))
            .collect();
        let pools: BTreeSet<_> = lowered.iter().map(|(_, entry)| u32::from(entry.pool)).collect();
        for pool in pools {
            self.spare(pool);
        }
        for (index, entry) in lowered {
            self.lower(Step::Lower, *index, entry);
        }
    }

    fn lowers(&self, index: u32, entry: &BackendEntry) -> bool {
        let held: BackendEntry = read(self.kernel, map::BACKENDS, index);
        held.serves() && !entry.serves()
    }

    /// The route's word first: no packet is to be sent by the rest of it.
    fn lower(&mut self, step: Step, index: u32, entry: &BackendEntry) {
        let mut words = differing(self.kernel, map::BACKENDS, index, entry, FIRST_LAST_OF_8);
        words.rotate_right(1);
        self.store(step, map::BACKENDS, words);
    }

    fn spare(&mut self, index: u32) {
        let Some(pool) = self.image.pools.get(&index) else { return };
        let held: PoolEntry = read(self.kernel, map::POOLS, index);
        self.entry(Step::Spare, map::POOLS, index, &PoolEntry { spare: pool.spare, ..held }, SINGLE);
    }

    fn tables(&mut self) {
        for (base, rows) in &self.image.slab {
            let first = (base / ROWS_PER_WORD) as usize;
            let differing = differing_words(self.kernel, map::SLAB, first, region_words(rows));
            self.store(Step::Rows, map::SLAB, differing);
        }
        for (index, table) in &self.image.tables {
            self.entry(Step::Table, map::TABLES, *index, table, FIRST_LAST_OF_4);
        }
    }

    fn pools(&mut self) {
        for (index, pool) in &self.image.pools {
            if !self.emptied.pools.contains(index) {
                self.entry(Step::Pool, map::POOLS, *index, pool, SINGLE);
            }
        }
    }

    fn quic_servers(&mut self) {
        let held = self.kernel.quic_servers();
        let wanted = self.image.quic_servers.iter();
        let servers = wanted.filter(|(key, server)| held.get(key) != Some(server));
        let servers = servers.map(|(key, server)| (*key, Some(*server))).collect();
        self.set(Step::QuicServer, servers);
    }

    fn set(&mut self, step: Step, servers: Vec<(QuicKey, Option<QuicServer>)>) {
        if !servers.is_empty() {
            self.ops.push(Op::QuicServers { step, servers });
        }
    }

    fn access(&mut self) {
        for (index, policy) in &self.image.access {
            self.entry(Step::Access, map::ACCESS_POLICIES, *index, policy, FIRST_LAST_OF_2);
        }
    }

    fn services(&mut self) {
        for (index, service) in &self.image.services {
            if !self.emptied.services.contains(index) {
                self.entry(Step::Service, map::SERVICES, *index, service, FIRST_LAST_OF_8);
            }
        }
    }

    fn vips(&mut self) {
        let held: Control = read(self.kernel, map::CONTROL, 0);
        let table = self.place(held.vips);
        for (index, bucket) in (table.base()..).zip(&self.image.vips) {
            self.entry(Step::Vips, map::VIPS, index, bucket, FIRST_LAST_OF_8);
        }
        for (line, ranges) in (0..).zip(&self.image.ranges) {
            let index = PortRanges::index(line, table);
            self.entry(Step::Vips, map::PORT_RANGES, index, ranges, FIRST_LAST_OF_8);
        }
        let bits = (0..FILTER_WORDS as usize).filter_map(|word| {
            let held = self.kernel.load(map::VIP_FILTER, word);
            let both = held | self.image.filter.get(word)?;
            (both != held).then_some((word, both))
        });
        let bits = bits.collect();
        self.store(Step::Vips, map::VIP_FILTER, bits);
        // What was turned before is stored already: of that nothing differs by then.
        let turned = turned(&self.image.control, &held);
        let control = Control { vips: table, ..in_force(&self.image.control, &held) };
        let words = difference(&turned, &control, KEYS_EPOCH_VIPS);
        self.store(Step::Control, map::CONTROL, words);
    }

    /// The table in force, if it is the image's; else one in the other half of the buckets.
    fn place(&self, held: VipTable) -> VipTable {
        let wanted = self.image.control.vips;
        let at = |base| VipTable::new(base, u8::try_from(wanted.log2()).unwrap_or(u8::MAX), wanted.seed());
        let mut buckets = (held.base()..).zip(&self.image.vips);
        let mut lines = (0..).zip(&self.image.ranges);
        let has_line = |(line, ranges): (u32, &PortRanges)| {
            read::<PortRanges>(self.kernel, map::PORT_RANGES, PortRanges::index(line, held)) == *ranges
        };
        if held == at(held.base())
            && buckets.all(|(index, bucket)| read::<VipBucket>(self.kernel, map::VIPS, index) == *bucket)
            && lines.all(has_line)
        {
            return held;
        }
        let half = self.kernel.words(map::VIPS) / words_of::<VipBucket>() / 2;
        at(if held.base() == 0 { u32::try_from(half).unwrap_or(0) } else { 0 })
    }

    fn empty(&mut self) {
        let image = self.image;
        let emptied = std::mem::take(&mut self.emptied);
        for (index, service) in image.services.iter().filter(|(index, _)| emptied.services.contains(index)) {
            self.entry(Step::Empty, map::SERVICES, *index, service, FIRST_LAST_OF_8);
        }
        for (index, pool) in image.pools.iter().filter(|(index, _)| emptied.pools.contains(index)) {
            self.entry(Step::Empty, map::POOLS, *index, pool, SINGLE);
        }
        for (index, entry) in &image.backends {
            if emptied.pools.contains(&entry.pool.into()) && self.lowers(*index, entry) {
                self.lower(Step::Empty, *index, entry);
            }
        }
    }

    /// Before the wait: a packet of a recorded connection is sent by the whole entry, or not by it.
    fn retire(&mut self) {
        let gone = occupied::<BackendEntry>(self.kernel, map::BACKENDS).into_iter();
        for index in gone.filter(|index| !self.image.backends.contains_key(index)) {
            let held: BackendEntry = read(self.kernel, map::BACKENDS, index);
            if held.serves() {
                let word = index as usize * words_of::<BackendEntry>();
                self.store(Step::Retire, map::BACKENDS, vec![(word, bytemuck::cast(Route::default()))]);
            }
        }
    }

    fn remove(&mut self) {
        let exchanged = self.ops.iter().any(|op| op.step().is_some_and(|step| step >= Step::Pool));
        let before = std::mem::take(&mut self.ops);
        let held = self.kernel.quic_servers().into_keys();
        let unnamed = held.filter(|key| !self.image.quic_servers.contains_key(key));
        self.set(Step::Remove, unnamed.map(|key| (key, None)).collect());
        self.clear(map::SERVICES, &self.image.services, FIRST_LAST_OF_8);
        self.clear(map::ACCESS_POLICIES, &self.image.access, FIRST_LAST_OF_2);
        self.clear(map::POOLS, &self.image.pools, SINGLE);
        self.clear(map::TABLES, &self.image.tables, FIRST_LAST_OF_4);
        self.clear(map::BACKENDS, &self.image.backends, FIRST_LAST_OF_8);
        self.clear(map::TUNNELS, &self.image.tunnels, FIRST_LAST_OF_2);
        let held: Control = read(self.kernel, map::CONTROL, 0);
        self.store(Step::Remove, map::CONTROL, spent(&in_force(&self.image.control, &held)));
        let filter = self.image.filter.iter().copied().enumerate();
        let bits =
            filter.filter(|&(word, wanted)| self.kernel.load(map::VIP_FILTER, word) & !wanted != 0).collect();
        self.store(Step::Remove, map::VIP_FILTER, bits);
        let removals = std::mem::replace(&mut self.ops, before);
        if exchanged || !removals.is_empty() {
            self.ops.push(Op::Grace);
        }
        self.ops.extend(removals);
    }

    fn clear<T: Pod + Default + PartialEq>(
        &mut self,
        map: &'static str,
        named: &BTreeMap<u32, T>,
        order: Order,
    ) {
        for index in occupied::<T>(self.kernel, map).into_iter().filter(|index| !named.contains_key(index)) {
            self.entry(Step::Remove, map, index, &T::default(), order);
        }
    }
}
