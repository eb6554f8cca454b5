//! What travels with a packet of a service that tracks by chain: whom else to ask after its connection.

use super::world::{TUNNEL_PORT, VIP_V4};
use super::*;
use lb_common::abi::{BackendEntry, ServiceFlags};
use lb_common::row::{Mode, Row};

/// Both services track by chain; their rows had so many owners before, whose addresses end in 0xa0, 0xa1.
fn world(owners: usize) -> World {
    let mut world = World::with_tunnels(BackendFlags::GUE.with(BackendFlags::CHAIN));
    for service in 0..2 {
        let flags = &mut world.services[service].flags;
        *flags = flags.with(ServiceFlags::UNTRACKED).with(ServiceFlags::CHAIN);
        let own = u16::try_from(service).unwrap();
        let mode = if owners > 0 { Mode::Chained } else { Mode::Clean };
        world.slab[service] = bytemuck::cast([Row::new(own, mode); 4]);
        for number in 0..2 {
            let index = u16::try_from(world.backends.len()).unwrap();
            world.backends.push(BackendEntry {
                destination: earlier(service == 1, number).into(),
                ..world.backends[service]
            });
            let owner = if usize::from(number) < owners { index } else { own };
            let rows = [Row::new(owner, Mode::Clean); 4];
            world.tables[service + 1].earlier[usize::from(number)] =
                u32::try_from(world.slab.len() * 4).unwrap();
            world.slab.push(bytemuck::cast(rows));
        }
    }
    world
}

fn earlier(v6: bool, number: u8) -> IpAddr {
    let last = 0xa0 + number;
    if v6 {
        [0x20, 1, 0xd, 0xb8, 0, 0xe, 0, 0, 0, 0, 0, 0, 0, 0, 0, last].into()
    } else {
        [203, 0, 113, last].into()
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

proptest! {
    #[test]
    fn the_earlier_owners_travel_behind_gue(
        to in vip(), port in port(), owners in 0_usize..=2, tags in 0_usize..=2, payload in vec(any::<u8>(), 0..300),
    ) {
        let inner = packet(to, port, 0, &payload);
        let (action, bytes, _) = run(&world(owners), &framed(tags, &inner), HEADROOM);
        prop_assert_eq!(action, Action::Transmit);
        let v6 = port == 80;
        let asked = (0..owners).flat_map(|number| octets(earlier(v6, u8::try_from(number).unwrap())));
        let private = match owners {
            0 => std::vec![],
            _ => [1, u8::try_from(owners).unwrap(), 0, 0].into_iter().chain(asked).collect(),
        };
        let length = 12 + private.len() + inner.len();
        let rest = udp(outer(&bytes, port, 0, 17, length)?, length)?;
        let words = u8::try_from(private.len() / 4).unwrap();
        let expected = [&[words, number(&inner), 0, 0], &private[..], &inner[..]].concat();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn room_is_left_for_all_who_may_be_asked() {
    for (owners, v6) in [(0, false), (2, false), (0, true), (2, true)] {
        let world = world(owners);
        let port = if v6 { 80 } else { 443 };
        let room = usize::from(MTU) - if v6 { 40 + 12 + 52 } else { 20 + 12 + 16 };
        let sized = |length| framed(0, &packet(VIP_V4.into(), port, 0, &std::vec![0; length - 28]));
        let is_sent = |length| matches!(run(&world, &sized(length), HEADROOM).2[..], [Count::Sent(..)]);
        assert!(is_sent(room) && !is_sent(room + 1), "{owners} {v6}");
    }
}

#[test]
fn without_the_feature_nothing_travels() {
    let mut world = world(2);
    world.features = Features::GUE;
    let (_, bytes, _) = run(&world, &framed(0, &packet(VIP_V4.into(), 443, 0, b"x")), HEADROOM);
    assert_eq!(bytes[14 + 20 + 8], 0);
    assert_eq!(bytes[36..38], TUNNEL_PORT.to_be_bytes());
}

#[test]
fn udp_that_moves_asks_nobody() {
    let mut world = world(2);
    let flags = &mut world.services[0].flags;
    *flags = flags.with(ServiceFlags::UDP_MOVES);
    let (_, bytes, _) = run(&world, &framed(0, &packet(VIP_V4.into(), 443, 0, b"x")), HEADROOM);
    assert_eq!(bytes[14 + 20 + 8], 0);
}
