//! Keyed tags: what a packet of a gateway with a key carries behind GUE.

use super::world::VIP_V4;
use super::*;
use lb_common::abi::{TagEpoch, TunnelKey};
use lb_common::siphash::{Key, siphash13};

/// Keys at the first and at the second place.
const KEYS: [Key; 2] = [Key { k0: 1, k1: 2 }, Key { k0: 3, k1: 4 }];

fn world(epoch: TagEpoch) -> World {
    let mut world = World::with_tunnels(BackendFlags::GUE.with(BackendFlags::TAG));
    world.control.tunnel_keys = KEYS.map(|key| TunnelKey { k0: key.k0, k1: key.k1 });
    world.control.epoch = epoch;
    world
}

/// Word and tag, by the bytes of docs/contract.md, section 9.
fn private(inner: &[u8], epoch: u8, key: Key) -> Vec<u8> {
    let header = if inner[0] >> 4 == 4 { 20 } else { 40 };
    let digest = siphash13(key, &inner[..header]).to_be_bytes();
    [&[1, 0, 0, 2, epoch], &digest[..7]].concat()
}

proptest! {
    #[test]
    fn the_tag_is_of_the_key_in_force(
        to in vip(), port in port(), slot in 0_usize..2, epoch in 1_u8.., tags in 0_usize..=2,
        payload in vec(any::<u8>(), 0..300),
    ) {
        let inner = packet(to, port, 0, &payload);
        let (action, bytes, _) = run(&world(TagEpoch::new(epoch, slot)), &framed(tags, &inner), HEADROOM);
        prop_assert_eq!(action, Action::Transmit);
        let length = 12 + 12 + inner.len();
        let rest = udp(outer(&bytes, port, 0, 17, length)?, length)?;
        let expected = [&[3, number(&inner), 0, 0], &private(&inner, epoch, KEYS[slot])[..], &inner[..]].concat();
        prop_assert_eq!(rest, expected);
    }
}

#[test]
fn room_is_left_for_the_tag() {
    let world = world(TagEpoch::new(1, 0));
    let room = usize::from(MTU) - (20 + 12 + 12);
    let sized = |length| framed(0, &packet(VIP_V4.into(), 443, 0, &std::vec![0; length - 28]));
    let is_sent = |length| matches!(run(&world, &sized(length), HEADROOM).2[..], [Count::Sent(..)]);
    assert!(is_sent(room) && !is_sent(room + 1));
}

#[test]
fn without_the_feature_there_is_no_tag() {
    let mut world = world(TagEpoch::new(1, 0));
    world.features = Features::GUE.with(Features::CHAIN);
    let (_, bytes, _) = run(&world, &framed(0, &packet(VIP_V4.into(), 443, 0, b"x")), HEADROOM);
    assert_eq!(bytes[14 + 20 + 8], 0);
}

#[test]
fn what_cannot_be_tagged_is_not_sent_without() {
    let world = world(TagEpoch::default());
    let frame = framed(0, &packet(VIP_V4.into(), 443, 0, b"x"));
    let (action, _, counts) = run(&world, &frame, HEADROOM);
    assert_eq!(action, Action::Drop);
    assert!(counts.contains(&Count::Reason(Reason::MissingEntry)), "{counts:?}");
}
