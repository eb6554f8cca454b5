//! Two clusters, a gateway in each, and each reaches the other's nodes by way of the other's gateway: shares are what the
//! weights of the gateway say that a client reached, and no packet comes to a gateway twice.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{
    ClusterSpec, Echo, Objects, SecondGateway, Segment, Talk, Talks, TwoClusters, VIP_V4, VIP_V6, is_root,
};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// Port of the service on the VIPs (host order).
const PORT: u16 = 7;
const PACE: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 300;
const CLUSTERS: [&str; 2] = ["eu-1", "us-1"];
const PLACES: [Segment; 2] = [TwoClusters::GATEWAY, TwoClusters::SECOND_GATEWAY];

/// The lab; gateway number 0 is eu-1's, number 1 us-1's.
struct Stage {
    gateways: [Gateway; 2],
    second: SecondGateway,
    _servers: Vec<Echo>,
    // Dropped last: the agents and the servers live in it.
    lab: TwoClusters,
}

/// What one gateway counted: packets to its own nodes, to the other gateway, and dropped for want of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    here: u64,
    there: u64,
    nobody: u64,
    other_reasons: u64,
}

impl Stage {
    fn new() -> Result<Self> {
        let objects = Objects::from_env()?;
        let cluster = |name| ClusterSpec { name, nodes: vec![1; 2] };
        let lab = TwoClusters::with_clusters(&objects, &CLUSTERS.map(cluster))?;
        let servers = lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, PORT));
        let servers = servers.collect::<Result<_>>()?;
        let second = SecondGateway::join(&lab, &objects)?;
        let gateways = [Gateway::new()?, Gateway::new()?];
        let mut stage = Self { gateways, second, _servers: servers, lab };
        stage.write(0, [80, 20], true)?;
        stage.write(1, [30, 70], true)?;
        stage.gateways[0].start(&stage.lab.gateway)?;
        stage.gateways[1].start(&stage.second.namespace)?;
        Ok(stage)
    }

    /// The file of one gateway, with weights of both clusters; `peopled`: its own cluster has nodes.
    fn write(&self, own: usize, weights: [u16; 2], peopled: bool) -> Result<()> {
        let other = 1 - own;
        let both = |segment: Segment| [IpAddr::from(VIP_V4), VIP_V6.into()].map(|like| segment.host(like));
        let nodes = self.lab.nodes.iter().filter(|node| peopled && node.cluster == CLUSTERS[own]);
        let nodes: Vec<_> = nodes.map(|node| json!({"address": node.address(VIP_V4.into())})).collect();
        let far: Vec<_> = both(PLACES[other]).map(|address| json!({"address": address})).into();
        let pool = |number: usize, endpoints: Vec<Value>| {
            let (name, weight) = (CLUSTERS[number], weights[number]);
            json!({"name": name, "cluster": name, "weight": weight, "rows": 1024, "endpoints": endpoints})
        };
        let config = json!({
            "clusterSet": {"id": "test", "self": CLUSTERS[own], "secretFile": "hash.key"},
            "gateway": {"gateways": both(PLACES[other])},
            "clusters": [{"name": CLUSTERS[own]}, {"name": CLUSTERS[other], "via": "gateway", "encap": {"kind": "gue"}}],
            "services": [{"name": "test/echo", "vips": [VIP_V4, VIP_V6], "ports": [{"port": PORT}], "pools": CLUSTERS}],
            "pools": [pool(own, nodes), pool(other, far)],
        });
        self.gateways[own].configure(&[TwoClusters::GATEWAY_INTERFACE], &config)
    }

    /// Writes a gateway's file, and waits until it is in force.
    fn rewrite(&mut self, own: usize, weights: [u16; 2], peopled: bool) -> Result<()> {
        let digest = |gateway: &Gateway| Some(gateway.ask(&["status"]).ok()?["configDigest"].clone());
        let before = digest(&self.gateways[own]);
        self.write(own, weights, peopled)?;
        self.gateways[own]
            .until("the change", |gateway| digest(gateway).filter(|now| Some(now) != before.as_ref()))?;
        Ok(())
    }

    fn counted(&self, own: usize) -> Result<Counted> {
        let backends = self.gateways[own].ask(&["backends"])?;
        let backends = backends.as_array().context("backends are a list")?;
        let packets = |cluster: &str| {
            let there = backends.iter().filter(|backend| backend["cluster"] == cluster);
            there.filter_map(|backend| backend["packets"].as_u64()).sum()
        };
        let mut reasons = self.gateways[own].reasons()?;
        let nobody = reasons.remove("no-backend").unwrap_or(0);
        let (here, there) = (packets(CLUSTERS[own]), packets(CLUSTERS[1 - own]));
        Ok(Counted { here, there, nobody, other_reasons: reasons.values().sum() })
    }

    fn both(&self) -> Result<[Counted; 2]> {
        Ok([self.counted(0)?, self.counted(1)?])
    }

    /// Connections of both families to the VIPs, which are all led to one gateway.
    fn talk(&mut self, reached: usize, count: usize) -> Result<Vec<Talk>> {
        SecondGateway::only(&self.lab, PLACES[reached])?;
        let to = [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)].map(|vip| SocketAddr::new(vip, PORT));
        let talks = Talks::start(&self.lab.client, &to, count, PACE)?;
        let heard = |_: &Gateway| talks.all().iter().all(|talk| talk.answers > 1).then_some(());
        self.gateways[reached].until("an answer to everybody", heard)?;
        let talks = talks.finish();
        let broken: Vec<_> = talks.iter().filter(|talk| talk.broken.is_some()).collect();
        assert!(broken.is_empty(), "{} of {count} broken, such as {:?}", broken.len(), broken[0]);
        Ok(talks)
    }
}

fn in_cluster(talks: &[Talk], number: usize) -> usize {
    talks.iter().filter(|talk| talk.node.starts_with(CLUSTERS[number])).count()
}

/// Four standard deviations around the expected share: once in 16,000 runs it is missed.
pub(crate) fn is_share(count: usize, of: usize, percent: usize) -> bool {
    let variance = of * percent * (100 - percent);
    (100 * count).abs_diff(of * percent).pow(2) <= 16 * variance
}

/// Since `before` the reached gateway sent on what the other gave its nodes: each packet came over once, and none back.
fn assert_once_over(before: [Counted; 2], after: [Counted; 2], reached: usize) {
    let other = 1 - reached;
    let over = after[reached].there - before[reached].there;
    assert!(over > 0, "nothing was sent on: {before:?} {after:?}");
    assert_eq!(after[other].here - before[other].here, over, "{before:?} {after:?}");
    assert_eq!(after[other].there, before[other].there, "sent back: {before:?} {after:?}");
    assert_eq!(after.map(|one| one.other_reasons), before.map(|one| one.other_reasons), "{after:?}");
}

#[test]
fn two_clusters_that_point_at_each_other_share_and_never_loop() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    for (reached, percent) in [(0, 20), (1, 30)] {
        let before = stage.both()?;
        let talks = stage.talk(reached, CONNECTIONS)?;
        let over = in_cluster(&talks, 1 - reached);
        println!("{over} of {CONNECTIONS} from {} went over, {percent} % are to", CLUSTERS[reached]);
        assert!(is_share(over, CONNECTIONS, percent), "{over} of {CONNECTIONS}, not {percent} %");
        assert_eq!(over + in_cluster(&talks, reached), CONNECTIONS);
        assert_once_over(before, stage.both()?, reached);
    }
    Ok(())
}

#[test]
fn a_drained_cluster_goes_over_and_where_nobody_is_packets_end() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    stage.gateways[0].tell(&["drain", "cluster", "eu-1"])?;
    stage.gateways[0].until("the drain", |gateway| {
        let services = gateway.ask(&["services"]).ok()?;
        let pools = services[0]["pools"].as_array()?;
        pools.iter().any(|pool| pool["name"] == "eu-1" && pool["weight"] == 0).then_some(())
    })?;
    let before = stage.both()?;
    let talks = stage.talk(0, 40)?;
    assert_eq!(in_cluster(&talks, 1), 40, "{talks:?}");
    assert_once_over(before, stage.both()?, 0);

    // Each would give the other everything: what comes over is served all the same, and not sent back.
    stage.rewrite(0, [0, 100], true)?;
    stage.rewrite(1, [100, 0], true)?;
    for reached in [0, 1] {
        let before = stage.both()?;
        let talks = stage.talk(reached, 20)?;
        assert_eq!(in_cluster(&talks, 1 - reached), 20, "{talks:?}");
        assert_once_over(before, stage.both()?, reached);
    }

    // Neither has a node: the second drops what comes over, and counts it.
    stage.rewrite(0, [80, 20], false)?;
    stage.rewrite(1, [30, 70], false)?;
    SecondGateway::only(&stage.lab, PLACES[0])?;
    let before = stage.both()?;
    let to = SocketAddr::new(VIP_V4.into(), PORT);
    assert!(lb_tests::lab::fetch(&stage.lab.client, to, "/").is_err(), "nobody is there");
    let after = stage.both()?;
    let over = after[0].there - before[0].there;
    assert!(over > 0, "{before:?} {after:?}");
    assert_eq!((after[1].nobody - before[1].nobody, after[1].there), (over, before[1].there), "{after:?}");
    Ok(())
}
