//! QUIC to the server that its connection id names: the IPv4 service's rows all say the first backend, and server id
//! `0a0b` is the second's.

use super::world::{Count, VIP_V4, VIP_V6, World};
use super::{HEADROOM, framed, packet, run};
use crate::verdict::Action;
use lb_common::abi::{BackendFlags, PoolEntry, QuicKey, QuicLengths, QuicServer, ServiceFlags, TableEntry};
use lb_common::row::{Mode, Row};
use std::net::IpAddr;
use std::vec::Vec;

/// Configuration 2: ids of 1 + 2 + 4 bytes.
const CONFIG: u8 = 2;
const SERVER: [u8; 2] = [0x0a, 0x0b];
const ROUTED: u32 = 1;
const BY_ROW: u32 = 0;

fn world() -> World {
    let mut world = World::new();
    world.services[0].flags = ServiceFlags::QUIC;
    world.services[0].quic = QuicLengths::default().with(CONFIG, 2);
    world.servers.insert(QuicKey::new(0, CONFIG, &SERVER), QuicServer { backend: ROUTED, shortest: 7 });
    world
}

fn id(config: u8, server: [u8; 2]) -> Vec<u8> {
    [&[config << 5 | 6], &server[..], b"once"].concat()
}

fn short(id: &[u8]) -> Vec<u8> {
    [&[0x40], id, &[0xee; 20]].concat()
}

fn long(id: &[u8], length: u8) -> Vec<u8> {
    [&[0xc0, 0, 0, 0, 1, length], id, &[0xee; 20]].concat()
}

/// Who is sent a datagram to port 443.
fn taker(world: &World, to: IpAddr, data: &[u8]) -> u32 {
    match run(world, &framed(0, &packet(to, 443, 0, data)), HEADROOM) {
        (Action::Transmit, _, counts) => match counts[..] {
            [Count::Sent(0, backend, _)] => backend,
            _ => panic!("{counts:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_id_leads_to_its_server_in_both_forms_and_families() {
    for to in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
        let id = id(CONFIG, SERVER);
        assert_eq!(taker(&world(), to, &short(&id)), ROUTED, "{to}");
        assert_eq!(taker(&world(), to, &long(&id, 7)), ROUTED, "{to}");
        assert_eq!(
            taker(&world(), to, &long(&[&id[..], b"more"].concat(), 11)),
            ROUTED,
            "{to}: longer is whole"
        );
    }
}

#[test]
fn what_names_nobody_goes_by_its_row() {
    let good = id(CONFIG, SERVER);
    for (about, data) in [
        ("unknown server id", short(&id(CONFIG, [0x0a, 0x0c]))),
        ("no such configuration", short(&id(3, SERVER))),
        ("not routable, by the draft", short(&id(7, SERVER))),
        ("shorter than its configuration's ids", long(&good, 6)),
        ("no id at all", long(&[], 0)),
        ("datagram too short", short(&good)[..16].to_vec()),
        ("long header in a datagram too short", long(&good, 7)[..21].to_vec()),
        ("no data", Vec::new()),
    ] {
        assert_eq!(taker(&world(), VIP_V4.into(), &data), BY_ROW, "{about}");
    }
}

#[test]
fn a_server_that_does_not_serve_is_not_waited_for() {
    let mut world = world();
    let flags = &mut world.backends[ROUTED as usize].route.flags;
    *flags = flags.without(BackendFlags::SERVES);
    assert_eq!(taker(&world, VIP_V4.into(), &short(&id(CONFIG, SERVER))), BY_ROW);
    world.backends.pop();
    assert_eq!(
        taker(&world, VIP_V4.into(), &short(&id(CONFIG, SERVER))),
        BY_ROW,
        "nor one that is not there"
    );
}

#[test]
fn a_server_is_one_of_a_service_that_asks_for_it() {
    let mut world = world();
    world.services[0].flags = ServiceFlags::default();
    assert_eq!(taker(&world, VIP_V4.into(), &short(&id(CONFIG, SERVER))), BY_ROW);
    world.services[1] = world.services[0];
    world.services[1].flags = ServiceFlags::QUIC;
    let frame = framed(0, &packet(VIP_V4.into(), 80, 0, &short(&id(CONFIG, SERVER))));
    let (.., counts) = run(&world, &frame, HEADROOM);
    assert!(matches!(counts[..], [Count::Sent(1, BY_ROW, _)]), "another service's: {counts:?}");
}

#[test]
fn no_row_is_asked() {
    let mut world = world();
    (world.pools, world.tables) = (std::vec![PoolEntry::default()], std::vec![TableEntry::default()]);
    assert_eq!(taker(&world, VIP_V4.into(), &short(&id(CONFIG, SERVER))), ROUTED);
}

/// Its row has the first backend now, and had the second.
#[test]
fn on_a_row_that_moves_a_connection_begins_with_the_new_owner() {
    let mut world = world();
    world.slab[0] = bytemuck::cast([Row::new(0, Mode::Moving); 4]);
    world.slab.push(bytemuck::cast([Row::new(1, Mode::Clean); 4]));
    world.tables[1].stable = 8;
    const { assert!(BY_ROW == 0 && ROUTED == 1) };
    let made_up = id(CONFIG, [1, 2]);
    assert_eq!(taker(&world, VIP_V4.into(), &long(&made_up, 7)), BY_ROW, "an Initial, perhaps");
    assert_eq!(taker(&world, VIP_V4.into(), &long(&[], 0)), BY_ROW);
    assert_eq!(taker(&world, VIP_V4.into(), &short(&made_up)), ROUTED, "it was under way");
    assert_eq!(taker(&world, VIP_V4.into(), b"no QUIC"), ROUTED);
    world.services[0].flags = ServiceFlags::default();
    assert_eq!(taker(&world, VIP_V4.into(), &long(&made_up, 7)), ROUTED, "UDP without `quic`");
}
