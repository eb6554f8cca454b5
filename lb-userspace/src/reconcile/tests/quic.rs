//! Server ids: in this world, the last byte of the endpoint's address.

use super::*;
use crate::config::model::{QuicConfig, ServerId};
use lb_common::abi::{QuicKey, QuicServer};

/// Whoever is named by a server id, and takes packets, has it.
pub(super) fn no_server_is_mistaken_for_another(maps: &MemoryMaps, op: &Op) {
    for (key, server) in &maps.quic_servers {
        let (entry, (id, _)) = (backend(maps, server.backend), key.server_id());
        let [.., last] = entry.destination.bytes();
        assert!(!entry.serves() || last == id[0], "{key:?} leads to {:?} after {op:?}", entry.destination);
    }
}

fn without_quic() -> Desired {
    let mut desired = world();
    desired.services.iter_mut().for_each(|service| service.quic.clear());
    desired
}

/// The operations of a plan on server ids and on some maps, in order.
fn order(ops: &[Op], maps: &[&str]) -> Vec<Option<Step>> {
    let told = |op: &&Op| match op {
        Op::Store { map, .. } => maps.contains(map),
        Op::QuicServers { .. } | Op::Grace => true,
    };
    let mut steps: Vec<_> = ops.iter().filter(told).map(Op::step).collect();
    steps.dedup();
    steps
}

#[test]
fn server_ids_come_before_the_service_that_reads_them_and_go_after_it() {
    let mut agent = Agent::new();
    agent.follow(&without_quic());
    assert_eq!(agent.maps.quic_servers, BTreeMap::new());
    let ops = plan(&agent.compile(&world()), &agent.maps);
    let expected = [Some(Step::QuicServer), Some(Step::Service), None];
    assert_eq!(order(&ops, &[map::SERVICES]), expected);
    ops.iter().for_each(|op| perform(op, &mut agent.maps));
    // Each service of one pool has its four endpoints; one has twelve, of which each id is there thrice.
    assert_eq!(agent.maps.quic_servers.len(), 16);
    let ops = plan(&agent.compile(&without_quic()), &agent.maps);
    assert_eq!(order(&ops, &[map::SERVICES]), [Some(Step::Service), None, Some(Step::Remove)]);
    ops.iter().for_each(|op| perform(op, &mut agent.maps));
    assert_eq!(agent.maps.quic_servers, BTreeMap::new());
}

#[test]
fn a_server_id_goes_before_the_entry_that_it_names() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let mut desired = world();
    desired.pools[0].members.pop();
    let ops = plan(&agent.compile(&desired), &agent.maps);
    let clears = |op: &Op| matches!(op, Op::Store { step: Step::Remove, map: map::BACKENDS, .. });
    let forgets = |op: &Op| matches!(op, Op::QuicServers { step: Step::Remove, .. });
    let (clears, forgets) = (ops.iter().position(clears), ops.iter().position(forgets));
    assert!(forgets.is_some() && forgets < clears, "{ops:?}");
}

#[test]
fn a_server_id_that_moves_takes_one_operation() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let mut desired = world();
    desired.pools[0].members[0].server_id = ServerId::new(&[200]);
    let key = |id| QuicKey::new(0, 0, &[id]);
    let was = agent.maps.quic_servers[&key(1)];
    agent.follow(&desired);
    assert_eq!(agent.maps.quic_servers.get(&key(200)), Some(&was));
    desired.pools[0].members[1].server_id = ServerId::new(&[200]);
    desired.pools[0].members[0].server_id = None;
    let ops = plan(&agent.compile(&desired), &agent.maps);
    let changed = ops.iter().filter(|op| matches!(op, Op::QuicServers { step: Step::QuicServer, .. }));
    let changed: Vec<_> = changed.collect();
    let [Op::QuicServers { servers, .. }] = changed[..] else { panic!("{ops:?}") };
    assert!(servers.iter().all(|(_, server)| server.is_some()), "it leads somewhere all the time");
}

#[test]
fn tampered_server_ids_are_mended() {
    let mut agent = Agent::new();
    agent.follow(&world());
    let whole = agent.maps.quic_servers.clone();
    let (first, server) = whole.first_key_value().map(|(key, server)| (*key, *server)).unwrap();
    let strangers = QuicKey::new(7, 6, &[1, 2, 3]);
    for (key, tampered) in [
        (first, None),
        (first, Some(QuicServer { backend: 63, ..server })),
        (first, Some(QuicServer { shortest: 0, ..server })),
        (strangers, Some(server)),
    ] {
        agent.maps.set_quic_server(&key, tampered);
        assert!(agent.follow(&world()) > 0, "{key:?} {tampered:?}");
        assert_eq!(agent.maps.quic_servers, whole);
    }
}

#[test]
fn a_configuration_is_read_beside_another() {
    let mut agent = Agent::new();
    let mut desired = world();
    let wider = QuicConfig { id: 5, server_id_length: 1, nonce_length: 10 };
    desired.services[0].quic.push(wider);
    agent.follow(&desired);
    let server = |config| agent.maps.quic_servers[&QuicKey::new(0, config, &[3])];
    assert_eq!(server(0).backend, server(5).backend);
    assert_eq!((server(0).shortest, server(5).shortest), (6, 12));
    let entry = &agent.maps.services[0];
    assert!(entry.flags.has(lb_common::abi::ServiceFlags::QUIC));
    assert_eq!((0..8).map(|config| entry.quic.of(config)).collect::<Vec<_>>(), [1, 0, 0, 0, 0, 1, 0, 0]);
}
