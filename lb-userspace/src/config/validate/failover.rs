//! Rules of `failoverPolicies`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::{Names, label, resolve};
use super::{time, within};
use crate::config::file::{self, FailbackMode, File, elements};
use crate::config::model::{Failback, FailoverPolicy, Order, Resilience};
use crate::config::problem::{Place, Problems, closest, quoted};
use crate::config::read::{List, Located};

/// Below a whole, endpoints that are all up could not take all.
const FACTORS: RangeInclusive<u32> = 100..=1000;
const THRESHOLDS: RangeInclusive<u32> = 0..=100;
/// As many as fit into the kernel's tables.
const ENDPOINTS: RangeInclusive<u32> = 0..=16_384;

const HOLD_DOWN: Duration = Duration::from_mins(1);
/// Shorter than any check could find out anything, and a day.
const HOLD_DOWNS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
const STEP: u32 = 20;
const STEPS: RangeInclusive<u32> = 1..=100;

pub(super) fn policy(
    policy: &Located<file::FailoverPolicy>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<FailoverPolicy> {
    if let Some(name) = policy.name.as_ref() {
        label(name, problems);
    }
    let order = order(policy, names, problems);
    Some(FailoverPolicy {
        name: policy.name.as_ref()?.value.clone(),
        overprovisioning: within(
            policy.overprovisioning_factor.as_ref(),
            FailoverPolicy::OVERPROVISIONING,
            &FACTORS,
            problems,
        ),
        panic_threshold: within(
            policy.panic_threshold.as_ref(),
            FailoverPolicy::PANIC_THRESHOLD,
            &THRESHOLDS,
            problems,
        ),
        min_healthy: within(policy.min_healthy_endpoints.as_ref(), 0, &ENDPOINTS, problems),
        failback: policy.failback.as_ref().map(|written| failback(written, problems)),
        resilience: policy.resilience.as_ref().and_then(|resilience| self::resilience(resilience)),
        spill: policy.spill.as_ref().and_then(|spill| super::spill::spill(spill, problems)),
        order: order?,
    })
}

fn failback(written: &file::Failback, problems: &mut Problems) -> Failback {
    if written.mode.as_ref().is_none_or(|mode| mode.value.0 == FailbackMode::Auto) {
        return Failback::Auto {
            hold_down: time(written.hold_down.as_ref(), HOLD_DOWN, &HOLD_DOWNS, problems),
            step: within(written.step_percent.as_ref(), STEP, &STEPS, problems),
        };
    }
    let hold_down = written.hold_down.as_ref().map(|at| ("holdDown", &at.place));
    let step = written.step_percent.as_ref().map(|at| ("stepPercent", &at.place));
    for (key, place) in [hold_down, step].into_iter().flatten() {
        let reason = format!("with `mode: manual` nothing comes back by itself, so `{key}` says nothing");
        problems.add(place, reason, "remove it, or use `mode: auto`");
    }
    Failback::Manual
}

/// `None`: no model could be read, which was reported then.
fn resilience(resilience: &file::Resilience) -> Option<Resilience> {
    Some(Resilience {
        model: resilience.model.as_ref()?.value.0,
        on_violation: resilience.on_violation.as_ref().map(|word| word.value.0).unwrap_or_default(),
    })
}

fn order(
    policy: &Located<file::FailoverPolicy>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Order> {
    match (&policy.priorities, &policy.labels) {
        (Some(groups), None) => Some(Order::Groups(self::groups(groups, names, problems))),
        (None, Some(labels)) => Some(Order::Labels(self::labels(labels, problems))),
        (Some(_), Some(labels)) => {
            let reason = "clusters are ordered twice, by `priorities` and by `labels`";
            problems.add(&labels.place, reason, "remove one of the two");
            None
        }
        // Reported as it was read.
        (None, None) => None,
    }
}

/// Clusters exist, each in one group; no group is empty.
fn groups(
    groups: &Located<List<List<String>>>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Vec<Vec<String>> {
    not_empty(groups, "group", problems);
    groups.iter().for_each(|group| not_empty(group, "cluster", problems));
    let clusters: Vec<_> = groups.iter().flat_map(|group| &group.value).collect();
    once(&clusters, "cluster", problems);
    for name in clusters {
        resolve("cluster", name, &names.clusters, problems);
    }
    groups.iter().map(|group| group.iter().map(|name| name.value.clone()).collect()).collect()
}

fn labels(labels: &Located<List<String>>, problems: &mut Problems) -> Vec<String> {
    not_empty(labels, "label", problems);
    once(&labels.iter().collect::<Vec<_>>(), "label", problems);
    labels.iter().map(|name| name.value.clone()).collect()
}

fn not_empty<T>(list: &Located<List<T>>, kind: &str, problems: &mut Problems) {
    if list.is_empty() {
        problems.add(&list.place, format!("there is no {kind}"), "list at least one");
    }
}

fn once(names: &[&Located<String>], kind: &str, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for name in names {
        if let Some(line) = seen.insert(name.as_str(), name.place.line) {
            problems.add(
                &name.place,
                format!("the {kind} stands in line {line} already"),
                "remove one of the two",
            );
        }
    }
}

/// Reports services whose policy leaves out a cluster of theirs or asks for more endpoints than a pool has, and labels that
/// nobody can be near by.
pub(super) fn fit(file: &File, names: &Names<'_>, problems: &mut Problems) {
    for service in elements(file.services.as_ref()) {
        let Some(reference) = &service.failover_policy else { continue };
        let Some(policy) = names.failover.get(reference.as_str()) else { continue };
        for name in elements(service.pools.as_ref()) {
            let Some(pool) = names.pools.get(name.as_str()) else { continue };
            if let Some(groups) = &policy.priorities {
                is_named(pool, groups, &reference.place, problems);
            }
            if let Some(least) = &policy.min_healthy_endpoints {
                has_as_many(pool, least.value.0, &reference.place, problems);
            }
        }
    }
    let own = file.cluster_set.as_ref().and_then(|set| set.self_cluster.as_ref());
    for policy in
        elements(file.failover_policies.as_ref()).iter().filter(|policy| policy.priorities.is_none())
    {
        if let Some(labels) = &policy.labels {
            are_own(labels, own, names, problems);
        }
    }
}

fn is_named(pool: &file::Pool, groups: &List<List<String>>, place: &Place, problems: &mut Problems) {
    let Some(cluster) = pool.cluster.as_ref() else { return };
    if !groups.iter().flat_map(|group| &group.value).any(|name| name.value == cluster.value) {
        let (cluster, pool) = (quoted(cluster), quoted(pool.name.as_ref().map_or("", |name| name)));
        let reason = format!("no group of the policy has cluster {cluster} of pool {pool}");
        problems.add(place, reason, "add the cluster to a group of the policy, or remove the pool here");
    }
}

fn has_as_many(pool: &file::Pool, least: i128, place: &Place, problems: &mut Problems) {
    let weighty = |endpoint: &&Located<file::Endpoint>| {
        endpoint.weight.as_ref().is_none_or(|weight| weight.value.0 != 0)
    };
    let count = elements(pool.endpoints.as_ref()).iter().filter(weighty).count();
    if count > 0 && least > i128::try_from(count).unwrap_or(i128::MAX) {
        let pool = quoted(pool.name.as_ref().map_or("", |name| name));
        let reason = format!(
            "the policy asks for {least} endpoints that are up, and pool {pool} has {count} of weight above 0"
        );
        problems.add(place, reason, format!("use `minHealthyEndpoints` of at most {count} there"));
    }
}

/// A label that this gateway's cluster lacks makes all clusters as far away as can be.
fn are_own(
    labels: &Located<List<String>>,
    own: Option<&Located<String>>,
    names: &Names<'_>,
    problems: &mut Problems,
) {
    let Some(own) = own else {
        let mend = "name the cluster this gateway stands in: `clusterSet: {self: …}`";
        let reason = "nothing says which cluster's labels the others are compared with";
        return problems.add(&labels.place, reason, mend);
    };
    let Some(cluster) = names.clusters.get(own.as_str()) else { return };
    let known = cluster.labels.as_ref().map(|labels| &labels.0);
    for label in labels.iter().filter(|label| !known.is_some_and(|known| known.contains_key(label.as_str())))
    {
        let reason = format!("this gateway's cluster {} has no label {}", quoted(own), quoted(label));
        let close = closest(label, known.into_iter().flat_map(|known| known.keys().map(String::as_str)));
        let mend = close.map_or_else(
            || "add it to the cluster's `labels`, or remove it here".to_owned(),
            |close| format!("did you mean {}?", quoted(close)),
        );
        problems.add(&label.place, reason, mend);
    }
}
