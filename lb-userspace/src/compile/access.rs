//! The prefixes of access policies, as the trie holds them.

use crate::config::model::{AccessList, Admit, Prefix};
use lb_common::abi::{AccessFlags, AccessKey};
use lb_common::net::Family;

/// The keys of a policy's prefixes, and what becomes of the sources in them.
pub fn entries(policy: u32, list: &AccessList) -> impl Iterator<Item = (AccessKey, AccessFlags)> + '_ {
    list.iter().map(move |(prefix, admit)| (key(policy, prefix), flags(admit)))
}

/// The key of a prefix.
pub(super) fn key(policy: u32, prefix: &Prefix) -> AccessKey {
    AccessKey::of_prefix(policy, Family::of(prefix.address), prefix.address.into(), prefix.length)
}

/// What becomes of a source, as the maps say it.
pub(super) fn flags(admit: Admit) -> AccessFlags {
    match admit {
        Admit::Allow => AccessFlags::default(),
        Admit::Deny => AccessFlags::DENY,
    }
}

/// What the longest of these prefixes says that holds the source.
pub fn longest(
    source: &AccessKey,
    prefixes: impl Iterator<Item = (AccessKey, AccessFlags)>,
) -> Option<AccessFlags> {
    let holding = prefixes.filter(|(key, _)| source.cut(key.bits) == *key);
    holding.max_by_key(|(key, _)| key.bits).map(|(_, flags)| flags)
}
