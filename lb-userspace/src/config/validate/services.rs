//! Rules of `services`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::addresses::unicast;
use super::clusters::is_via_gateway;
use super::encap::carries;
use super::names::{Names, namespaced, resolve};
use super::{ports, within};
use crate::config::file::{self, elements};
use crate::config::model::{Affinity, Service, Tracking};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::{List, Located};

/// A client's prefix lengths unless the file says otherwise, in bits.
const CLIENT_PREFIX: (u8, u8) = (24, 56);

pub(super) fn service(
    service: &Located<file::Service>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Service> {
    if let Some(name) = service.name.as_ref() {
        namespaced(name, problems);
    }
    let vips = service.vips.as_ref().map(|vips| self::vips(vips, problems));
    let ports = service.ports.as_ref().map(|ports| ports::ports(ports, problems));
    let pools = service.pools.as_ref().map(|pools| self::pools(pools, names, problems));
    if let Some(tracking) = service.tracking.as_ref().filter(|tracking| tracking.value.0 == Tracking::Chain) {
        chain(&tracking.place, service, names, problems);
        beyond_gateways("`tracking: chain`", &tracking.place, service, names, problems);
    }
    if let Some(quic) = &service.quic {
        beyond_gateways("`quic`", &quic.place, service, names, problems);
    }
    if let Some(policy) = &service.failover_policy {
        resolve("failover policy", policy, &names.failover, problems);
    }
    if let Some(access) = &service.access {
        resolve("policy", access, &names.access, problems);
    }
    Some(Service {
        name: service.name.as_ref()?.value.clone(),
        vips: vips?,
        ports: ports?,
        affinity: affinity(service.affinity.as_ref(), problems),
        pools: pools?,
        tracking: service.tracking.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        udp_on_change: service.udp_on_change.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        failover_policy: service.failover_policy.as_ref().map(|name| name.value.clone()),
        access: service.access.as_ref().map(|name| name.value.clone()),
        on_no_backend: service.on_no_backend.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        quic: super::quic::configs(service, problems),
        allow_local: service.allow_local.as_ref().is_some_and(|allow| allow.value),
    })
}

fn vips(list: &Located<List<IpAddr>>, problems: &mut Problems) -> Vec<IpAddr> {
    if list.is_empty() {
        problems.add(&list.place, "there is no VIP", "list at least one address");
    }
    list.iter().for_each(|vip| unicast("a VIP", vip, problems));
    list.iter().map(|vip| vip.value).collect()
}

fn affinity(affinity: Option<&Located<file::Affinity>>, problems: &mut Problems) -> Affinity {
    const V4: RangeInclusive<u8> = 1..=32;
    const V6: RangeInclusive<u8> = 1..=128;
    match affinity.map(|affinity| &affinity.value) {
        None | Some(file::Affinity::Flow) => Affinity::Flow,
        Some(file::Affinity::Client) => Affinity::Client,
        Some(file::Affinity::ThreeTuple) => Affinity::ThreeTuple,
        Some(file::Affinity::Prefix(lengths)) => Affinity::ClientPrefix {
            v4: within(lengths.v4.as_ref(), CLIENT_PREFIX.0, &V4, problems),
            v6: within(lengths.v6.as_ref(), CLIENT_PREFIX.1, &V6, problems),
        },
    }
}

/// Pools exist, each once, each in a cluster of its own, not all without weight.
fn pools(list: &Located<List<String>>, names: &Names<'_>, problems: &mut Problems) -> Vec<String> {
    if list.is_empty() {
        problems.add(&list.place, "there is no pool", "list at least one");
    }
    let mut seen = BTreeMap::new();
    let mut pools = Vec::new();
    for name in &list.value {
        if let Some(line) = seen.insert(name.as_str(), name.place.line) {
            let reason = format!("the pool stands in line {line} already");
            problems.add(&name.place, reason, "remove one of the two; a pool's share is its `weight`");
        } else if let Some(pool) = resolve("pool", name, &names.pools, problems) {
            pools.push((name, &pool.value));
        }
    }
    one_pool_in_a_cluster(&pools, problems);
    if list.len() == pools.len() {
        some_weight(&pools, &list.place, problems);
    }
    list.iter().map(|name| name.value.clone()).collect()
}

/// The earlier owners of a row travel behind GUE.
fn chain(place: &Place, service: &file::Service, names: &Names<'_>, problems: &mut Problems) {
    for name in elements(service.pools.as_ref()) {
        let cluster = names.pools.get(name.as_str()).and_then(|pool| pool.cluster.as_ref());
        let Some(cluster) = cluster.and_then(|cluster| names.clusters.get(cluster.as_str())) else {
            continue;
        };
        if !carries(cluster.encap.as_ref()) {
            let cluster = quoted(cluster.name.as_ref().map_or("", |name| name));
            let reason = format!("the nodes of {} are not reached over GUE, cluster {cluster}", quoted(name));
            problems.add(place, reason, "give that cluster `encap: {kind: gue}`, or leave `tracking` out");
        }
    }
}

/// Reports what asks for nodes where a pool has gateways.
fn beyond_gateways(
    what: &str,
    place: &Place,
    service: &file::Service,
    names: &Names<'_>,
    problems: &mut Problems,
) {
    for name in elements(service.pools.as_ref()) {
        let cluster = names.pools.get(name.as_str()).and_then(|pool| pool.cluster.as_ref());
        let Some(cluster) = cluster.and_then(|cluster| names.clusters.get(cluster.as_str())) else {
            continue;
        };
        if is_via_gateway(cluster) {
            let cluster = quoted(cluster.name.as_ref().map_or("", |name| name));
            let reason =
                format!("{what} needs nodes, and {} has the gateways of cluster {cluster}", quoted(name));
            problems.add(place, reason, "reach that cluster with `via: nodes`, or leave this key out");
        }
    }
}

/// A reference to a pool and the pool.
type Use<'f> = (&'f Located<String>, &'f file::Pool);

/// A service's shares are those of clusters, by name: two pools in one could not be told apart.
fn one_pool_in_a_cluster(pools: &[Use<'_>], problems: &mut Problems) {
    let mut clusters: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, pool) in pools {
        let Some(cluster) = pool.cluster.as_ref() else { continue };
        if let Some(other) = clusters.insert(cluster, name) {
            let [this, other, cluster] = [name.as_str(), other, cluster.as_str()].map(quoted);
            let reason = format!("{this} and {other} are both in cluster {cluster}");
            problems.add(&name.place, reason, "put the endpoints of both into one pool");
        }
    }
}

fn some_weight(pools: &[Use<'_>], place: &Place, problems: &mut Problems) {
    if !pools.is_empty() && pools.iter().all(|(_, pool)| super::pools::weight(pool) == 0) {
        problems.add(place, "all pools have weight 0", "give at least one of these pools a weight above 0");
    }
}
