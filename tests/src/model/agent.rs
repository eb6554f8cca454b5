//! The agent, out of its real parts, with somebody watching after each store.

use std::collections::BTreeSet;
use std::sync::Arc;

use lb_common::abi::{BackendEntry, map};
use lb_userspace::compile::{Cache, Ledger, MapImage, Record, compile};
use lb_userspace::policy;
use lb_userspace::reconcile::{self, Op};
use lb_userspace::sweep::{Found, Sweep};

use super::history::Rules;
use super::plane::Plane;
use super::world::{WINDOW, World, sizes};

/// Keeps the maps of a plane.
pub(super) struct Agent {
    ledger: Ledger,
    cache: Cache,
    image: Option<Arc<MapImage>>,
    sweep: Option<Found>,
    rules: Rules,
}

impl Agent {
    pub(super) fn new(rules: Rules) -> Self {
        Self { ledger: Ledger::new(sizes()), cache: Cache::default(), image: None, sweep: None, rules }
    }

    /// Indices of backends whose endpoints are configured no more.
    pub(super) fn gone(&self, world: &World) -> BTreeSet<u32> {
        let configured = |name: &str, address: &std::net::IpAddr| {
            let mut pools = world.config.pools.iter().filter(|pool| pool.name == name);
            pools.any(|pool| pool.endpoints.iter().any(|endpoint| endpoint.address == *address))
        };
        let pools = self.ledger.record().pools.iter();
        let backends = pools.flat_map(|(name, pool)| pool.backends.iter().map(move |known| (name, known)));
        let gone = backends.filter(|(name, (address, _))| !configured(name, address));
        gone.map(|(_, (_, backend))| backend.index.into()).collect()
    }

    /// Index of an endpoint.
    fn index(&self, pool: &str, address: std::net::IpAddr) -> Option<u16> {
        self.ledger.record().pools.get(pool)?.backends.get(&address).map(|backend| backend.index)
    }

    /// Marks a backend as not serving.
    pub(super) fn mark(&mut self, pool: &str, address: std::net::IpAddr, plane: &mut impl Plane) {
        if let Some(index) = self.index(pool, address) {
            reconcile::mark_down(plane, index);
            self.ledger.rest(index);
        }
    }

    /// Brings the maps up to date; `watch` sees them after a store to the map that is named. If it says false, the agent dies there,
    /// and another takes over: then it says false, too.
    pub(super) fn follow<P: Plane>(
        &mut self,
        world: &World,
        plane: &mut P,
        now: u64,
        watch: &mut impl FnMut(&mut P, &str) -> bool,
    ) -> bool {
        let mut desired = policy::decide(&world.config, &world.observed);
        if self.rules.half_windows {
            desired.change_window = WINDOW / 2;
        }
        let image = compile(&desired, &mut self.ledger, &mut self.cache, now).expect("it fits");
        for op in reconcile::plan(&image, plane) {
            if !perform(&op, plane, watch) {
                self.restart(plane, now);
                return false;
            }
        }
        self.ledger.release_tables(image.generation);
        self.image = Some(Arc::new(image));
        true
    }

    /// Ends, and another takes over.
    pub(super) fn restart(&mut self, plane: &impl Plane, now: u64) {
        let text = serde_json::to_string(self.ledger.record()).expect("a record is text");
        let record: Record = serde_json::from_str(&text).expect("it was just written");
        self.ledger = Ledger::adopt(record, sizes(), plane, now).expect("it was whole");
        (self.image, self.sweep) = (None, None);
    }

    /// Reads the connections; what they tell is taken in later.
    pub(super) fn begin_sweep(&mut self, plane: &mut impl Plane, now: u64) {
        let Some(image) = self.image.clone() else { return };
        let mut found =
            Sweep::new(image, self.ledger.record(), now, WINDOW).judge(plane.connections().into_iter());
        plane.forget(&found.over);
        if self.rules.blind_sweeps {
            found.needed.clear();
        }
        self.sweep = Some(found);
    }

    /// Takes in what the last sweep told.
    pub(super) fn end_sweep(&mut self) {
        let Some(found) = self.sweep.take() else { return };
        self.ledger.release_names(found.generation);
        if found.generation == self.ledger.record().generation {
            self.ledger.settle(found.before, |table, row| found.needed.contains(&(table, row)));
        }
    }
}

/// Stores word by word; false: the watcher ended it.
fn perform<P: Plane>(op: &Op, plane: &mut P, watch: &mut impl FnMut(&mut P, &str) -> bool) -> bool {
    let Op::Store { map, words, .. } = op else { return true };
    // Of a long run of rows nothing is seen before a table names them.
    let stride = (words.len() / 3).max(1);
    for (number, (word, value)) in words.iter().enumerate() {
        plane.store(map, *word, *value);
        if number % stride == 0 && !watch(plane, map) {
            return false;
        }
    }
    true
}

/// Whether a backend serves, as packets see it.
pub(super) fn serves(plane: &impl Plane, index: u32) -> bool {
    let first = index as usize * (size_of::<BackendEntry>() / size_of::<u64>());
    let mut entry = [0_u64; size_of::<BackendEntry>() / size_of::<u64>()];
    plane.read(map::BACKENDS, first, &mut entry);
    let entry: BackendEntry = bytemuck::cast(entry);
    entry.serves()
}
