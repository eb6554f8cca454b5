use super::Signal::{Acknowledges, Datagram, Opens, Resets};
use super::*;
use lb_common::net::{Address, Family, NetworkU16};
use proptest::prelude::*;
use std::vec::Vec;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const BACKEND: u32 = 7;

/// A slot, and what was counted for [`BACKEND`].
#[derive(Default)]
struct Slot {
    flow: SampledFlow,
    evidence: Evidence,
}

impl Slot {
    fn see(&mut self, key: u64, signal: Signal, now: u64) -> &mut Self {
        let found = meet(&mut self.flow, key, (BACKEND, signal), now);
        found.count(&mut self.evidence);
        self
    }
}

#[test]
fn a_handshake_is_timed_from_its_syn_to_the_first_acknowledgement() {
    let mut slot = Slot::default();
    slot.see(1, Opens, SECOND).see(1, Acknowledges, SECOND + 30 * MS).see(1, Acknowledges, SECOND + 99 * MS);
    let Evidence { begun, completed, retried, active, times, .. } = slot.evidence;
    assert_eq!((begun, completed, retried, active), (1, 1, 0, 1));
    assert_eq!((times[Evidence::bucket(30_000)], times.iter().sum::<u64>()), (1, 1));
}

#[test]
fn a_syn_that_comes_again_counts_once_and_in_a_row_until_another_is_answered_in_time() {
    let mut slot = Slot::default();
    slot.see(1, Opens, 0).see(1, Opens, SECOND).see(1, Opens, 3 * SECOND);
    // Its slot is free for others now.
    slot.see(2, Opens, 5 * SECOND).see(2, Opens, 6 * SECOND);
    assert_eq!((slot.evidence.begun, slot.evidence.retried, slot.evidence.in_a_row), (2, 2, 2));
    // Late is failed.
    slot.see(2, Acknowledges, 6 * SECOND + MS);
    assert_eq!((slot.evidence.recovered, slot.evidence.completed, slot.evidence.in_a_row), (1, 0, 2));
    slot.see(3, Opens, 7 * SECOND).see(3, Acknowledges, 7 * SECOND + MS);
    assert_eq!((slot.evidence.recovered, slot.evidence.completed, slot.evidence.in_a_row), (1, 1, 0));
}

#[test]
fn a_copy_of_a_syn_that_the_network_made_counts_for_nothing() {
    let mut slot = Slot::default();
    slot.see(1, Opens, 0).see(1, Opens, 10).see(1, Opens, 200 * MS).see(1, Acknowledges, 201 * MS);
    assert_eq!((slot.evidence.begun, slot.evidence.retried, slot.evidence.completed), (1, 0, 1));
}

#[test]
fn a_missing_acknowledgement_counts_for_nothing() {
    let mut slot = Slot::default();
    for key in 1..1000 {
        slot.see(key, Opens, key * 10 * SECOND);
    }
    let Evidence { begun, active, .. } = slot.evidence;
    assert_eq!(slot.evidence, Evidence { begun, active, ..Evidence::default() });
    assert_eq!(begun, 999);
}

#[test]
fn a_handshake_keeps_its_slot_and_others_are_only_counted() {
    let mut slot = Slot::default();
    slot.see(1, Opens, 0);
    slot.see(2, Opens, SECOND).see(3, Acknowledges, SECOND).see(4, Datagram, SECOND).see(5, Resets, SECOND);
    assert_eq!((slot.flow.key, slot.evidence.begun, slot.evidence.active), (1, 2, 1));
    slot.see(1, Acknowledges, 2 * SECOND);
    assert_eq!(slot.evidence.completed, 1);
}

#[test]
fn resets_before_the_answer_are_told_from_later_ones() {
    let mut slot = Slot::default();
    slot.see(1, Opens, 0).see(1, Resets, MS);
    slot.see(1, Opens, 2 * MS).see(1, Acknowledges, 3 * MS).see(1, Resets, 4 * MS);
    let Evidence { begun, abandoned, resets, completed, .. } = slot.evidence;
    assert_eq!((begun, abandoned, resets, completed), (2, 1, 1, 1));
}

#[test]
fn a_flow_is_active_once_in_an_interval() {
    let mut slot = Slot::default();
    let interval = 1 << Evidence::INTERVAL;
    for packet in 0..100 {
        slot.see(1, Datagram, packet * interval / 10);
    }
    let Evidence { begun, active, .. } = slot.evidence;
    assert_eq!((begun, active), (1, 10));
}

#[test]
fn a_flow_that_was_not_followed_when_it_began_has_not_begun() {
    let mut slot = Slot::default();
    slot.see(1, Acknowledges, SECOND).see(1, Acknowledges, SECOND + MS);
    assert_eq!(slot.evidence, Evidence { active: 1, ..Evidence::default() });
}

#[test]
fn what_a_flow_says_is_about_the_backend_of_its_first_packet() {
    let mut flow = SampledFlow::default();
    meet(&mut flow, 1, (3, Opens), 0);
    assert_eq!(meet(&mut flow, 1, (4, Opens), SECOND).backend, 3);
    // What another answered says nothing of it, and nothing of the other.
    let mut evidence = Evidence::default();
    meet(&mut flow, 1, (4, Acknowledges), SECOND).count(&mut evidence);
    assert_eq!(evidence, Evidence::default());
}

#[test]
fn a_syn_of_the_same_ports_is_of_another_connection_later() {
    let mut slot = Slot::default();
    slot.see(1, Opens, 0).see(1, Opens, 130 * SECOND);
    assert_eq!((slot.evidence.begun, slot.evidence.retried), (1, 1));
    slot.see(1, Opens, 140 * SECOND);
    assert_eq!((slot.evidence.begun, slot.evidence.retried), (2, 1));
}

/// Of one client to one service.
fn flow(port: u16) -> Flow {
    Flow {
        family: Family::V4,
        source: Address::from_v4_word(1),
        destination: Address::from_v4_word(2),
        source_port: NetworkU16::new(port),
        destination_port: NetworkU16::new(443),
        protocol: protocol::TCP,
    }
}

fn signal() -> impl Strategy<Value = Signal> {
    prop::sample::select([Opens, Acknowledges, Resets, Datagram].to_vec())
}

proptest! {
    /// Whatever comes, handshakes do not end more often than they begin, and nothing overflows.
    #[test]
    fn counts_agree(packets in prop::collection::vec((1u64..4, signal(), 0u64..20_000), 0..200)) {
        let mut slot = Slot::default();
        let mut now = 0;
        for (key, signal, pause) in packets {
            now += pause * MS;
            slot.see(key, signal, now);
        }
        let Evidence { begun, completed, retried, recovered, abandoned, times, in_a_row, .. } = slot.evidence;
        prop_assert!(completed + recovered + abandoned <= begun);
        prop_assert!(recovered <= retried && retried <= begun && in_a_row <= retried);
        prop_assert_eq!(times.iter().sum::<u64>(), completed + recovered);
    }

    /// Flows that look alike in all that the affinity hashes are told apart, and so many of them are followed as is asked.
    #[test]
    fn one_in_so_many_is_followed(hash: u64, first in 1024u16..30_000) {
        let keys: Vec<_> = (0..16_384).map(|port| key(FlowHash(hash), &flow(first + port), 1)).collect();
        let followed = keys.iter().filter(|key| **key >> 48 < 4096).count();
        prop_assert!((800..1250).contains(&followed), "{followed}");
        let different: std::collections::HashSet<_> = keys.iter().collect();
        prop_assert_eq!(different.len(), keys.len());
    }
}
