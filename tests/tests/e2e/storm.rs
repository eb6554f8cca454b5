//! Hundreds of TCP connections under a storm of changes: none of them notices.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{ClusterSpec, Echo, Objects, Talk, Talks, TwoClusters, VIP_V4, VIP_V6, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// Port of the service on the VIPs (host order).
const PORT: u16 = 7;
/// How long a row that changed its owner counts as moving.
const WINDOW: Duration = Duration::from_secs(3);
/// Between two lines of a connection: well within the window.
const PACE: Duration = Duration::from_secs(1);
/// Between two changes: several fit a window.
const BEAT: Duration = Duration::from_millis(800);
/// Connections from before the storm, and from its midst.
const EARLY: usize = 250;
const LATE: usize = 150;

/// The lab with echo servers, a gateway, and the names of what it serves.
struct Stage {
    gateway: Gateway,
    tracking: &'static str,
    _servers: Vec<Echo>,
    // Dropped last: the agent and the servers live in it.
    lab: TwoClusters,
}

/// What a configuration says of the pools: weight of `eu-1`, and of each node in order; 0: not configured.
type Weights = (u16, [u16; 6]);

const BEFORE: Weights = (100, [1, 1, 1, 1, 1, 0]);

impl Stage {
    fn new(tracking: &'static str) -> Result<Self> {
        let cluster = |name| ClusterSpec { name, nodes: vec![1; 3] };
        let lab = TwoClusters::with_clusters(&Objects::from_env()?, &[cluster("eu-1"), cluster("us-1")])?;
        let servers = lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, PORT));
        let servers = servers.collect::<Result<_>>()?;
        let mut stage = Self { gateway: Gateway::new()?, tracking, _servers: servers, lab };
        stage.write(BEFORE)?;
        stage.gateway.start(&stage.lab.gateway)?;
        stage
            .gateway
            .until("all rows clean", |gateway| (rows(gateway)? == [true, false, false]).then_some(()))?;
        Ok(stage)
    }

    fn write(&self, (eu, nodes): Weights) -> Result<()> {
        let pool = |cluster: &str, weight: u16| {
            let configured = self.lab.nodes.iter().zip(nodes).filter(|(_, weight)| *weight > 0);
            let here = configured.filter(|(node, _)| node.cluster == cluster);
            let endpoint = |address: IpAddr, weight| json!({"address": address, "weight": weight});
            let endpoints: Vec<Value> =
                here.map(|(node, weight)| endpoint(node.address(VIP_V4.into()), weight)).collect();
            json!({"name": cluster, "cluster": cluster, "weight": weight, "rows": 1024, "endpoints": endpoints})
        };
        let window = format!("{}s", WINDOW.as_secs());
        let config = json!({
            "clusterSet": {"id": "test", "secretFile": "hash.key", "changeWindow": window},
            "clusters": [{"name": "eu-1"}, {"name": "us-1"}],
            "services": [{"name": "test/echo", "vips": [VIP_V4, VIP_V6], "ports": [{"port": PORT}],
                          "pools": ["eu-1", "us-1"], "tracking": self.tracking}],
            "pools": [pool("eu-1", eu), pool("us-1", 100)],
        });
        self.gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config)
    }

    /// Rewrites the file, and waits until it is in force.
    fn reconfigure(&mut self, weights: Weights) -> Result<()> {
        let digest = |gateway: &Gateway| Some(gateway.ask(&["status"]).ok()?["configDigest"].clone());
        let before = digest(&self.gateway);
        self.write(weights)?;
        let changed = |gateway: &Gateway| (digest(gateway) != before).then_some(());
        self.gateway.until("another configuration", changed)
    }

    /// Tells the agent all of this at the same time.
    fn tell(&self, all: &[(&str, &str, &str)]) -> Result<()> {
        let tell = |&(verb, kind, name): &(&str, &str, &str)| self.gateway.tell(&[verb, kind, name]);
        thread::scope(|scope| {
            let told: Vec<_> = all.iter().map(|one| scope.spawn(move || tell(one))).collect();
            told.into_iter().try_for_each(|one| one.join().ok().context("it panicked")?)
        })
    }

    fn restart(&mut self) -> Result<()> {
        self.gateway.kill()?;
        thread::sleep(BEAT);
        self.gateway.start(&self.lab.gateway)
    }

    fn talk(&mut self, count: usize) -> Result<Talks> {
        let to = [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)].map(|vip| SocketAddr::new(vip, PORT));
        let talks = Talks::start(&self.lab.client, &to, count, PACE)?;
        let heard = |_: &Gateway| talks.all().iter().all(|talk| talk.answers > 1).then_some(());
        self.gateway.until("an answer to everybody", heard)?;
        Ok(talks)
    }

    /// Name of a node's endpoint.
    fn endpoint(&self, number: usize) -> String {
        let node = &self.lab.nodes[number];
        format!("{}/{}", node.cluster, node.address(VIP_V4.into()))
    }
}

/// Whether there are rows that are clean, moving, residue.
fn rows(gateway: &Gateway) -> Option<[bool; 3]> {
    let status = gateway.ask(&["status"]).ok()?;
    Some(
        ["clean", "moving", "residue"].map(|mode| status["rows"][mode].as_u64().is_some_and(|rows| rows > 0)),
    )
}

/// Everything that an operator can do to nodes that go on serving. Returns the connections begun in its midst.
fn storm(stage: &mut Stage) -> Result<Talks> {
    let [first, second, fourth] = [0, 1, 3].map(|number| stage.endpoint(number));
    stage.tell(&[("drain", "backend", &first)])?;
    thread::sleep(BEAT);
    stage.tell(&[("drain", "cluster", "us-1"), ("drain", "backend", &second)])?;
    let late = stage.talk(LATE)?;
    stage.reconfigure((30, [1, 1, 2, 1, 5, 1]))?;
    stage.restart()?;
    stage.tell(&[
        ("undrain", "cluster", "us-1"),
        ("undrain", "backend", &first),
        ("drain", "backend", &fourth),
    ])?;
    thread::sleep(WINDOW + BEAT);
    stage.tell(&[("drain", "cluster", "eu-1"), ("undrain", "backend", &second)])?;
    stage.reconfigure((200, [3, 1, 1, 2, 1, 1]))?;
    thread::sleep(BEAT);
    stage.tell(&[("undrain", "cluster", "eu-1"), ("drain", "cluster", "us-1")])?;
    stage.restart()?;
    stage.gateway.until("rows that are looked up only", |gateway| {
        (rows(gateway)?[1..] == [false, true]).then_some(())
    })?;
    thread::sleep(WINDOW);
    stage.tell(&[("undrain", "cluster", "us-1"), ("undrain", "backend", &fourth)])?;
    assert_eq!(rows(&stage.gateway).map(|[_, moving, _]| moving), Some(true));
    thread::sleep(WINDOW + BEAT);
    Ok(late)
}

fn broken(talks: &[Talk]) -> Vec<&Talk> {
    talks.iter().filter(|talk| talk.broken.is_some()).collect()
}

#[test]
fn no_connection_is_broken_by_a_storm_of_changes() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new("transition")?;
    let early = stage.talk(EARLY)?;
    let late = storm(&mut stage)?;
    let talks = [early.finish(), late.finish()].concat();
    let tracking = stage.gateway.tracking()?;
    let answers: u32 = talks.iter().map(|talk| talk.answers).sum();
    let broken = broken(&talks);
    println!("{} connections, {answers} answers, {} broken; {tracking:?}", talks.len(), broken.len());
    assert!(broken.is_empty(), "{} broken, such as {:?}", broken.len(), broken[0]);
    assert!(talks.iter().all(|talk| talk.answers > 10), "a connection that is silent proves nothing");
    assert!(talks.iter().map(|talk| &talk.node).collect::<BTreeSet<_>>().len() > 3, "who has them");
    assert_eq!((tracking.refused_new, tracking.refused_missed), (0, 0));
    assert!(tracking.inserted > 100 && tracking.hits > tracking.inserted, "{tracking:?}");
    // Over, they hold no row for longer than a window and a sweep.
    stage
        .gateway
        .until("all rows clean", |gateway| (rows(gateway)? == [true, false, false]).then_some(()))?;
    assert_eq!(stage.gateway.ask(&["status"])?["lastError"], Value::Null);
    Ok(())
}

#[test]
fn without_tracking_one_drained_backend_breaks_connections() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new("none")?;
    let talks = stage.talk(60)?;
    stage.tell(&[("drain", "backend", &stage.endpoint(0))])?;
    stage.gateway.until("a broken connection", |_| (!broken(&talks.all()).is_empty()).then_some(()))?;
    let talks = talks.finish();
    // A Maglev table that loses a node moves a few rows of the others along, so not all need be its own.
    assert!(broken(&talks).iter().any(|talk| talk.node == "eu-1-a"), "{:?}", broken(&talks));
    Ok(())
}
