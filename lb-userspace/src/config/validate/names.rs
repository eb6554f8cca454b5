//! Names: their form, that they are unique, and that references resolve.

use std::collections::BTreeMap;

use crate::config::file::{
    AccessPolicy, Analysis, Cluster, FailoverPolicy, File, HealthCheck, Pool, Service, elements,
};
use crate::config::problem::{Place, Problems, closest, quoted};
use crate::config::read::{List, Located, Required};

/// What can be referred to, by name.
pub(super) struct Names<'f> {
    pub(super) clusters: BTreeMap<&'f str, &'f Located<Cluster>>,
    pub(super) pools: BTreeMap<&'f str, &'f Located<Pool>>,
    pub(super) checks: BTreeMap<&'f str, &'f Located<HealthCheck>>,
    pub(super) access: BTreeMap<&'f str, &'f Located<AccessPolicy>>,
    pub(super) failover: BTreeMap<&'f str, &'f Located<FailoverPolicy>>,
    pub(super) services: BTreeMap<&'f str, &'f Located<Service>>,
    pub(super) analyses: BTreeMap<&'f str, &'f Located<Analysis>>,
}

impl<'f> Names<'f> {
    /// Reports names that are written twice; the first one counts.
    pub(super) fn of(file: &'f File, problems: &mut Problems) -> Self {
        index("rollout", file.rollouts.as_ref(), |rollout| &rollout.name, problems);
        index("drill", file.drills.as_ref(), |drill| &drill.name, problems);
        Self {
            services: index("service", file.services.as_ref(), |service| &service.name, problems),
            analyses: index("analysis", file.analyses.as_ref(), |analysis| &analysis.name, problems),
            clusters: index("cluster", file.clusters.as_ref(), |cluster| &cluster.name, problems),
            pools: index("pool", file.pools.as_ref(), |pool| &pool.name, problems),
            checks: index("health check", file.health_checks.as_ref(), |check| &check.name, problems),
            access: index("policy", file.access_policies.as_ref(), |policy| &policy.name, problems),
            failover: index(
                "failover policy",
                file.failover_policies.as_ref(),
                |policy| &policy.name,
                problems,
            ),
        }
    }
}

fn index<'f, T>(
    kind: &str,
    list: Option<&'f Located<List<T>>>,
    name_of: impl Fn(&'f T) -> &'f Required<String>,
    problems: &mut Problems,
) -> BTreeMap<&'f str, &'f Located<T>> {
    let mut index: BTreeMap<&str, (u32, &Located<T>)> = BTreeMap::new();
    for item in elements(list) {
        let Some(name) = &name_of(&item.value).0 else { continue };
        match index.get(name.as_str()) {
            Some((line, _)) => {
                let reason = format!("{} {} stands in line {line} already", one(kind), quoted(name));
                problems.add(&name.place, reason, "give one of the two another name");
            }
            None => _ = index.insert(&name.value, (name.place.line, item)),
        }
    }
    index.into_iter().map(|(name, (_, item))| (name, item)).collect()
}

/// `a pool`, `an analysis`.
fn one(kind: &str) -> String {
    let article = if kind.starts_with('a') { "an" } else { "a" };
    format!("{article} {kind}")
}

/// What `name` refers to among the `known`; reports a name that is not there.
pub(super) fn resolve<'f, T>(
    kind: &str,
    name: &Located<String>,
    known: &BTreeMap<&'f str, &'f T>,
    problems: &mut Problems,
) -> Option<&'f T> {
    let found = known.get(name.as_str()).copied();
    if found.is_none() {
        let mend = match closest(name, known.keys().copied()) {
            Some(close) => format!("did you mean {}?", quoted(close)),
            None => format!("define {} of that name, or remove the reference", one(kind)),
        };
        problems.add(&name.place, format!("there is no {kind} {}", quoted(name)), mend);
    }
    found
}

/// Reports a name that is no DNS label (RFC 1123): what `status` and metrics show must need no quoting.
pub(super) fn label(name: &Located<String>, problems: &mut Problems) {
    if !is_label(name) {
        not_a_label(name, &name.place, problems);
    }
}

fn not_a_label(text: &str, place: &Place, problems: &mut Problems) {
    let mend = "use 1 to 63 of `a` to `z`, `0` to `9` and `-`, with a letter or digit at both ends";
    problems.add(place, format!("{} is no DNS label", quoted(text)), mend);
}

/// Reports a name that is not `namespace/name`, both DNS labels.
pub(super) fn namespaced(name: &Located<String>, problems: &mut Problems) {
    match name.split_once('/') {
        None => {
            let mend = "write it as `namespace/name`, for example `default/web`";
            problems.add(&name.place, format!("{} has no namespace", quoted(name)), mend);
        }
        Some((namespace, rest)) => {
            for part in [namespace, rest].into_iter().filter(|part| !is_label(part)) {
                not_a_label(part, &name.place, problems);
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::is_label;

    #[test]
    fn labels_are_those_of_dns() {
        for good in ["a", "0", "eu-1", "xn--a", &"a".repeat(63)] {
            assert!(is_label(good), "{good:?}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}
