//! Another key of tags while packets are under way.

use super::*;
use crate::config::model::Secret;
use lb_common::abi::TunnelKey;

type Key = Option<(u8, u64)>;

/// The world, whose first pool is reached with tags if there is a key.
fn desired(key: Key) -> Desired {
    let tag = key.is_some();
    let tunnel_key = key.map(|(epoch, k0)| (epoch, Secret { k0, k1: !k0 }));
    Desired { tunnel_key, ..encapsulated(EncapKind::Gue { port: 6080, tag }) }
}

fn in_force(maps: &MemoryMaps) -> Key {
    let control = control(maps);
    let (epoch, key) = control.tunnel_key()?;
    assert_eq!(key.k1, !key.k0, "half of one key and half of another");
    Some((epoch, key.k0))
}

/// Whether a backend that serves is to get tags.
fn tags(maps: &MemoryMaps) -> bool {
    (0..LIMITS.backends).any(|index| {
        let entry = backend(maps, index);
        entry.serves() && entry.route.flags.has(BackendFlags::TAG)
    })
}

/// Applies what leads from one key to another, a word at a time, and looks after each.
fn turn(agent: &mut Agent, from: Key, to: Key) {
    assert_eq!(in_force(&agent.maps), from);
    let image = agent.compile(&desired(to));
    // What a packet that is under way may have begun with since packets were waited for.
    let mut begun = vec![control(&agent.maps).epoch];
    for op in plan(&image, &agent.maps) {
        let single = |(word, value)| match &op {
            Op::Store { step, map, .. } => Op::Store { step: *step, map, words: vec![(word, value)] },
            other => other.clone(),
        };
        let ops = match &op {
            Op::Store { words, .. } => words.iter().copied().map(single).collect(),
            Op::Grace => {
                begun = vec![control(&agent.maps).epoch];
                continue;
            }
            op @ Op::QuicServers { .. } => vec![op.clone()],
        };
        for op in ops {
            let keys = control(&agent.maps).tunnel_keys;
            perform(&op, &mut agent.maps);
            let now = control(&agent.maps);
            for epoch in begun.iter().filter(|epoch| epoch.number() != 0) {
                let slot = epoch.slot();
                assert_eq!(now.tunnel_keys[slot], keys[slot], "a key changed under a packet: {op:?}");
            }
            begun.push(now.epoch);
            assert!([from, to].contains(&in_force(&agent.maps)), "{op:?}");
            assert!(!tags(&agent.maps) || in_force(&agent.maps).is_some(), "a tag without a key: {op:?}");
        }
    }
    assert_eq!(plan(&image, &agent.maps), [], "applied once is applied");
    assert_eq!((in_force(&agent.maps), tags(&agent.maps)), (to, to.is_some()));
    let kept = control(&agent.maps).tunnel_keys.into_iter().filter(|key| *key != TunnelKey::default());
    assert_eq!(kept.count(), usize::from(to.is_some()), "keys that nobody uses are forgotten");
    agent.follow(&desired(to));
}

#[test]
fn no_packet_has_the_epoch_of_one_key_and_the_tag_of_another() {
    let mut agent = Agent::new();
    agent.follow(&desired(None));
    let keys = [None, Some((1, 10)), Some((2, 20)), Some((4, 40)), Some((4, 41)), Some((255, 41)), None];
    for pair in keys.windows(2) {
        turn(&mut agent, pair[0], pair[1]);
    }
    turn(&mut agent, None, Some((9, 90)));
    agent.restart();
    turn(&mut agent, Some((9, 90)), Some((10, 100)));
}

#[test]
fn a_key_that_somebody_overwrote_is_put_back() {
    let mut agent = Agent::new();
    agent.follow(&desired(Some((7, 70))));
    let word = size_of::<Control>() / size_of::<u64>() - 1;
    for word in word - 3..=word {
        agent.maps.store(map::CONTROL, word, 0xbad);
    }
    agent.follow(&desired(Some((7, 70))));
    assert_eq!(in_force(&agent.maps), Some((7, 70)));
    assert_eq!(agent.follow(&desired(Some((7, 70)))), 0);
}
