mod examples;
mod memory;

use super::*;
use crate::config::model::{
    Affinity, Algorithm, ClusterSet, Encap, EncapKind, Endpoint, Gateway, Limits, OnNoBackend, Protocol,
    Replies, Secret, ServicePort, Tracking, UdpOnChange,
};
use observed::Health;
use std::collections::BTreeMap;

fn config() -> Config {
    let cluster = |name: &str, mtu| model::Cluster {
        name: name.into(),
        labels: BTreeMap::new(),
        state: ClusterState::Active,
        via: model::Via::Nodes,
        encap: Encap { kind: EncapKind::Ipip, mtu },
        report: None,
        capacity: None,
    };
    let endpoint =
        |address: &str, weight| Endpoint { address: address.parse().unwrap(), weight, server_id: None };
    let pool = |name: &str, cluster: &str, weight, endpoints| model::Pool {
        name: name.into(),
        cluster: cluster.into(),
        weight,
        rows: 256,
        algorithm: Algorithm::Maglev,
        endpoints,
        health: Some("http".into()),
        outlier: None,
        circuit_breaker: None,
        slow_start: std::time::Duration::ZERO,
    };
    Config {
        digest: "d".into(),
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
            source_v4: Some([192, 0, 2, 1].into()),
            source_v6: None,
            limits: Limits::default(),
            admin: "/nowhere.sock".into(),
            replies: Replies::default(),
            evidence: None,
            redirects: crate::config::model::Redirects::default(),
        },
        clusters: vec![cluster("eu", None), cluster("us", Some(1400))],
        services: vec![model::Service {
            name: "shop/web".into(),
            vips: vec![[198, 51, 100, 10].into(), [198, 51, 100, 11].into()],
            ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port: 443, last: None }],
            affinity: Affinity::Flow,
            pools: vec!["eu".into(), "us".into()],
            tracking: Tracking::Transition,
            udp_on_change: UdpOnChange::Keep,
            access: None,
            failover_policy: None,
            on_no_backend: OnNoBackend::Drop,
            quic: Vec::new(),
            allow_local: true,
        }],
        pools: vec![
            pool("eu", "eu", 90, vec![endpoint("10.1.0.1", 1), endpoint("10.1.0.2", 0)]),
            pool("us", "us", 10, vec![endpoint("10.2.0.1", 1), endpoint("2001:db8::1", 1)]),
        ],
        health_checks: Vec::new(),
        access_policies: Vec::new(),
        rollouts: Vec::new(),
        analyses: Vec::new(),
        drills: Vec::new(),
        failover_policies: Vec::new(),
    }
}

fn hop(source: Option<&str>) -> NextHop {
    let source = source.map(|source| source.parse().unwrap());
    NextHop { interface: 2, vlan: 0, destination_mac: [2; 6], source_mac: [4; 6], source, mtu: 1500 }
}

fn seen() -> Observed {
    let next_hops = ["10.1.0.1", "10.1.0.2", "10.2.0.1"].map(|address| (address.parse().unwrap(), hop(None)));
    Observed { next_hops: next_hops.into(), ..Observed::default() }
}

fn tell(observed: &mut Observed, pool: &str, address: &str, verdict: Verdict) {
    let health = Health { verdict, reason: "told".into(), changed_ms: 7 };
    observed.health.insert((pool.into(), address.parse().unwrap()), health);
}

fn weights(config: &Config, observed: &Observed) -> [u16; 2] {
    let desired = decide(config, observed);
    [desired.services[0].shares[0].weight, desired.services[0].shares[1].weight]
}

#[test]
fn a_pool_loses_its_weight_with_its_last_usable_member() {
    let (config, mut observed) = (config(), seen());
    assert_eq!(weights(&config, &observed), [90, 10], "unknown serves");
    tell(&mut observed, "eu", "10.1.0.2", Verdict::Up);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    assert_eq!(weights(&config, &observed), [0, 10], "a member of weight 0 does not keep it");
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Up);
    assert_eq!(weights(&config, &observed), [90, 10]);
    observed.next_hops.remove(&"10.1.0.1".parse().unwrap());
    assert_eq!(weights(&config, &observed), [0, 10], "nor does one that cannot be reached");
    observed.own_addresses.insert("10.1.0.1".parse().unwrap());
    assert_eq!(weights(&config, &observed), [90, 10], "this machine can always be reached");
}

#[test]
fn all_weights_gone_fails_open_to_the_configured() {
    let (config, mut observed) = (config(), seen());
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    tell(&mut observed, "us", "10.2.0.1", Verdict::Down);
    assert_eq!(weights(&config, &observed), [90, 10]);
}

#[test]
fn who_is_up_in_a_drained_cluster_stands_in_alone() {
    let (config, mut observed) = (config(), seen());
    observed.drained_clusters.insert("us".into());
    assert_eq!(weights(&config, &observed), [90, 0]);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    assert_eq!(weights(&config, &observed), [0, 10]);
}

#[test]
fn a_pool_configured_to_nothing_gets_nothing_by_failing_open() {
    let (mut config, mut observed) = (config(), seen());
    config.pools[1].weight = 0;
    assert_eq!(weights(&config, &observed), [90, 0]);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    assert_eq!(weights(&config, &observed), [90, 0]);
}

#[test]
fn clusters_that_drain_have_no_weight() {
    let (mut config, mut observed) = (config(), seen());
    observed.drained_clusters.insert("eu".into());
    assert_eq!(weights(&config, &observed), [0, 10]);
    assert_eq!(decide(&config, &observed).clusters[0].state, ClusterState::Draining);
    observed.drained_clusters.clear();
    config.clusters[1].state = ClusterState::Drained;
    assert_eq!(weights(&config, &observed), [90, 0]);
}

#[test]
fn a_member_is_down_before_it_is_draining_before_it_is_up() {
    let (mut config, mut observed) = (config(), seen());
    let state = |config: &Config, observed: &Observed| decide(config, observed).pools[0].members[0].state;
    assert_eq!(state(&config, &observed), MemberState::Unknown);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Up);
    assert_eq!(state(&config, &observed), MemberState::Up);
    observed.drained_backends.insert(("eu".into(), "10.1.0.1".parse().unwrap()));
    assert_eq!(state(&config, &observed), MemberState::Draining);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    assert_eq!(state(&config, &observed), MemberState::Down);
    let member = &decide(&config, &observed).pools[0].members[0];
    assert_eq!((member.reason.as_str(), member.changed_ms), ("told", 7));
    config.pools[0].health = None;
    assert_eq!(state(&config, &observed), MemberState::Draining, "an old verdict of no check counts no more");
}

#[test]
fn the_outer_source_is_of_the_endpoints_family() {
    let (mut config, mut observed) = (config(), seen());
    let reach =
        |config: &Config, observed: &Observed, pool: usize, member: usize| match decide(config, observed)
            .pools[pool]
            .members[member]
            .reach
        {
            Reach::Via(egress) => Some((egress.source.to_string(), egress.mtu)),
            Reach::Local | Reach::Unresolved => None,
        };
    assert_eq!(reach(&config, &observed, 0, 0), Some(("192.0.2.1".into(), 1500)));
    assert_eq!(reach(&config, &observed, 1, 0), Some(("192.0.2.1".into(), 1400)), "the cluster's MTU");
    let v6 = "2001:db8::1".parse().unwrap();
    observed.next_hops.insert(v6, hop(Some("192.0.2.9")));
    assert_eq!(reach(&config, &observed, 1, 1), None, "IPv4 cannot be the source to IPv6");
    observed.next_hops.insert(v6, hop(Some("2001:db8::9")));
    assert_eq!(reach(&config, &observed, 1, 1), Some(("2001:db8::9".into(), 1400)));
    config.gateway.source_v6 = Some("2001:db8::5".parse().unwrap());
    assert_eq!(reach(&config, &observed, 1, 1), Some(("2001:db8::5".into(), 1400)));
}

#[test]
fn a_vip_of_this_machine_is_local() {
    let mut observed = seen();
    observed.own_addresses.insert([198, 51, 100, 11].into());
    let local: Vec<_> = decide(&config(), &observed).services[0].vips.iter().map(|vip| vip.local).collect();
    assert_eq!(local, [false, true]);
}

#[test]
fn a_pool_is_reached_as_its_cluster_is() {
    let mut config = config();
    config.clusters[1].encap.kind = EncapKind::Gue { port: 6081, tag: false };
    let pools = decide(&config, &seen()).pools;
    assert_eq!(
        pools.iter().map(|pool| pool.encap).collect::<Vec<_>>(),
        [EncapKind::Ipip, EncapKind::Gue { port: 6081, tag: false }]
    );
}

/// Both clusters with four endpoints each, eu first.
fn in_order() -> (Config, Observed) {
    let (mut config, mut observed) = (config(), seen());
    config.failover_policies = vec![model::FailoverPolicy {
        name: "near".into(),
        order: model::Order::Groups(vec![vec!["eu".into()], vec!["us".into()]]),
        overprovisioning: model::FailoverPolicy::OVERPROVISIONING,
        panic_threshold: model::FailoverPolicy::PANIC_THRESHOLD,
        min_healthy: 0,
        failback: None,
        resilience: None,
        spill: None,
    }];
    config.services[0].failover_policy = Some("near".into());
    for (number, pool) in (1..).zip(&mut config.pools) {
        let endpoint = |last| Endpoint { address: [10, number, 0, last].into(), weight: 1, server_id: None };
        pool.endpoints = (1..=4).map(endpoint).collect();
        observed.next_hops.extend(pool.endpoints.iter().map(|endpoint| (endpoint.address, hop(None))));
    }
    (config, observed)
}

/// Shares of a service's pools in percent.
fn percents(config: &Config, observed: &Observed) -> [u32; 2] {
    in_percent(weights(config, observed))
}

fn in_percent(weights: [u16; 2]) -> [u32; 2] {
    let all = lb_common::flow::CLUSTER_ROWS * failover::WEIGHT_OF_A_ROW;
    weights.map(|weight| (u32::from(weight) * 100 + all / 2) / all)
}

#[test]
fn priorities_come_before_weights() {
    let (mut config, mut observed) = in_order();
    assert_eq!(percents(&config, &observed), [100, 0]);
    tell(&mut observed, "eu", "10.1.0.1", Verdict::Down);
    assert_eq!(percents(&config, &observed), [100, 0], "a fourth less is no harm");
    tell(&mut observed, "eu", "10.1.0.2", Verdict::Down);
    assert_eq!(percents(&config, &observed), [70, 30]);
    config.failover_policies[0].min_healthy = 3;
    assert_eq!(percents(&config, &observed), [0, 100], "two are too few");
    let shares = &decide(&config, &observed).services[0].shares;
    assert_eq!(shares.iter().map(|share| share.priority).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn clusters_that_an_operator_takes_out_leave_their_priority_empty() {
    let (config, mut observed) = in_order();
    observed.drained_clusters.insert("eu".into());
    assert_eq!(percents(&config, &observed), [0, 100]);
    assert!(decide(&config, &observed).pools.iter().all(|pool| !pool.panic));
    observed.drained_clusters.insert("us".into());
    assert_eq!(percents(&config, &observed), [100, 0], "nobody is left: as if nothing were said");
    observed.drained_clusters.remove("us");
    for last in 1..=4 {
        tell(&mut observed, "us", &format!("10.2.0.{last}"), Verdict::Down);
    }
    assert_eq!(percents(&config, &observed), [100, 0], "who is up beats who is dead");
}

#[test]
fn by_labels_the_nearest_come_first() {
    let (mut config, observed) = in_order();
    let labels = |region: &str| BTreeMap::from([("region".to_owned(), region.to_owned())]);
    config.failover_policies[0].order = model::Order::Labels(vec!["region".into()]);
    (config.clusters[0].labels, config.clusters[1].labels) = (labels("eu"), labels("us"));
    config.cluster_set.self_cluster = Some("us".into());
    assert_eq!(percents(&config, &observed), [0, 100]);
    config.clusters[0].labels = labels("us");
    assert_eq!(percents(&config, &observed), [90, 10], "as near: by weight");
}

#[test]
fn a_pool_is_in_panic_if_each_service_that_sends_to_it_is() {
    let (mut config, mut observed) = in_order();
    for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        tell(&mut observed, "eu", address, Verdict::Down);
    }
    for address in ["10.2.0.1", "10.2.0.2", "10.2.0.3"] {
        tell(&mut observed, "us", address, Verdict::Down);
    }
    let panic = |config: &Config, observed: &Observed| {
        decide(config, observed).pools.iter().map(|pool| pool.panic).collect::<Vec<_>>()
    };
    assert_eq!(panic(&config, &observed), [true, true]);
    let other = model::Service {
        name: "shop/api".into(),
        pools: vec!["us".into()],
        failover_policy: None,
        ..config.services[0].clone()
    };
    config.services.push(other);
    assert_eq!(panic(&config, &observed), [true, false], "the other service is content with one");
    config.failover_policies[0].panic_threshold = 0;
    assert_eq!(panic(&config, &observed), [false, false]);
}
