//! Rules of `clusterSet` and `clusters`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::names::{Names, label, resolve};
use super::{encap, report, secret, time, tunnel_key, within};
use crate::config::file::{self, File, Pool, elements};
use crate::config::model::{Capacity, Cluster, ClusterSet, Tracking, Via};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::Located;
use lb_ebpf::chain::header;
use lb_ebpf::encapsulate::outer;

/// The window unless the file says otherwise: most connections that live send a packet within it.
const CHANGE_WINDOW: Duration = Duration::from_mins(5);
const CHANGE_WINDOWS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);
/// No delay unless the file says otherwise: a gateway that is alone has nobody to wait for.
const ROLL_DELAYS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(1);
/// Per second, more than any cluster takes.
const NEW_CONNECTIONS: RangeInclusive<u32> = 1..=1_000_000_000;

pub(super) fn cluster_set(
    set: Option<&Located<file::ClusterSet>>,
    base: &Path,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<ClusterSet> {
    let set = set?;
    if let Some(id) = set.id.as_ref() {
        label(id, problems);
    }
    if let Some(name) = &set.self_cluster
        && let Some(cluster) = resolve("cluster", name, &names.clusters, problems)
        && is_via_gateway(cluster)
    {
        let reason = format!("this gateway stands in {}, which has `via: gateway`", quoted(name));
        problems.add(&name.place, reason, "remove `via` there: a gateway sends to its own cluster's nodes");
    }
    let change_window = Some(time(set.change_window.as_ref(), CHANGE_WINDOW, &CHANGE_WINDOWS, problems));
    let roll_delay = time(set.roll_delay.as_ref(), Duration::ZERO, &ROLL_DELAYS, problems);
    let tunnel_key = set.tunnel_key.as_ref().map(|key| tunnel_key::key(key, base, problems));
    let secret = secret::read(set.secret_file.as_ref()?, base, problems);
    Some(ClusterSet {
        id: set.id.as_ref()?.value.clone(),
        self_cluster: set.self_cluster.as_ref().map(|name| name.value.clone()),
        secret: secret?,
        tunnel_key: tunnel_key.map_or(Some(None), |key| key.map(Some))?,
        change_window: change_window?,
        roll_delay,
    })
}

pub(super) fn cluster(
    cluster: &Located<file::Cluster>,
    set: Option<&Located<file::ClusterSet>>,
    problems: &mut Problems,
) -> Option<Cluster> {
    // A set that cannot be read is reported as it is.
    let has_key = set.is_none_or(|set| set.tunnel_key.is_some());
    let name = cluster.name.as_ref()?;
    label(name, problems);
    if let Some(via) = cluster.via.as_ref().filter(|_| is_via_gateway(cluster)) {
        reaches_gateways(cluster.encap.as_ref(), &via.place, problems);
    }
    Some(Cluster {
        name: name.value.clone(),
        labels: cluster.labels.as_ref().map(|labels| labels.0.clone()).unwrap_or_default(),
        state: cluster.state.as_ref().map(|state| state.value.0).unwrap_or_default(),
        via: cluster.via.as_ref().map(|via| via.value.0).unwrap_or_default(),
        encap: encap::encap(cluster.encap.as_ref(), has_key, problems),
        report: cluster.report.as_ref().map(|report| report::of_cluster(report, problems)),
        capacity: cluster.capacity.as_ref().map(|capacity| self::capacity(capacity, problems)),
    })
}

fn capacity(capacity: &file::Capacity, problems: &mut Problems) -> Capacity {
    Capacity { new_connections: within(capacity.new_conn_per_sec.as_ref(), 0, &NEW_CONNECTIONS, problems) }
}

/// Reports an encapsulation by which a cluster's gateways cannot be told what they may do.
fn reaches_gateways(encap: Option<&Located<file::Encap>>, via: &Place, problems: &mut Problems) {
    if !encap::carries(encap) {
        let reason = "its gateways are not reached over GUE, which alone tells them what they may do";
        problems.add(via, reason, "give the cluster `encap: {kind: gue}`");
    } else if encap.is_some_and(|encap| encap::is_tagged(encap)) {
        let reason = "its gateways take no tags: what they are sent carries a hop count in the place of one";
        problems.add(via, reason, "remove `tag` from the cluster's `encap`");
    }
}

/// Whether packets are sent to the cluster's gateways.
pub(super) fn is_via_gateway(cluster: &file::Cluster) -> bool {
    cluster.via.as_ref().is_some_and(|via| via.value.0 == Via::Gateway)
}

/// Reports gateways of other clusters that may send here, where nothing says what here is.
pub(super) fn redirects_have_a_cluster(file: &File, problems: &mut Problems) {
    let gateways = file.gateway.as_ref().and_then(|gateway| gateway.gateways.as_ref());
    let itself = file.cluster_set.as_ref().and_then(|set| set.self_cluster.as_ref());
    if let (Some(gateways), None) = (gateways, itself) {
        let mend = "name the cluster this gateway stands in: `clusterSet: {self: …}`";
        problems.add(
            &gateways.place,
            "what they send is for this cluster's nodes, and nothing says which it is",
            mend,
        );
    }
}

/// The smallest MTU each IP version guarantees (RFC 791's 576, RFC 8200's 1,280), in bytes.
const SMALLEST_INNER: [usize; 2] = [576, 1280];

/// Outer IP headers in bytes.
const OUTER: [usize; 2] = [outer::V4_LENGTH, outer::V6_LENGTH];

/// Reports an MTU through which the smallest packets that every host may send do not fit.
pub(super) fn mtu_fits(file: &File, names: &Names<'_>, problems: &mut Problems) {
    let floors = floors(file, names);
    for cluster in elements(file.clusters.as_ref()) {
        let Some(encap) = cluster.encap.as_ref() else { continue };
        let Some(mtu) = encap.mtu.as_ref() else { continue };
        let Some(bytes) = mtu.value.0.map(usize::from) else { continue };
        let name = cluster.name.as_ref().map_or("", |name| name.value.as_str());
        let (inner, outer) = floors
            .get(name)
            .copied()
            .unwrap_or((SMALLEST_INNER[0], OUTER[0] + header::room(false, false, encap::is_tagged(encap))));
        let hops = if is_via_gateway(cluster) { header::Header::LENGTH } else { 0 };
        let outer = outer + encap::between(encap) + hops;
        if bytes < inner + outer {
            let reason = format!(
                "{bytes} bytes are too few: packets to its VIPs may need {inner}, the outer headers {outer}"
            );
            problems.add(&mtu.place, reason, format!("use at least {}, or `auto`", inner + outer));
        }
    }
}

/// For each cluster in use: bytes of the inner packet, and of the outer IP header with what travels with the packet, that
/// must fit.
fn floors<'f>(file: &'f File, names: &Names<'f>) -> BTreeMap<&'f str, (usize, usize)> {
    let (mut floors, chained) = (BTreeMap::new(), chained(file));
    for (pool, inner) in inner_of_pools(file) {
        let is_chained = chained.contains(pool);
        let Some(pool) = names.pools.get(pool) else { continue };
        let Some(cluster) = pool.cluster.as_ref() else { continue };
        let v6 = has_v6_node(pool);
        let encap = names.clusters.get(cluster.as_str()).and_then(|cluster| cluster.encap.as_ref());
        let is_tagged = encap.is_some_and(|encap| encap::is_tagged(encap));
        let need = (inner, OUTER[usize::from(v6)] + header::room(v6, is_chained, is_tagged));
        let floor = floors.entry(cluster.as_str()).or_insert(need);
        *floor = std::cmp::max_by_key(*floor, need, |(inner, outer)| inner + outer);
    }
    floors
}

/// Pools that a service with `tracking: chain` uses.
fn chained(file: &File) -> BTreeSet<&str> {
    let is_chained = |service: &&Located<file::Service>| {
        service.tracking.as_ref().is_some_and(|tracking| tracking.value.0 == Tracking::Chain)
    };
    let services = elements(file.services.as_ref()).iter().filter(is_chained);
    services.flat_map(|service| elements(service.pools.as_ref())).map(|pool| pool.as_str()).collect()
}

/// For each pool in use: bytes of the inner packet that must fit.
fn inner_of_pools(file: &File) -> BTreeMap<&str, usize> {
    let mut inner = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let vips = service.vips.as_ref().map_or(&[][..], |vips| &vips.value);
        let need = SMALLEST_INNER[usize::from(vips.iter().any(|vip| vip.value.is_ipv6()))];
        for pool in service.pools.as_ref().map_or(&[][..], |pools| &pools.value) {
            let most = inner.entry(pool.as_str()).or_insert(need);
            *most = need.max(*most);
        }
    }
    inner
}

fn has_v6_node(pool: &Pool) -> bool {
    let endpoints = pool.endpoints.as_ref().map_or(&[][..], |endpoints| &endpoints.value);
    endpoints.iter().filter_map(|endpoint| endpoint.address.as_ref()).any(|address| address.value.is_ipv6())
}
