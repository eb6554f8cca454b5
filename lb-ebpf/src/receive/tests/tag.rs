//! Keyed tags: what is not made with a key of the node is dropped before anything else in it is believed.

use super::chain::{Member, carried, middle, node, octets, walk};
use super::*;
use lb_common::abi::TunnelKey;
use lb_common::siphash::{Key, siphash13};
use proptest::prelude::*;

/// Keys of epochs 3 and 4.
const KEYS: [Key; 2] = [Key { k0: 1, k1: 2 }, Key { k0: 3, k1: 4 }];

fn known() -> Vec<KnownKey> {
    let mut keys = std::vec![KnownKey::default(); 256];
    for (epoch, key) in (3..).zip(KEYS) {
        keys[epoch] = KnownKey { known: 1, key: TunnelKey { k0: key.k0, k1: key.k1 } };
    }
    keys
}

fn world(required: bool) -> World {
    let mut world = World::new();
    world.keys = known();
    world.accepted.flags = with_keys(world.accepted.flags, required);
    world
}

fn with_keys(flags: AcceptedFlags, required: bool) -> AcceptedFlags {
    let flags = flags.with(AcceptedFlags::KEYS);
    if required { flags.with(AcceptedFlags::TAG_REQUIRED) } else { flags }
}

/// By the bytes of docs/contract.md, section 9.
fn tag(inner: &[u8], epoch: u8, key: Key) -> Vec<u8> {
    let header = if inner[0] >> 4 == 4 { 20 } else { 40 };
    let digest = siphash13(key, &inner[..header]).to_be_bytes();
    [&[epoch], &digest[..7]].concat()
}

fn tagged(inner: &[u8], tag: &[u8], to: IpAddr) -> Vec<u8> {
    carried(inner, &[&[1, 0, 0, 2], tag].concat(), to)
}

#[test]
fn a_right_tag_of_each_known_epoch_is_taken() {
    for (family, to) in FAMILIES.into_iter().flat_map(|family| NODE.map(|to| (family, to))) {
        for (epoch, key) in (3..).zip(KEYS) {
            let (world, packet) = (world(true), inner(family, 0));
            let frame = tagged(&packet, &tag(&packet, epoch, key), to);
            assert_eq!(run(&world, &frame), (Verdict::Pass, framed(&[], &packet)), "{family:?} {to} {epoch}");
            assert_eq!(*world.taken.borrow(), [(TunnelKind::Gue, packet.len() as u64)]);
        }
    }
}

#[test]
fn a_tag_of_another_key_is_dropped_whether_or_not_one_is_required() {
    let packet = inner(Family::V4, 0);
    let other = Key { k0: 1, k1: 3 };
    for (epoch, key) in [(4, KEYS[0]), (3, KEYS[1]), (3, other), (5, KEYS[0]), (0, KEYS[0])] {
        for required in [false, true] {
            let world = world(required);
            let frame = tagged(&packet, &tag(&packet, epoch, key), NODE[0]);
            assert_eq!(run(&world, &frame), (Verdict::Drop, frame), "{epoch} {required}");
            assert_eq!(*world.reasons.borrow(), [ReceiverReason::WrongTag]);
        }
    }
    let world = world(false);
    assert_eq!(run(&world, &tagged(&packet, &[0; 8], NODE[0])).0, Verdict::Drop);
    assert_eq!(*world.reasons.borrow(), [ReceiverReason::WrongTag]);
}

#[test]
fn what_has_no_tag_is_dropped_where_one_is_required() {
    for kind in TunnelKind::ALL {
        let packet = inner(Family::V4, 0);
        let (protocol, payload) = tunnelled(kind, &packet);
        let frame = framed(&[], &v4(protocol, &payload));
        let (strict, lenient) = (world(true), world(false));
        assert_eq!(run(&strict, &frame), (Verdict::Drop, frame.clone()), "{kind:?}");
        assert_eq!(*strict.reasons.borrow(), [ReceiverReason::MissingTag]);
        assert_eq!(run(&lenient, &frame), (Verdict::Pass, framed(&[], &packet)), "{kind:?}");
    }
}

#[test]
fn a_node_without_keys_takes_any_tag() {
    for packet in FAMILIES.map(|family| inner(family, 0)) {
        let frame = tagged(&packet, &[9; 8], NODE[0]);
        assert_eq!(run(&World::new(), &frame), (Verdict::Pass, framed(&[], &packet)));
    }
}

#[test]
fn a_tag_is_right_at_each_node_that_the_packet_comes_by() {
    for (family, v6) in FAMILIES.into_iter().flat_map(|family| [(family, false), (family, true)]) {
        let (packet, _) = middle(family);
        let mut members = [1, 2, 3].map(Member::new);
        for member in &mut members {
            (member.keys, member.accepted.flags) = (known(), with_keys(member.accepted.flags, true));
        }
        let others: Vec<u8> = [2, 3].into_iter().flat_map(|number| octets(node(number, v6))).collect();
        let frame = |tag: &[u8]| {
            let private = [&[1, 2, 0, 2], tag, &others].concat();
            carried(&packet, &private, node(1, v6))
        };
        let (way, verdict, bytes) = walk(&members, &frame(&tag(&packet, 3, KEYS[0])));
        assert_eq!((way, verdict), (std::vec![1, 2, 3, 1], Verdict::Pass), "{family:?} {v6}");
        assert_eq!(&bytes[14..], packet);
        // Whom a packet names that nobody with the key sent is not asked.
        let (way, verdict, _) = walk(&members, &frame(&tag(&packet, 4, KEYS[0])));
        assert_eq!((way, verdict), (std::vec![1], Verdict::Drop));
        assert_eq!(members[0].reasons.borrow().last(), Some(&ReceiverReason::WrongTag));
    }
}

#[test]
fn half_a_tag_and_one_that_is_not_announced_are_refused() {
    let packet = inner(Family::V4, 0);
    let right = tag(&packet, 3, KEYS[0]);
    for private in [
        [&[1, 0, 0, 2], &right[..4]].concat(),
        [&[1, 0, 0, 2], &right[..], &[0; 4]].concat(),
        [&[1, 0, 0, 0], &right[..]].concat(),
        [&[1, 0, 0, 3], &right[..]].concat(),
        std::vec![1, 0, 0, 2],
    ] {
        let world = world(true);
        assert_eq!(run(&world, &carried(&packet, &private, NODE[0])).0, Verdict::Drop, "{private:?}");
        assert_eq!(*world.reasons.borrow(), [ReceiverReason::BadTunnel], "{private:?}");
    }
    let frame = tagged(&packet, &right, NODE[0]);
    let world = world(true);
    let cut = 14 + 20 + 12 + 12 + 19;
    assert_eq!(run(&world, &frame[..cut]), (Verdict::Drop, frame[..cut].to_vec()));
    assert_eq!(*world.reasons.borrow(), [ReceiverReason::WrongTag], "its IP header is not whole");
}

proptest! {
    /// No bit of the tag, nor of the IP header that it is about.
    #[test]
    fn a_single_bit_that_differs_is_noticed(v6 in any::<bool>(), outer in 0_usize..2, place in 0_usize..48 * 8) {
        let packet = inner(FAMILIES[usize::from(v6)], 0);
        let covered = 8 + if v6 { 40 } else { 20 };
        let (byte, bit) = (place / 8 % covered, place % 8);
        let mut frame = tagged(&packet, &tag(&packet, 3, KEYS[0]), NODE[outer]);
        let start = frame.len() - packet.len() - 8;
        frame[start + byte] ^= 1 << bit;
        let world = world(false);
        prop_assert_eq!(run(&world, &frame), (Verdict::Drop, frame));
        prop_assert_eq!(&world.reasons.borrow()[..], &[ReceiverReason::WrongTag][..]);
        prop_assert!(world.taken.borrow().is_empty());
    }

    /// What changes on the way is not of the tag's.
    #[test]
    fn the_outer_header_and_the_payload_are_not_covered(ecn in 0_u8..=2, payload in any::<u8>()) {
        let mut packet = inner(Family::V4, 2);
        let right = tag(&packet, 4, KEYS[1]);
        *packet.last_mut().unwrap() = payload;
        let mut frame = tagged(&packet, &right, NODE[0]);
        set(&mut frame[14..], ecn);
        let world = world(true);
        prop_assert_eq!(run(&world, &frame).0, Verdict::Pass);
        prop_assert_eq!(&world.reasons.borrow()[..], &[][..]);
    }
}
