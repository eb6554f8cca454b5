//! From the file as written to the validated model: defaults, references, ranges, totals. One module
//! per topic; each reports all it finds and builds its part of the model.

mod access;
mod addresses;
mod analyses;
mod breaker;
mod check_kind;
mod checks;
mod clusters;
mod drills;
mod encap;
mod failover;
mod gateway;
mod limits;
mod names;
pub(crate) mod node;
mod outlier;
mod pools;
mod ports;
mod probed;
mod provider;
mod quic;
mod report;
mod rollouts;
mod secret;
mod services;
mod spill;
mod trust;
mod tunnel_key;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::file::{File, elements};
use super::model::Config;
use super::problem::{Place, Problems};
use super::read::{List, Located};
use super::scalar::{Integer, Time};
use names::Names;

/// Validates `file`. Paths in it are relative to `base`. The digest is left empty.
///
/// `None`: there are problems.
pub(crate) fn validate(file: &File, base: &Path, problems: &mut Problems) -> Option<Config> {
    let names = Names::of(file, problems);
    let cluster_set = clusters::cluster_set(file.cluster_set.as_ref(), base, &names, problems);
    let gateway = gateway::gateway(file.gateway.as_ref(), problems);
    let clusters = each(file.clusters.as_ref(), |cluster| {
        clusters::cluster(cluster, file.cluster_set.as_ref(), problems)
    });
    let services = each(file.services.as_ref(), |service| services::service(service, &names, problems));
    let pools = each(file.pools.as_ref(), |pool| pools::pool(pool, &names, problems));
    let health_checks = each(file.health_checks.as_ref(), |check| checks::check(check, base, problems));
    let access_policies = each(file.access_policies.as_ref(), |policy| access::policy(policy, problems));
    let failover_policies =
        each(file.failover_policies.as_ref(), |policy| failover::policy(policy, &names, problems));
    let rollouts = each(file.rollouts.as_ref(), |rollout| rollouts::rollout(rollout, &names, problems));
    let analyses = each(file.analyses.as_ref(), |analysis| analyses::analysis(analysis, base, problems));
    let drills = each(file.drills.as_ref(), |drill| drills::drill(drill, &names, problems));
    across(file, &names, problems);
    if !problems.is_empty() {
        return None;
    }
    let mut config = Config {
        digest: String::new(),
        cluster_set: cluster_set?,
        gateway: gateway?,
        clusters,
        services,
        pools,
        health_checks,
        access_policies,
        failover_policies,
        rollouts,
        analyses,
        drills,
    };
    gateway::follow_flows(&mut config);
    probed::pools_have_a_vip(&config, &names, problems);
    rollouts::fit(&config, file, problems);
    problems.is_empty().then_some(config)
}

/// The rules that need more than one section.
fn across(file: &File, names: &Names<'_>, problems: &mut Problems) {
    if limits::totals(file, problems) {
        ports::no_vip_twice(file, problems);
        ports::three_tuple_is_alone(file, problems);
    }
    access::not_too_many(file, problems);
    pools::no_endpoint_is_a_vip(file, names, problems);
    quic::servers_are_told_apart(file, names, problems);
    clusters::mtu_fits(file, names, problems);
    clusters::redirects_have_a_cluster(file, problems);
    failover::fit(file, names, problems);
    spill::fit(file, names, problems);
}

/// The elements that could be built; the others were reported.
fn each<'f, T, M>(
    list: Option<&'f Located<List<T>>>,
    mut build: impl FnMut(&'f Located<T>) -> Option<M>,
) -> Vec<M> {
    elements(list).iter().filter_map(&mut build).collect()
}

/// A value or its default; one outside of `range` is reported.
fn within<T: TryFrom<i128> + PartialOrd + Display + Copy>(
    value: Option<&Located<Integer>>,
    default: T,
    range: &RangeInclusive<T>,
    problems: &mut Problems,
) -> T {
    let Some(value) = value else { return default };
    match T::try_from(value.value.0) {
        Ok(fit) if range.contains(&fit) => fit,
        _ => {
            let mend = format!("use {} to {}", range.start(), range.end());
            problems.add(&value.place, format!("{} is out of range", value.value.0), mend);
            default
        }
    }
}

/// A time within its range; reported and cut to it, if it is not.
fn time(
    time: Option<&Located<Time>>,
    default: Duration,
    range: &RangeInclusive<Duration>,
    problems: &mut Problems,
) -> Duration {
    let Some(time) = time else { return default };
    if !range.contains(&time.value.0) {
        let mend = format!("use `{}` to `{}`", Time(*range.start()), Time(*range.end()));
        problems.add(&time.place, format!("{} is out of range", time.value), mend);
    }
    time.value.0.clamp(*range.start(), *range.end())
}

/// `place`, one key deeper: where a key that was left out would stand.
fn below(place: &Place, key: &str) -> Place {
    Place { path: format!("{}.{key}", place.path), ..place.clone() }
}
