//! What must hold at any moment while plans are applied.

mod access;
mod histories;
mod observer;
mod quic;
mod ranges;
mod tunnel_key;

use super::*;
use crate::compile::{Cache, Ledger, MapImage, Record, Sizes, compile};
use crate::config::model::EncapKind;
use crate::policy::desired::{Desired, MemberState, Reach};
use histories::{Change, LIMITS, flows, histories, world};
use lb_common::abi::{BackendEntry, BackendFlags, Control, TunnelEntry, map};
use observer::{Expectation, Found, State, resolve};
use proptest::prelude::*;

/// Histories that are tried; a look-up is slow without optimisation.
const CASES: u32 = 64;

/// An agent and the maps it keeps.
struct Agent {
    ledger: Ledger,
    cache: Cache,
    maps: MemoryMaps,
    /// What was applied last.
    image: Option<MapImage>,
}

impl Agent {
    fn new() -> Self {
        // Maps that are no larger than the world make each plan's scan of them short.
        let sizes = Sizes { pools: 128, tables: 128, ..Sizes::of(&LIMITS) };
        Self {
            ledger: Ledger::new(sizes),
            cache: Cache::default(),
            maps: MemoryMaps::new(&sizes),
            image: None,
        }
    }

    /// Takes over from itself as a new process would: with the record and the maps, and nothing else.
    fn restart(&mut self) {
        let text = serde_json::to_string(self.ledger.record()).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        self.ledger = Ledger::adopt(record, *self.ledger.sizes(), &self.maps, 0).unwrap();
        self.cache = Cache::default();
    }

    fn compile(&mut self, desired: &Desired) -> MapImage {
        compile(desired, &mut self.ledger, &mut self.cache, 0).unwrap()
    }

    fn follow(&mut self, desired: &Desired) -> usize {
        let image = self.compile(desired);
        let changes = reconcile(&image, &mut self.maps).unwrap();
        self.ledger.release_tables(image.generation);
        self.ledger.release_names(image.generation);
        self.ledger.release_access(image.generation);
        changes
    }

    /// As [`Agent::follow`], with somebody watching after each operation.
    fn follow_watched(&mut self, desired: &Desired) {
        let image = self.compile(desired);
        let ops = plan(&image, &self.maps);
        let mut after = self.maps.clone();
        for op in &ops {
            perform(op, &mut after);
        }
        let blank = || Agent::new().compile(&nothing());
        let before = (self.maps.clone(), self.image.take().unwrap_or_else(blank));
        let old = State { maps: &before.0, image: &before.1 };
        let new = State { maps: &after, image: &image };
        let expectations: Vec<_> = flows().map(|flow| Expectation::new(flow, old, new)).collect();
        for op in &ops {
            perform(op, &mut self.maps);
            for expectation in &expectations {
                expectation.check(&self.maps, op);
            }
            quic::no_server_is_mistaken_for_another(&self.maps, op);
        }
        assert_eq!(plan(&image, &self.maps), [], "applied once is applied");
        assert_eq!(self.maps.quic_servers, image.quic_servers);
        for flow in flows() {
            assert_eq!(resolve(&flow, &self.maps), resolve(&flow, &image), "the maps answer as the image");
        }
        self.ledger.release_tables(image.generation);
        self.ledger.release_names(image.generation);
        self.image = Some(image);
    }
}

fn nothing() -> Desired {
    Desired { services: Vec::new(), pools: Vec::new(), ..world() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn nobody_ever_sees_a_half_applied_plan(history in histories()) {
        let mut agent = Agent::new();
        for change in history {
            match change {
                Change::Follow(desired) => agent.follow_watched(&desired),
                Change::MarkDown(backend) => mark_down(&mut agent.maps, backend),
                Change::Restart => agent.restart(),
            }
        }
    }

    #[test]
    fn an_index_means_one_thing_while_anything_may_name_it(history in histories()) {
        let mut agent = Agent::new();
        for change in history {
            let Change::Follow(desired) = change else { continue };
            let before = agent.maps.clone();
            agent.follow(&desired);
            let renamed = (0..LIMITS.backends).filter(|&index| {
                let (old, new) = (backend(&before, index), backend(&agent.maps, index));
                old.destination != new.destination && old != BackendEntry::default() && new != BackendEntry::default()
            });
            prop_assert_eq!(renamed.count(), 0);
        }
    }
}

fn backend(maps: &MemoryMaps, index: u32) -> BackendEntry {
    diff::read(maps, map::BACKENDS, index)
}

fn control(maps: &MemoryMaps) -> Control {
    diff::read(maps, map::CONTROL, 0)
}

#[test]
fn what_is_held_takes_no_operation() {
    let mut agent = Agent::new();
    assert!(agent.follow(&world()) > 0);
    assert_eq!(agent.follow(&world()), 0);
    agent.restart();
    assert_eq!(agent.follow(&world()), 0);
}

#[test]
fn a_changed_next_hop_is_one_operation_with_the_route_last() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let mut desired = world();
    let Reach::Via(egress) = &mut desired.pools[0].members[0].reach else { panic!() };
    egress.hop.interface = 9;
    egress.hop.destination_mac = [2, 9, 9, 9, 9, 9];
    let ops = plan(&agent.compile(&desired), &agent.maps);
    let [Op::Store { step: Step::Raise, map: map::BACKENDS, words }] = ops.as_slice() else {
        panic!("{ops:?}")
    };
    assert_eq!(words.iter().map(|(word, _)| word % 8).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_backend_that_ceases_to_serve_does_so_by_its_first_store() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let mut desired = world();
    desired.pools[0].members[0].reach = Reach::Unresolved;
    let ops = plan(&agent.compile(&desired), &agent.maps);
    let lower = ops.iter().find(|op| matches!(op, Op::Store { step: Step::Lower, .. }));
    let Some(Op::Store { words, .. }) = lower else { panic!("{ops:?}") };
    assert_eq!(words[0].0 % 8, 0);
    assert!(words.len() > 1, "then the rest is cleared");
}

#[test]
fn a_backend_that_is_removed_serves_no_recorded_connection_while_its_entry_is_cleared() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let mut desired = world();
    desired.pools[0].members.pop();
    let ops = plan(&agent.compile(&desired), &agent.maps);
    let of_backends = |op: &Op| matches!(op, Op::Store { map: map::BACKENDS, .. });
    let stores: Vec<_> = ops.iter().filter(|op| **op == Op::Grace || of_backends(op)).collect();
    let [Op::Store { step: Step::Retire, words, .. }, Op::Grace, Op::Store { step: Step::Remove, .. }] =
        stores.as_slice()
    else {
        panic!("{stores:?}")
    };
    assert_eq!(words.iter().map(|(word, new)| (word % 8, *new)).collect::<Vec<_>>(), [(0, 0)]);
}

#[test]
fn tampering_is_undone() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let whole = agent.maps.clone();
    for (name, word) in [
        (map::VIP_FILTER, 7),
        (map::SERVICES, 1),
        (map::SERVICES, 28),
        (map::POOLS, 0),
        (map::POOLS, 100),
        (map::TABLES, 4),
        (map::SLAB, 3),
        (map::BACKENDS, 2),
        (map::BACKENDS, 8 * 60 + 3),
        (map::TUNNELS, 0),
        (map::CONTROL, 1),
    ] {
        agent.maps.store(name, word, 0x00ff_1234_5678_9abc);
        assert!(agent.follow(&world()) > 0, "{name} {word}");
        for flow in flows() {
            assert_eq!(resolve(&flow, &agent.maps), resolve(&flow, &whole), "{name} {word}");
        }
        assert_eq!(agent.follow(&world()), 0, "{name} {word}");
    }
}

#[test]
fn the_vip_table_moves_to_the_other_half_only_if_it_changes() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let first = control(&agent.maps).vips;
    let mut desired = world();
    desired.pools[0].members[0].state = MemberState::Down;
    agent.follow(&desired);
    assert_eq!(control(&agent.maps).vips, first);
    desired.services[0].vips[0].local = true;
    agent.follow(&desired);
    let second = control(&agent.maps).vips;
    assert_ne!(second.base(), first.base());
    agent.follow(&world());
    assert_eq!(control(&agent.maps).vips.base(), first.base());
}

#[test]
fn an_apply_that_broke_off_is_continued() {
    let mut whole = Agent::new();
    whole.follow(&world());
    let image = whole.compile(&world());
    let mut broken = Agent::new();
    let image_too = broken.compile(&world());
    assert_eq!(image, image_too);
    let ops = plan(&image_too, &broken.maps);
    for done in 0..ops.len() {
        let mut maps = MemoryMaps::new(broken.ledger.sizes());
        ops[..done].iter().for_each(|op| perform(op, &mut maps));
        reconcile(&image_too, &mut maps).unwrap();
        assert_eq!(plan(&image_too, &maps), []);
    }
}

#[test]
fn a_mark_sends_the_rows_elsewhere_at_once() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let victim = flows().find_map(|flow| Some((flow, resolve(&flow, &agent.maps).ok()?)));
    let (flow, Found { backend: index, .. }) = victim.unwrap();
    mark_down(&mut agent.maps, u16::try_from(index).unwrap());
    assert!(!backend(&agent.maps, index).route.flags.has(BackendFlags::SERVES));
    let found = resolve(&flow, &agent.maps).unwrap();
    assert_ne!(found.backend, index);
    let image = agent.compile(&world());
    let ops = plan(&image, &agent.maps);
    let [Op::Store { step: Step::Rouse, .. }, Op::Grace, Op::Store { step: Step::Raise, words, .. }] =
        &ops[..]
    else {
        panic!("flows may be recorded with who stood in: {ops:?}")
    };
    assert_eq!(words.len(), 1, "the image still has it up");
    ops.iter().for_each(|op| perform(op, &mut agent.maps));
    assert_eq!(resolve(&flow, &agent.maps).unwrap().backend, index);
}

/// The encapsulation that the world's first pool has.
fn encapsulated(encap: EncapKind) -> Desired {
    let mut desired = world();
    desired.pools[0].encap = encap;
    desired
}

#[test]
fn a_tunnel_is_there_before_what_goes_through_it_and_until_nothing_does() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let vxlan = EncapKind::Vxlan { port: 4789, vni: 7, mac: [2, 0, 0, 0, 0, 9] };
    let step = |ops: &[Op], wanted: Step, name: &str| {
        let is = |op: &Op| matches!(op, Op::Store { step, map, .. } if *step == wanted && *map == name);
        ops.iter().position(is)
    };
    let ops = plan(&agent.compile(&encapsulated(vxlan)), &agent.maps);
    let tunnel = step(&ops, Step::Tunnel, map::TUNNELS);
    assert!(tunnel.is_some() && tunnel < step(&ops, Step::Raise, map::BACKENDS), "{ops:?}");
    agent.follow(&encapsulated(vxlan));
    let index = usize::from(agent.ledger.record().pools[&world().pools[0].name].index);
    assert_eq!(agent.maps.tunnels[index], TunnelEntry::new(7, [2, 0, 0, 0, 0, 9]));
    let ops = plan(&agent.compile(&world()), &agent.maps);
    let raised = step(&ops, Step::Raise, map::BACKENDS).unwrap();
    let removed = step(&ops, Step::Remove, map::TUNNELS).unwrap();
    assert!(ops[raised..removed].contains(&Op::Grace), "{ops:?}");
    agent.follow(&world());
    assert_eq!(agent.maps.tunnels[index], TunnelEntry::default());
}
