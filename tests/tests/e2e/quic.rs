//! Connections of a real QUIC library whose clients move: by connection id they stay with their server, by the hash
//! they do not.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{
    ClusterSpec, Objects, QuicEcho, QuicIdentity, QuicIds, QuicTalks, TwoClusters, VIP_V4, VIP_V6, is_root,
};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// Port of the service on the VIPs (host order).
const PORT: u16 = 4433;
const CONNECTIONS: usize = 24;
/// Another address of the client's link.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 77);
/// For an answer that should come, on a machine that is busy; and for one that should not.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(2);
/// Bytes of a nonce, by configuration: a rotation from the first to the second is under way.
const NONCES: [u8; 2] = [5, 13];

/// The lab with QUIC servers, and a gateway.
struct Stage {
    gateway: Gateway,
    identity: QuicIdentity,
    _servers: Vec<QuicEcho>,
    // Dropped last: the agent and the servers live in it.
    lab: TwoClusters,
}

/// What the connection ids of the lab's nodes say of them, in order.
fn server_id(number: usize) -> [u8; 2] {
    [0xa0, u8::try_from(number).unwrap_or(u8::MAX)]
}

impl Stage {
    fn new(quic: bool) -> Result<Self> {
        let cluster = |name| ClusterSpec { name, nodes: vec![1; 2] };
        let lab = TwoClusters::with_clusters(&Objects::from_env()?, &[cluster("eu-1"), cluster("us-1")])?;
        lab.client.ip(&format!("address add {ELSEWHERE}/24 dev {}", TwoClusters::GATEWAY_INTERFACE))?;
        let identity = QuicIdentity::new()?;
        let vips = [VIP_V4.into(), VIP_V6.into()].map(|vip: IpAddr| SocketAddr::new(vip, PORT));
        let serve = |(number, node): (usize, &lb_tests::lab::Node)| {
            let config = u8::try_from(number % 2)?;
            let (server_id, nonce) = (server_id(number).to_vec(), NONCES[number % 2].into());
            QuicEcho::start(
                &node.namespace,
                &node.name,
                &vips,
                &QuicIds { config, server_id, nonce },
                &identity,
            )
        };
        let servers = lab.nodes.iter().enumerate().map(serve).collect::<Result<_>>()?;
        let mut stage = Self { gateway: Gateway::new()?, identity, _servers: servers, lab };
        stage.write(quic, 100)?;
        stage.gateway.start(&stage.lab.gateway)?;
        stage.gateway.until("servers that can be reached", |gateway| {
            let backends = gateway.ask(&["backends"]).ok()?;
            backends.as_array()?.iter().all(|backend| backend["serving"] == true).then_some(())
        })?;
        Ok(stage)
    }

    /// A configuration with or without `quic`, and so much weight for `eu-1`.
    fn write(&self, quic: bool, eu: u16) -> Result<()> {
        let pool = |cluster: &str, weight: u16| {
            let nodes = self.lab.nodes.iter().enumerate().filter(|(_, node)| node.cluster == cluster);
            let endpoint = |(number, node): (usize, &lb_tests::lab::Node)| {
                let [high, low] = server_id(number);
                json!({"address": node.address(VIP_V4.into()), "serverId": format!("{high:02x}{low:02x}")})
            };
            let endpoints: Vec<_> = nodes.map(endpoint).collect();
            json!({"name": cluster, "cluster": cluster, "weight": weight, "rows": 1024, "endpoints": endpoints})
        };
        let mut service = json!({"name": "test/quic", "vips": [VIP_V4, VIP_V6], "pools": ["eu-1", "us-1"],
                                 "ports": [{"protocol": "UDP", "port": PORT}]});
        if quic {
            let configs = [0, 1].map(|id| json!({"id": id, "serverIdLength": 2, "nonceLength": NONCES[id]}));
            service["quic"] = json!({"configs": configs});
        }
        let config = json!({
            "clusters": [{"name": "eu-1"}, {"name": "us-1"}],
            "services": [service],
            "pools": [pool("eu-1", eu), pool("us-1", 100)],
        });
        self.gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config)
    }

    /// Rewrites the file, and waits until it is in force.
    fn reconfigure(&mut self, quic: bool, eu: u16) -> Result<()> {
        let digest = |gateway: &Gateway| Some(gateway.ask(&["status"]).ok()?["configDigest"].clone());
        let before = digest(&self.gateway);
        self.write(quic, eu)?;
        let changed = |gateway: &Gateway| (digest(gateway) != before).then_some(());
        self.gateway.until("another configuration", changed)
    }

    fn open(&self) -> Result<QuicTalks> {
        let (from, to) = (Self::home(), SocketAddr::new(VIP_V4.into(), PORT));
        let talks = QuicTalks::open(&self.lab.client, from, to, CONNECTIONS, &self.identity);
        talks.context("without a migration everything works")
    }

    /// The client's own address.
    fn home() -> IpAddr {
        TwoClusters::CLIENT.host(VIP_V4.into())
    }

    fn endpoint(&self, number: usize) -> String {
        let node = &self.lab.nodes[number];
        format!("{}/{}", node.cluster, node.address(VIP_V4.into()))
    }
}

/// Everybody answers.
fn all_answer(talks: &mut QuicTalks, about: &str) -> Vec<String> {
    let answers = talks.speak(LONG);
    assert_eq!(answers.len(), CONNECTIONS, "{about}");
    answers.into_iter().collect::<Result<_, _>>().unwrap_or_else(|broken| panic!("{about}: {broken}"))
}

#[test]
fn connections_survive_the_migration_of_their_clients() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    // They begin by the hash, and the servers' ids are there before the gateway reads them.
    let mut stage = Stage::new(false)?;
    let mut talks = stage.open()?;
    let nodes = all_answer(&mut talks, "at home");
    let distinct: BTreeSet<_> = nodes.iter().collect();
    assert!(distinct.len() >= 3, "{distinct:?}");
    stage.reconfigure(true, 100)?;
    let entries = stage.gateway.ask(&["maps", "dump", "quic_servers"])?;
    assert_eq!(entries.as_array().map(Vec::len), Some(8), "four servers in two configurations: {entries}");
    for (about, from) in [
        ("from other ports", Stage::home()),
        ("from another address", ELSEWHERE.into()),
        ("from other ports of that", ELSEWHERE.into()),
        ("at home again", Stage::home()),
    ] {
        talks.move_to(&stage.lab.client, from)?;
        assert_eq!(all_answer(&mut talks, about), nodes, "{about}");
    }
    stage.gateway.tell(&["drain", "backend", &stage.endpoint(0)])?;
    talks.move_to(&stage.lab.client, ELSEWHERE.into())?;
    assert_eq!(all_answer(&mut talks, "while a backend drains"), nodes);
    // Its rows move, and what begins now goes to their new owners.
    let newcomers = all_answer(&mut stage.open()?, "begun while a backend drains");
    assert!(!newcomers.contains(&stage.lab.nodes[0].name), "{newcomers:?}");
    stage.reconfigure(true, 0)?;
    talks.move_to(&stage.lab.client, Stage::home())?;
    assert_eq!(all_answer(&mut talks, "without a weight"), nodes);
    stage.gateway.kill()?;
    talks.move_to(&stage.lab.client, ELSEWHERE.into())?;
    assert_eq!(all_answer(&mut talks, "without an agent"), nodes);
    stage.gateway.start(&stage.lab.gateway)?;
    talks.move_to(&stage.lab.client, Stage::home())?;
    assert_eq!(all_answer(&mut talks, "with another agent"), nodes);
    explains(&stage)?;
    println!("{CONNECTIONS} connections to {} servers, 8 migrations, none lost", distinct.len());
    Ok(())
}

/// A command says by which the packets of the last node go.
fn explains(stage: &Stage) -> Result<()> {
    let destination = format!("{VIP_V4}:{PORT}");
    let ask = |id: &str| {
        let flow =
            ["explain", "--protocol", "udp", "--source", "192.0.2.7:40000", "--destination", &destination];
        stage.gateway.ask(&[&flow[..], &["--connection-id", id]].concat())
    };
    let answer = ask("2fa003000102030405060708090a0b0c")?;
    assert_eq!(answer["decision"], "quic", "{answer}");
    assert_eq!(answer["outer"]["destination"], json!(stage.lab.nodes[3].address(VIP_V4.into())));
    assert_eq!(ask("2fa004000102030405060708090a0b0c")?["decision"], Value::from("current"), "nobody's");
    Ok(())
}

#[test]
fn by_the_hash_migration_loses_connections() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let stage = Stage::new(false)?;
    let mut talks = stage.open()?;
    all_answer(&mut talks, "at home");
    talks.move_to(&stage.lab.client, Stage::home())?;
    let broken = talks.speak(SHORT).iter().filter(|answer| answer.is_err()).count();
    println!("{broken} of {CONNECTIONS} connections lost by one migration");
    // Three of four ports lead to another server.
    assert!(broken * 2 > CONNECTIONS, "{broken} of {CONNECTIONS}");
    Ok(())
}
