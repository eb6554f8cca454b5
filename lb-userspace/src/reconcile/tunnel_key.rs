//! The key of tags in `control`: another comes into the place that is not in force, and one word then says its epoch and
//! its place. So a packet has the epoch and the key of one time, and one that is under way finds the key that it began
//! with.

use lb_common::abi::{Control, TagEpoch, TunnelKey};

/// The order in which `control` is stored: keys before the epoch that names one, the VIP table last.
pub(super) const KEYS_EPOCH_VIPS: &[usize] = &[6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 0];
/// Of its words, the first of its keys.
const FIRST_KEY: usize = 6;
/// Words of a key.
const WORDS: usize = 2;

/// What is held, with the key of the image; as it is, if that has none.
pub(super) fn turned(image: &Control, held: &Control) -> Control {
    let (Some((epoch, key)), now) = (image.tunnel_key(), held.tunnel_key()) else { return *held };
    if now == Some((epoch, key)) {
        return *held;
    }
    let slot = if now.is_some() { 1 - held.epoch.slot() } else { 0 };
    let mut tunnel_keys = held.tunnel_keys;
    tunnel_keys[slot] = *key;
    Control { epoch: TagEpoch::new(epoch, slot), tunnel_keys, ..*held }
}

/// The image's, with the epoch and the keys as they are once the key is [`turned`].
pub(super) fn in_force(image: &Control, held: &Control) -> Control {
    let turned = turned(image, held);
    let epoch = if image.tunnel_key().is_some() { turned.epoch } else { TagEpoch::default() };
    Control { epoch, tunnel_keys: turned.tunnel_keys, ..*image }
}

/// Words of keys that are no more in force: nobody is to find them in the kernel.
pub(super) fn spent(control: &Control) -> Vec<(usize, u64)> {
    let in_force = control.tunnel_key().map(|_| control.epoch.slot());
    let keys = control.tunnel_keys.iter().enumerate().filter(|(slot, _)| Some(*slot) != in_force);
    let words = keys.filter(|(_, key)| **key != TunnelKey::default());
    words.flat_map(|(slot, _)| (0..WORDS).map(move |word| (FIRST_KEY + slot * WORDS + word, 0))).collect()
}
