//! The small world of a history, and what happens to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_userspace::compile::Sizes;
use lb_userspace::config::model::{
    Affinity, Algorithm, Cluster, ClusterSet, ClusterState, Config, Encap, EncapKind, Endpoint, Gateway,
    Limits, OnNoBackend, Pool, Protocol, Redirects, Replies, Secret, Service, ServicePort, Tracking,
    UdpOnChange, Via,
};
use lb_userspace::policy::observed::{Health, NextHop, Observed, Verdict};

use crate::fixture::chance::Chance;

/// Milliseconds for which a row that changed its owner counts as MOVING.
pub(super) const WINDOW: u64 = 10_000;
/// Addresses that a pool may have; pool `n` has 10.0.n.1 and so on.
const NODES: u8 = 6;
pub(super) const POOLS: u8 = 3;
/// UDP port of GUE.
pub(super) const GUE: u16 = 6080;
/// So many services, the first, track by chain in a world that does.
pub(super) const CHAINED: usize = 3;
/// The services: name, tracking, affinity, and how many of the pools they have.
const SERVICES: [(&str, Tracking, Affinity, u8); 5] = [
    ("all", Tracking::Transition, Affinity::Flow, 3),
    ("two", Tracking::Transition, Affinity::Client, 2),
    ("one", Tracking::Transition, Affinity::Flow, 1),
    ("full", Tracking::Full, Affinity::Flow, 2),
    ("cut", Tracking::Transition, Affinity::ThreeTuple, 3),
];

/// Sizes of maps that hold the world.
pub fn sizes() -> Sizes {
    let limits =
        Limits { services: 16, backends: 128, rows: 1 << 17, connections: 1 << 16, access_prefixes: 16 };
    // No larger than the world, so that each plan's look at all of them is short.
    Sizes { pools: 32, tables: 128, ..Sizes::of(&limits) }
}

/// The VIP of a service.
pub(super) fn vip(service: usize) -> IpAddr {
    [198, 51, 100, u8::try_from(service).unwrap_or(u8::MAX)].into()
}

/// Whether the ports of a service's packets are not needed.
pub(super) fn is_portless(vip_of: IpAddr) -> bool {
    (0..)
        .zip(SERVICES)
        .any(|(number, (_, _, affinity, _))| affinity == Affinity::ThreeTuple && vip(number) == vip_of)
}

/// Whether a service has but one pool, as long as nobody gives it others.
pub(super) fn has_one_pool(service: usize) -> bool {
    SERVICES[service].3 == 1
}

/// Number of services.
pub(super) fn services() -> usize {
    SERVICES.len()
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The check of an endpoint (pool and address) failed: an agent marks it at once.
    Failed((String, IpAddr)),
    /// Nothing that an agent acts upon before it has new tables.
    Other,
}

/// What an agent is told and sees.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) config: Config,
    pub(super) observed: Observed,
    /// So many services, the first, keep their pools.
    fixed: usize,
    /// The last pool's nodes have IPv6 addresses.
    wide: bool,
}

impl World {
    pub(super) fn new(chance: &mut Chance) -> Self {
        Self { config: config(), observed: Observed::default(), fixed: 0, wide: false }.peopled(chance)
    }

    /// One in which the first services track by chain.
    pub(super) fn chained(chance: &mut Chance) -> Self {
        let mut config = config();
        config.services[..CHAINED].iter_mut().for_each(|service| service.tracking = Tracking::Chain);
        config
            .clusters
            .iter_mut()
            .for_each(|cluster| cluster.encap.kind = EncapKind::Gue { port: GUE, tag: false });
        let wide = chance.one_in(4);
        Self { config, observed: Observed::default(), fixed: CHAINED, wide }.peopled(chance)
    }

    /// Whether nodes have addresses of both families.
    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    fn peopled(mut self, chance: &mut Chance) -> Self {
        for pool in 0..POOLS {
            let nodes = 2 + chance.below(4);
            for node in 1..=u8::try_from(nodes).unwrap_or(1) {
                self.join(pool, node, 1);
            }
        }
        self
    }

    fn address(&self, pool: u8, node: u8) -> IpAddr {
        if self.wide && pool + 1 == POOLS {
            IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, pool, node])
        } else {
            [10, 0, pool, node].into()
        }
    }

    fn join(&mut self, pool: u8, node: u8, weight: u16) {
        let address = self.address(pool, node);
        let endpoints = &mut self.config.pools[usize::from(pool)].endpoints;
        if endpoints.iter().all(|endpoint| endpoint.address != address) {
            endpoints.push(Endpoint { address, weight, server_id: None });
            self.observed.next_hops.insert(address, hop(address));
        }
    }

    /// Something happens.
    pub(super) fn change(&mut self, chance: &mut Chance) -> Change {
        let before = self.clone();
        let what = self.change_anything(chance);
        if self.is_whole() {
            return what;
        }
        *self = before;
        Change::Other
    }

    fn change_anything(&mut self, chance: &mut Chance) -> Change {
        let (pool, node) = (chance.below(POOLS.into()), chance.below(NODES.into()) + 1);
        let (pool_number, node) = (u8::try_from(pool).unwrap_or(0), u8::try_from(node).unwrap_or(1));
        let address = self.address(pool_number, node);
        let key = (self.config.pools[pool].name.clone(), address);
        match chance.below(16) {
            0..=3 => {
                let verdict = if chance.one_in(2) { Verdict::Down } else { Verdict::Up };
                self.judge(key.clone(), verdict);
                if verdict == Verdict::Down {
                    return Change::Failed(key);
                }
            }
            4 => {
                self.judge(key.clone(), Verdict::Down);
                return Change::Failed(key);
            }
            5 | 6 => toggle(&mut self.observed.drained_backends, key),
            7 | 8 => toggle(&mut self.observed.drained_clusters, self.config.pools[pool].cluster.clone()),
            9 => self.config.pools[pool].weight = chance.pick(&[0, 1, 10, 50, 100]),
            10 => self.weigh(pool, address, chance.pick(&[0, 1, 2, 5])),
            11 | 12 => self.join(pool_number, node, chance.pick(&[1, 1, 2])),
            13 => self.leave(pool, &key),
            14 => self.reach(address, chance),
            _ if chance.one_in(3) => self.config.pools[pool].rows = chance.pick(&[256, 512, 1024]),
            _ => self.move_service(chance),
        }
        Change::Other
    }

    /// Whether every service has somebody to send to by configuration: else its connections are given up.
    fn is_whole(&self) -> bool {
        let Config { services, pools, .. } = &self.config;
        let sends = |pool: &&Pool| pool.weight > 0 && !pool.endpoints.is_empty();
        services
            .iter()
            .all(|service| pools.iter().filter(sends).any(|pool| service.pools.contains(&pool.name)))
    }

    fn judge(&mut self, key: (String, IpAddr), verdict: Verdict) {
        let health = Health { verdict, reason: String::new(), changed_ms: 0 };
        self.observed.health.insert(key, health);
    }

    fn weigh(&mut self, pool: usize, address: IpAddr, weight: u16) {
        let endpoints = &mut self.config.pools[pool].endpoints;
        endpoints.iter_mut().filter(|e| e.address == address).for_each(|e| e.weight = weight);
    }

    fn leave(&mut self, pool: usize, key: &(String, IpAddr)) {
        self.config.pools[pool].endpoints.retain(|endpoint| endpoint.address != key.1);
        self.observed.health.remove(key);
        self.observed.drained_backends.remove(key);
        self.observed.next_hops.remove(&key.1);
    }

    fn reach(&mut self, address: IpAddr, chance: &mut Chance) {
        let known = self.config.pools.iter().flat_map(|pool| &pool.endpoints).any(|e| e.address == address);
        if known && chance.one_in(2) {
            self.observed.next_hops.insert(address, hop(address));
        } else {
            self.observed.next_hops.remove(&address);
        }
    }

    /// A service gets another list of pools.
    fn move_service(&mut self, chance: &mut Chance) {
        let service = self.fixed + chance.below(SERVICES.len() - self.fixed);
        let names: Vec<_> = self.config.pools.iter().map(|pool| pool.name.clone()).collect();
        let mut pools: Vec<_> = names.into_iter().filter(|_| chance.one_in(2)).collect();
        if pools.is_empty() {
            pools.push(self.config.pools[0].name.clone());
        }
        self.config.services[service].pools = pools;
    }
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, one: T) {
    if !set.remove(&one) {
        set.insert(one);
    }
}

fn hop(to: IpAddr) -> NextHop {
    let source =
        if to.is_ipv6() { IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 9, 1]) } else { [192, 0, 2, 1].into() };
    NextHop {
        interface: 1,
        vlan: 0,
        destination_mac: [2, 0, 0, 0, 0, 2],
        source_mac: [2, 0, 0, 0, 0, 1],
        source: Some(source),
        mtu: 1500,
    }
}

/// Each cluster is reached in another way.
fn encap(cluster: u8) -> EncapKind {
    match cluster {
        0 => EncapKind::Ipip,
        1 => EncapKind::Gue { port: GUE, tag: false },
        _ => EncapKind::Vxlan { port: 4789, vni: 100, mac: [2, 0, 0, 0, 0, 9] },
    }
}

fn config() -> Config {
    let cluster = |number: u8| Cluster {
        name: format!("c{number}"),
        labels: BTreeMap::new(),
        state: ClusterState::Active,
        via: Via::Nodes,
        encap: Encap { kind: encap(number), mtu: None },
        report: None,
        capacity: None,
    };
    let pool = |number: u8| Pool {
        name: format!("p{number}"),
        cluster: format!("c{number}"),
        weight: 100,
        rows: 256,
        algorithm: if number == 1 { Algorithm::Hrw } else { Algorithm::Maglev },
        endpoints: Vec::new(),
        // Any name: what is checked has verdicts.
        health: Some("check".into()),
        outlier: None,
        circuit_breaker: None,
        slow_start: Duration::ZERO,
    };
    Config {
        rollouts: Vec::new(),
        analyses: Vec::new(),
        drills: Vec::new(),
        digest: String::new(),
        cluster_set: ClusterSet {
            id: "model".into(),
            self_cluster: None,
            secret: Secret { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 },
            tunnel_key: None,
            change_window: Duration::from_millis(WINDOW),
            roll_delay: Duration::ZERO,
        },
        gateway: Gateway {
            interfaces: Vec::new(),
            pin_path: "/".into(),
            source_v4: None,
            source_v6: None,
            limits: Limits::default(),
            admin: "/".into(),
            replies: Replies::default(),
            evidence: None,
            redirects: Redirects::default(),
        },
        clusters: (0..POOLS).map(cluster).collect(),
        services: (0..).zip(SERVICES).map(|(number, service)| self::service(number, service)).collect(),
        pools: (0..POOLS).map(pool).collect(),
        health_checks: Vec::new(),
        access_policies: Vec::new(),
        failover_policies: Vec::new(),
    }
}

fn service(number: usize, (name, tracking, affinity, pools): (&str, Tracking, Affinity, u8)) -> Service {
    let port = if affinity == Affinity::ThreeTuple { 0 } else { 443 };
    let port = |protocol| ServicePort { name: None, protocol, port, last: None };
    Service {
        name: format!("model/{name}"),
        vips: vec![vip(number)],
        ports: vec![port(Protocol::Tcp), port(Protocol::Udp)],
        affinity,
        pools: (0..pools).map(|pool| format!("p{pool}")).collect(),
        tracking,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        failover_policy: None,
        on_no_backend: OnNoBackend::Drop,
        quic: Vec::new(),
        allow_local: false,
    }
}
