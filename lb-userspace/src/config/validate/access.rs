//! Rules of `accessPolicies`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::names::label;
use super::within;
use crate::config::file::{self, File, elements};
use crate::config::model::{AccessList, AccessPolicy, Admit, Prefix};
use crate::config::problem::Problems;
use crate::config::read::{List, Located};

/// Half of the entries of the kernel's table, less the unused one: a policy that changes has two for a moment.
const MOST: usize = (lb_common::abi::ACCESS_POLICIES / 2 - 1) as usize;

/// Flows that a source may begin in a second. More than this, and nanoseconds between two are too coarse.
const NEW_FLOWS: RangeInclusive<u32> = 0..=1_000_000;

pub(super) fn policy(policy: &Located<file::AccessPolicy>, problems: &mut Problems) -> Option<AccessPolicy> {
    if let Some(name) = policy.name.as_ref() {
        label(name, problems);
    }
    let mut lines = BTreeMap::new();
    for (list, admit) in [(&policy.allow, Admit::Allow), (&policy.deny, Admit::Deny)] {
        collect(list.as_ref(), admit, &mut lines, problems);
    }
    let verdicts = lines.into_iter().map(|(prefix, (admit, _))| (prefix, admit)).collect();
    Some(AccessPolicy {
        name: policy.name.as_ref()?.value.clone(),
        default: policy.default.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        prefixes: Arc::new(AccessList::new(verdicts)),
        new_flows: within(policy.new_flows_per_source_per_sec.as_ref(), 0, &NEW_FLOWS, problems),
    })
}

/// Prefixes with what becomes of them, and the line where that was said.
type Lines = BTreeMap<Prefix, (Admit, u32)>;

/// Each prefix once, in one of the lists, and without bits behind its end.
fn collect(list: Option<&Located<List<Prefix>>>, admit: Admit, lines: &mut Lines, problems: &mut Problems) {
    for prefix in elements(list) {
        let (cut, place) = (well_formed(prefix, problems), &prefix.place);
        match lines.insert(cut, (admit, place.line)) {
            Some((other, line)) if other == admit => {
                let reason = format!("{cut} stands in line {line} already");
                problems.add(place, reason, "remove one of the two");
            }
            Some((_, line)) => {
                let reason = format!("{cut} is in both lists, here and in line {line}");
                problems.add(place, reason, "remove it from one of the two; the longest prefix decides");
            }
            None => {}
        }
    }
}

/// Reports a prefix with bits behind its end, or of mapped addresses. The prefix without such bits.
pub(super) fn well_formed(prefix: &Located<Prefix>, problems: &mut Problems) -> Prefix {
    let Located { value: prefix, place } = prefix;
    let cut = prefix.cut();
    if let IpAddr::V6(v6) = cut.address
        && v6.to_ipv4_mapped().is_some()
    {
        let reason = format!("{prefix} is a prefix of IPv4 addresses mapped into IPv6");
        problems.add(place, reason, "write the IPv4 prefix");
    }
    if cut != *prefix {
        let reason = format!("{prefix} has bits set behind the prefix");
        problems.add(place, reason, format!("write `{cut}`, or `{}` for the address alone", prefix.address));
    }
    cut
}

/// Reports more policies than there is room for.
pub(super) fn not_too_many(file: &File, problems: &mut Problems) {
    let Some(list) = &file.access_policies else { return };
    if list.len() > MOST {
        let reason = format!("there are {} policies, at most {MOST} fit", list.len());
        problems.add(&list.place, reason, "let services share policies");
    }
}
