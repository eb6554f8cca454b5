//! Access policies and their prefixes.

use lb_common::abi::{AccessFlags, AccessKey, AccessPolicy, SourceBucket, SourceKey, map};
use lb_common::net::Family;

use super::{Contents, Decoded, Entry, Key, NoEntry};

/// What a key looks like.
const EXPECTED: &str = "POLICY:ADDRESS/LENGTH with a policy's index, as in `maps dump access_prefixes`";

/// An entry of `access_policies`.
pub(super) fn policy(policy: &AccessPolicy) -> Decoded {
    let prefixes = policy.flags.has(AccessFlags::PREFIXES);
    Decoded::AccessPolicy {
        default: word(policy.flags),
        prefixes,
        interval: policy.interval,
        seal: format!("0x{:016x}", policy.seal),
    }
}

/// An entry of `access_prefixes`.
pub(super) fn prefix((key, flags): &(AccessKey, AccessFlags)) -> Entry {
    let value = Decoded::AccessPrefix { policy: key.policy(), sources: word(*flags) };
    Entry { key: Key::Text(name(key)), value }
}

/// The entry of a prefix, not the longest that holds it.
pub(super) fn find(contents: Contents, text: &str) -> Result<Entry, NoEntry> {
    let well_formed = text.split_once(':').is_some_and(|(policy, _)| policy.parse::<u32>().is_ok());
    if !well_formed {
        return Err(super::wrong(map::ACCESS_PREFIXES, text, EXPECTED));
    }
    let found = contents.prefixes.iter().find(|(key, _)| name(key) == text);
    found.map(prefix).ok_or_else(|| super::absent(map::ACCESS_PREFIXES, text, "see `maps dump` of it"))
}

/// An entry of `source_buckets`.
pub(super) fn bucket((key, bucket): &(SourceKey, SourceBucket)) -> Entry {
    let value = Decoded::SourceBucket { policy: key.policy, full: bucket.full };
    Entry { key: Key::Text(source(key)), value }
}

/// The bucket of a source.
pub(super) fn find_bucket(contents: Contents, text: &str) -> Result<Entry, NoEntry> {
    let found = contents.buckets.iter().find(|(key, _)| source(key) == text);
    let mend =
        "a source without a bucket may begin a second's worth of flows; keys are as in `maps dump` of it";
    found.map(bucket).ok_or_else(|| super::absent(map::SOURCE_BUCKETS, text, mend))
}

fn source(key: &SourceKey) -> String {
    if key.is_v6() {
        format!("{}:{}/64", key.policy, key.source().ip(Family::V6))
    } else {
        format!("{}:{}", key.policy, key.source().ip(Family::V4))
    }
}

fn name(key: &AccessKey) -> String {
    let (family, length) = key.length();
    format!("{}:{}/{length}", key.policy(), key.address().ip(family))
}

fn word(flags: AccessFlags) -> &'static str {
    if flags.has(AccessFlags::DENY) { "deny" } else { "allow" }
}
