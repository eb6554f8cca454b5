//! Policy: from what is configured and what is seen to what should be served. Pure.
//!
//! 1. An endpoint is *down* when its check says so; else *draining* when an operator says so; else *ejected* when clients'
//!    packets say so ([`outlier`]); else *up*,
//!    or *unknown* before the first verdict. A pool without a check counts as up.
//! 2. An endpoint is usable if it is up or unknown, of weight above zero, and reachable.
//! 3. From how many are usable in each pool follow the weights of a service's pools ([`shares`]), and whether a pool is in
//!    panic: whether those that are down are used too. What was decided before may hold health back ([`failback`]), and what clusters can take
//!    may move flows on ([`capacity`]). A rollout ([`rollout`]) says instead of the file how two pools of a service divide what
//!    they have together.
//! 4. A pool may be kept out of a part of the hash space, and takes no new flows there ([`slices`]).
//!    A breaker ([`breaker`]) or a drill ([`drill`]) says so.
//! 5. An endpoint that came up a while ago counts with a part of its weight ([`slow_start`]).
//!
//! Beside that, [`resilience`]: whether what is left after a loss could take everything; no table depends on it.

pub mod breaker;
pub mod capacity;
pub mod desired;
pub mod drill;
pub mod failback;
pub mod failover;
pub mod memory;
pub mod new_flows;
pub mod observed;
pub mod outlier;
pub mod resilience;
pub mod rollout;
mod shares;
pub mod slices;
pub mod slow_start;
pub mod subject;
#[cfg(test)]
mod tests;

use crate::config::model::{self, ClusterState, Config, Encap, Via};
use desired::{
    Cluster, Desired, Egress, Member, MemberState, Pool, Reach, Redirects, Service, Share, Vip, WHOLE,
};
use memory::Memory;
use observed::{Health, NextHop, Observed, Verdict};
use shares::Standings;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What should be served.
    pub desired: Desired,
    /// What the next decision is to know of this one.
    pub memory: Memory,
    /// When time alone leads to another decision, in milliseconds of the kernel's monotonic clock; `None`: never.
    pub due: Option<u64>,
}

/// Decides what should be served by what is known at present, as an agent does that begins.
pub fn decide(config: &Config, observed: &Observed) -> Desired {
    decide_after(&Memory::default(), config, observed, 0).desired
}

/// Decides what should be served at `now`, after what was decided before. The clock is the kernel's monotonic one, in
/// milliseconds.
pub fn decide_after(before: &Memory, config: &Config, observed: &Observed, now: u64) -> Decision {
    let (clusters, mut pools) = look(config, observed);
    let (slow_start, next) = slow_start::grow(&before.slow_start, &config.pools, &mut pools, now);
    let standings = Standings::new(config, observed, &pools, &clusters);
    let failback = standings.perceive(&config.services, &before.failback, now);
    let flows = observed.new_flows.as_ref();
    let (ceilings, rise) = capacity::follow(&before.ceilings, config, flows, (&standings, &failback), now);
    let bounds = (&failback, &ceilings);
    let shares = |service| slices::shares(&standings, service, bounds, &observed.kept_out);
    let serve = |service| serve(service, shares(service), observed);
    let services: Vec<_> = config.services.iter().map(serve).collect();
    let holds = services.iter().flat_map(|service| &service.shares).filter_map(|share| share.hold);
    let due = holds.filter_map(|hold| hold.until).chain(next).chain(rise).min();
    let desired = assemble(config, observed, clusters, pools, services);
    Decision { desired, memory: Memory { failback, ceilings, slow_start }, due }
}

/// Whether at `now` other ceilings follow from what is seen than those `before`, so that there is something to decide.
pub fn spills_anew(before: &Memory, config: &Config, observed: &Observed, now: u64) -> bool {
    let (clusters, pools) = look(config, observed);
    let standings = Standings::new(config, observed, &pools, &clusters);
    let failback = standings.perceive(&config.services, &before.failback, now);
    let flows = observed.new_flows.as_ref();
    capacity::follow(&before.ceilings, config, flows, (&standings, &failback), now).0 != before.ceilings
}

fn assemble(
    config: &Config,
    observed: &Observed,
    clusters: Vec<Cluster>,
    pools: Vec<Pool>,
    services: Vec<Service>,
) -> Desired {
    let panicked = shares::in_panic(services.iter().flat_map(|service| &service.shares));
    let panic = |pool: Pool| Pool { panic: panicked.contains(&pool.name), ..pool };
    let pools = pools.into_iter().map(panic).collect();
    let secret = config.cluster_set.secret;
    Desired {
        config_digest: config.digest.clone(),
        secret: (secret.k0, secret.k1),
        tunnel_key: config.cluster_set.tunnel_key.as_ref().map(|key| (key.epoch, key.key)),
        change_window: config.cluster_set.change_window_ms(),
        roll_delay: config.cluster_set.roll_delay_ms(),
        replies: config.gateway.replies,
        evidence: config.gateway.evidence,
        clusters,
        services,
        pools,
        access: access(config),
        redirects: redirects(config, observed),
    }
}

/// Clusters and pools as they stand.
fn look(config: &Config, observed: &Observed) -> (Vec<Cluster>, Vec<Pool>) {
    let clusters = config.clusters.iter().map(|cluster| stand(cluster, observed)).collect();
    (clusters, config.pools.iter().map(|pool| survey(pool, config, observed)).collect())
}

fn redirects(config: &Config, observed: &Observed) -> Redirects {
    let through = config.clusters.iter().filter(|cluster| cluster.via == Via::Gateway);
    Redirects {
        own: config.cluster_set.self_cluster.clone(),
        through: through.map(|cluster| cluster.name.clone()).collect(),
        addresses: tunnel_ends(config, observed),
        taken: config.gateway.redirects.clone(),
    }
}

/// Where other clusters' gateways send to: of each family the source of outer headers, if it is configured, else all
/// addresses of this machine that others can mean; not its VIPs.
fn tunnel_ends(config: &Config, observed: &Observed) -> BTreeSet<IpAddr> {
    let gateway = &config.gateway;
    if gateway.redirects.gateways.is_empty() {
        return BTreeSet::new();
    }
    let configured = [gateway.source_v4.map(IpAddr::V4), gateway.source_v6.map(IpAddr::V6)];
    let is_open = |own: &&IpAddr| !configured.iter().flatten().any(|one| one.is_ipv4() == own.is_ipv4());
    let is_vip = |own: &IpAddr| config.services.iter().any(|service| service.vips.contains(own));
    let own = observed.own_addresses.iter().filter(is_open).copied();
    configured.into_iter().flatten().chain(own).filter(|own| is_reachable(own) && !is_vip(own)).collect()
}

/// Whether others can mean this machine by an address: not this machine or one link alone.
pub(crate) fn is_reachable(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified()
}

/// The policies that a service names.
fn access(config: &Config) -> Vec<model::AccessPolicy> {
    let named: BTreeSet<_> = config.services.iter().filter_map(|service| service.access.as_deref()).collect();
    config.access_policies.iter().filter(|policy| named.contains(policy.name.as_str())).cloned().collect()
}

fn stand(cluster: &model::Cluster, observed: &Observed) -> Cluster {
    let told = observed.drained_clusters.contains(&cluster.name);
    let state = match cluster.state {
        ClusterState::Active if told => ClusterState::Draining,
        state => state,
    };
    Cluster { name: cluster.name.clone(), state }
}

fn survey(pool: &model::Pool, config: &Config, observed: &Observed) -> Pool {
    let cluster = config.clusters.iter().find(|cluster| cluster.name == pool.cluster);
    let encap = cluster.map_or_else(Encap::default, |cluster| cluster.encap);
    let meet = |endpoint| meet(pool, endpoint, encap, config, observed);
    Pool {
        name: pool.name.clone(),
        cluster: pool.cluster.clone(),
        weight: pool.weight,
        rows: pool.rows,
        algorithm: pool.algorithm,
        panic: false,
        kept_out: observed.kept_out.get(&pool.name).filter(|kept_out| kept_out.percent > 0).cloned(),
        encap: encap.kind,
        members: pool.endpoints.iter().map(meet).collect(),
    }
}

fn meet(
    pool: &model::Pool,
    endpoint: &model::Endpoint,
    encap: Encap,
    config: &Config,
    observed: &Observed,
) -> Member {
    let key = (pool.name.clone(), endpoint.address);
    let health = observed.health.get(&key).filter(|_| pool.health.is_some());
    let verdict = match health {
        Some(health) => health.verdict,
        None if pool.health.is_some() => Verdict::Unknown,
        None => Verdict::Up,
    };
    let state = match verdict {
        Verdict::Down => MemberState::Down,
        _ if observed.drained_backends.contains(&key) => MemberState::Draining,
        _ if observed.ejected.contains_key(&key) => MemberState::Ejected,
        Verdict::Up => MemberState::Up,
        Verdict::Unknown => MemberState::Unknown,
    };
    Member {
        address: endpoint.address,
        weight: endpoint.weight,
        tenths: WHOLE,
        server_id: endpoint.server_id,
        state,
        reason: reason(state, health, observed.ejected.get(&key)),
        changed_ms: health.map_or(0, |health| health.changed_ms),
        reach: reach(endpoint.address, encap, config, observed),
    }
}

/// Why an endpoint is in its state.
fn reason(state: MemberState, health: Option<&Health>, ejected: Option<&String>) -> String {
    let found = || health.map(|health| &health.reason);
    let reason = if state == MemberState::Ejected { ejected } else { found() };
    reason.cloned().unwrap_or_default()
}

fn reach(address: IpAddr, encap: Encap, config: &Config, observed: &Observed) -> Reach {
    if observed.own_addresses.contains(&address) {
        return Reach::Local;
    }
    let Some(hop) = observed.next_hops.get(&address) else { return Reach::Unresolved };
    let Some(source) = source(address, hop, config) else { return Reach::Unresolved };
    Reach::Via(Egress { hop: *hop, source, mtu: encap.mtu.unwrap_or(hop.mtu) })
}

/// The configured source of the family, else the route's.
fn source(address: IpAddr, hop: &NextHop, config: &Config) -> Option<IpAddr> {
    let configured = match address {
        IpAddr::V4(_) => config.gateway.source_v4.map(IpAddr::V4),
        IpAddr::V6(_) => config.gateway.source_v6.map(IpAddr::V6),
    };
    configured.or(hop.source).filter(|source| source.is_ipv4() == address.is_ipv4())
}

fn serve(service: &model::Service, shares: Vec<Share>, observed: &Observed) -> Service {
    let vip = |&address: &IpAddr| Vip { address, local: observed.own_addresses.contains(&address) };
    Service {
        name: service.name.clone(),
        vips: service.vips.iter().map(vip).collect(),
        ports: service.ports.clone(),
        affinity: service.affinity,
        tracking: service.tracking,
        udp_on_change: service.udp_on_change,
        access: service.access.clone(),
        on_no_backend: service.on_no_backend,
        quic: service.quic.clone(),
        shares,
    }
}
