//! Rules of `failoverPolicies[].spill`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::names::Names;
use crate::config::file::{self, File, Fraction, SpillMode, elements};
use crate::config::model::Spill;
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::Located;

const TARGETS: RangeInclusive<u32> = 1..=100;
/// With more, half of a cluster's flows would have to go before anything comes back.
const HYSTERESES: RangeInclusive<u32> = 0..=50;

/// `None`: by health alone.
pub(super) fn spill(spill: &file::Spill, problems: &mut Problems) -> Option<Spill> {
    let (target, hysteresis) = (spill.target_utilization.as_ref(), spill.hysteresis.as_ref());
    if spill.by_capacity() {
        return Some(Spill {
            by_health: spill.mode.as_ref().is_some_and(|mode| mode.value.0 == SpillMode::Both),
            target: percent(target, Spill::TARGET, &TARGETS, problems),
            hysteresis: percent(hysteresis, Spill::HYSTERESIS, &HYSTERESES, problems),
        });
    }
    for (key, at) in [("targetUtilization", target), ("hysteresis", hysteresis)] {
        let Some(at) = at else { continue };
        let reason = format!("with `mode: health` no capacity counts, so `{key}` says nothing");
        problems.add(&at.place, reason, "remove it, or use `mode: capacity` or `mode: both`");
    }
    None
}

fn percent(
    written: Option<&Located<Fraction>>,
    usual: u32,
    range: &RangeInclusive<u32>,
    problems: &mut Problems,
) -> u32 {
    let Some(written) = written else { return usual };
    let fit = u32::try_from(written.value.0).ok().filter(|percent| range.contains(percent));
    fit.unwrap_or_else(|| {
        let [value, least, most] =
            [written.value.0, i64::from(*range.start()), i64::from(*range.end())].map(in_whole);
        problems.add(&written.place, format!("{value} is out of range"), format!("use {least} to {most}"));
        usual
    })
}

/// As it is written in the file.
fn in_whole(percent: i64) -> String {
    let sign = if percent < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", percent.abs() / 100, percent.abs() % 100)
}

/// Reports services that spill by capacity though no cluster of theirs says what it can take, or whose demand cannot be
/// told from another service's.
pub(super) fn fit(file: &File, names: &Names<'_>, problems: &mut Problems) {
    let mut users = BTreeMap::<&str, Vec<&file::Service>>::new();
    for service in elements(file.services.as_ref()) {
        for pool in pools(service) {
            users.entry(pool).or_default().push(service);
        }
    }
    for service in elements(file.services.as_ref()) {
        let Some(reference) = &service.failover_policy else { continue };
        if spills(service, names) {
            has_a_capacity(service, names, &reference.place, problems);
            is_told_apart(service, &users, &reference.place, problems);
        }
    }
}

fn pools(service: &file::Service) -> BTreeSet<&str> {
    elements(service.pools.as_ref()).iter().map(|pool| pool.as_str()).collect()
}

fn spills(service: &file::Service, names: &Names<'_>) -> bool {
    let policy = service.failover_policy.as_ref().and_then(|name| names.failover.get(name.as_str()));
    policy.and_then(|policy| policy.spill.as_ref()).is_some_and(|spill| spill.by_capacity())
}

fn has_a_capacity(service: &file::Service, names: &Names<'_>, place: &Place, problems: &mut Problems) {
    let known: Vec<_> = pools(service).into_iter().filter_map(|name| names.pools.get(name)).collect();
    let says = |pool: &&&Located<file::Pool>| {
        let cluster = pool.cluster.as_ref().and_then(|name| names.clusters.get(name.as_str()));
        cluster.is_some_and(|cluster| cluster.capacity.is_some())
    };
    if !known.is_empty() && !known.iter().any(says) {
        let reason =
            "the policy spills by capacity, and no cluster of the service's pools says what it can take";
        problems.add(
            place,
            reason,
            "give a cluster a `capacity`, or use a policy with `spill: {mode: health}`",
        );
    }
}

/// Flows are counted by pool: what services that share one are asked for is known of all together alone.
fn is_told_apart(
    service: &file::Service,
    users: &BTreeMap<&str, Vec<&file::Service>>,
    place: &Place,
    problems: &mut Problems,
) {
    let policy = |service: &file::Service| service.failover_policy.as_ref().map(|name| name.value.clone());
    let own = pools(service);
    for (pool, others) in own.iter().filter_map(|pool| Some((pool, users.get(pool)?))) {
        let alike = |other: &&&file::Service| policy(other) == policy(service) && pools(other) == own;
        if let Some(other) = others.iter().find(|other| !alike(other)) {
            let (pool, other) = (quoted(pool), quoted(other.name.as_ref().map_or("", |name| name)));
            let reason = format!(
                "the policy spills by capacity, and {other} uses pool {pool} too, with other pools or another policy: \
                 whose flows are whose is not known"
            );
            return problems.add(
                place,
                reason,
                "give both the same `pools` and policy, or each a pool of its own",
            );
        }
    }
}
