//! A gateway's maps that were compiled and never loaded, and what was counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::abi::{BackendCounters, Evidence, ProbeCounters, ServiceCounters, TrackingCounters};
use lb_common::reason::Reason;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::compile::MapImage;
use crate::config::model::{
    Affinity, Algorithm, Cluster, ClusterSet, ClusterState, Config, Encap, EncapKind, Endpoint, Gateway,
    Limits, OnNoBackend, Pool, Protocol, Replies, Secret, Service, ServicePort, Tracking, UdpOnChange, Via,
};
use crate::explain::offline;
use crate::observe::published::{Agent, Drained, InterfaceState, Published};
use crate::observe::view::{Counts, Seen, backends};
use crate::policy::memory::Memory;

pub(super) const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

pub(super) fn config() -> Config {
    let cluster = |name: &str, state| {
        let encap = Encap { kind: EncapKind::Ipip, mtu: None };
        Cluster {
            name: name.into(),
            labels: BTreeMap::new(),
            state,
            via: Via::Nodes,
            encap,
            report: None,
            capacity: None,
        }
    };
    let endpoint =
        |(last, weight): (u8, u16)| Endpoint { address: [10, 0, 0, last].into(), weight, server_id: None };
    let pool = |name: &str, cluster: &str, weight, endpoints: &[(u8, u16)]| Pool {
        name: name.into(),
        cluster: cluster.into(),
        weight,
        rows: 256,
        algorithm: Algorithm::Maglev,
        endpoints: endpoints.iter().copied().map(endpoint).collect(),
        health: Some("check".into()),
        outlier: None,
        circuit_breaker: None,
        slow_start: std::time::Duration::ZERO,
    };
    let service = |name: &str, last, affinity, pools: &[&str]| Service {
        name: name.into(),
        vips: vec![[198, 51, 100, last].into()],
        ports: vec![ServicePort {
            name: Some("https".into()),
            protocol: Protocol::Tcp,
            port: 443,
            last: None,
        }],
        affinity,
        pools: pools.iter().map(|&pool| pool.into()).collect(),
        tracking: Tracking::Transition,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        failover_policy: None,
        on_no_backend: OnNoBackend::Drop,
        quic: Vec::new(),
        allow_local: false,
    };
    Config {
        access_policies: Vec::new(),
        rollouts: Vec::new(),
        analyses: Vec::new(),
        drills: Vec::new(),
        failover_policies: Vec::new(),
        digest: "d1".into(),
        cluster_set: ClusterSet {
            id: "prod".into(),
            self_cluster: None,
            secret: Secret { k0: 3, k1: 4 },
            tunnel_key: None,
            change_window: std::time::Duration::from_mins(5),
            roll_delay: std::time::Duration::ZERO,
        },
        gateway: Gateway {
            interfaces: Vec::new(),
            pin_path: "/sys/fs/bpf/x".into(),
            source_v4: None,
            source_v6: None,
            limits: Limits { services: 16, backends: 64, rows: 32_768, connections: 64, access_prefixes: 16 },
            admin: "/nowhere.sock".into(),
            replies: Replies::default(),
            evidence: None,
            redirects: crate::config::model::Redirects::default(),
        },
        clusters: vec![cluster("eu", ClusterState::Active), cluster("us", ClusterState::Active)],
        services: vec![
            service("shop/both", 1, Affinity::Flow, &["web-eu", "web-us"]),
            service("shop/eu", 2, Affinity::Client, &["web-eu"]),
        ],
        pools: vec![pool("web-eu", "eu", 90, &[(1, 1), (2, 3), (3, 0)]), pool("web-us", "us", 10, &[(9, 1)])],
        health_checks: Vec::new(),
    }
}

/// Counts that follow from the index.
pub(super) struct Fixed;

impl Counts for Fixed {
    fn service(&self, index: u32) -> ServiceCounters {
        let index = u64::from(index);
        ServiceCounters { packets: 100 + index, bytes: 1000 + index, dropped: 10 + index, reserved: 0 }
    }

    fn backend(&self, index: u32) -> BackendCounters {
        BackendCounters { packets: 50 + u64::from(index), bytes: 500 + u64::from(index) }
    }

    fn evidence(&self, _index: u32) -> Evidence {
        Evidence::default()
    }

    fn tracking(&self) -> TrackingCounters {
        TrackingCounters { hits: 90, inserted: 30, refused_new: 2, refused_missed: 3 }
    }

    fn probes(&self) -> ProbeCounters {
        ProbeCounters { sent: 7, dropped: 1 }
    }

    fn reason(&self, reason: Reason) -> u64 {
        match reason {
            Reason::NoService => 7,
            Reason::MissingEntry => 1,
            _ => 0,
        }
    }
}

pub(super) struct World {
    pub(super) published: Published,
    pub(super) image: MapImage,
}

impl World {
    pub(super) fn new() -> Self {
        let (image, record) = offline::imagine(&config()).unwrap();
        let ago = |seconds| NOW - Duration::seconds(seconds);
        let eth0 = InterfaceState { name: "eth0".into(), mode: "native".into(), program_id: 55 };
        let agent = Agent {
            version: "0.1.0".into(),
            pid: 42,
            started: ago(100),
            configured: ago(90),
            applied: ago(5),
            adopted: true,
            interfaces: vec![eth0],
            probes: vec!["eth0".into()],
            features: 0,
            refused_configs: 0,
            swept: 10,
            forgotten: 3,
            last_error: Some("it is late".into()),
        };
        let (drained, reports) = (Drained::default(), None);
        let (memory, ejections, breakers) = (Memory::default(), BTreeMap::default(), BTreeMap::default());
        Self {
            published: Published {
                agent,
                drained,
                memory,
                ejections,
                breakers,
                drills: crate::observe::published::Drills::default(),
                rollouts: BTreeMap::default(),
                reports,
                loads: None,
                record,
            },
            image,
        }
    }

    pub(super) fn backend(&mut self, pool: &str, last: u8) -> &mut crate::compile::record::BackendRecord {
        let pool = self.published.record.pools.get_mut(pool).unwrap();
        pool.backends.get_mut(&IpAddr::from([10, 0, 0, last])).unwrap()
    }

    pub(super) fn seen<T>(&self, view: impl FnOnce(Seen<MapImage>) -> T) -> T {
        let name = |index| format!("eth{index}");
        let Self { published, image } = self;
        view(Seen {
            published,
            tables: image,
            counts: &Fixed,
            connections: (15, 64),
            interface_name: &name,
            now: NOW,
            monotonic: 5_000,
        })
    }

    pub(super) fn backends(&self) -> Vec<Value> {
        self.seen(|seen| backends(&seen).iter().map(|view| serde_json::to_value(view).unwrap()).collect())
    }
}
