//! The prefixes of access policies. They lie in a trie, which is no array of words: they are written one by one
//! before the first change that names their policy, and taken away after the last.
//!
//! A policy's prefixes never change while a service names it: a policy that is changed gets another index, and one
//! store exchanges it. Its entry has a seal that is written when all prefixes are there, so that the trie is read
//! only when a policy comes, goes or changes, and when there is doubt.

use super::Maps;
use super::diff::{occupied, read};
use crate::compile::{MapImage, access::entries};
use lb_common::abi::{AccessKey, AccessPolicy, map};
use std::collections::BTreeMap;
use std::io;

/// Adds the prefixes that the image has and the maps have not, and returns those to be taken away once no packet
/// goes by them. `thorough`: the seals are not trusted, and every prefix is compared.
///
/// # Errors
/// What the kernel said: the trie is full, or there is no memory. What was added names nothing in force.
pub fn grant(image: &MapImage, maps: &mut impl Maps, thorough: bool) -> io::Result<Vec<AccessKey>> {
    if !thorough && are_sealed(image, maps) {
        return Ok(Vec::new());
    }
    let held: BTreeMap<_, _> = maps.prefixes()?.into_iter().collect();
    let wanted: BTreeMap<_, _> =
        image.prefixes.iter().flat_map(|(index, list)| entries(*index, list)).collect();
    for (key, flags) in wanted.iter().filter(|(key, flags)| held.get(key) != Some(flags)) {
        maps.put_prefix(key, *flags)?;
    }
    Ok(held.into_keys().filter(|key| !wanted.contains_key(key)).collect())
}

/// Takes prefixes away.
///
/// # Errors
/// What the kernel said. Those that are left say nothing as long as no policy has their index.
pub fn revoke(keys: &[AccessKey], maps: &mut impl Maps) -> io::Result<()> {
    keys.iter().try_for_each(|key| maps.remove_prefix(key))
}

/// Whether the maps have the image's policies, and no others, with the seals on their prefixes.
fn are_sealed(image: &MapImage, maps: &impl Maps) -> bool {
    let sealed = |(index, policy): (&u32, &AccessPolicy)| {
        read::<AccessPolicy>(maps, map::ACCESS_POLICIES, *index).seal == policy.seal
    };
    let is_known = |index: &u32| image.access.contains_key(index);
    image.access.iter().all(sealed)
        && occupied::<AccessPolicy>(maps, map::ACCESS_POLICIES).iter().all(is_known)
}
