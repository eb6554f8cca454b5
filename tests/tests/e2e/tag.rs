//! Keyed tags between real gateways and nodes: another key under traffic, and packets in a gateway's name.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use lb_tests::lab::{Load, NodeAgent, Objects, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, fetch_within, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{address, config, found, targets};

const SENDERS: u16 = 16;
/// Requests per second to each VIP.
const RATE: u32 = 100;
/// How long each state is watched.
const WATCHED: Duration = Duration::from_millis(1500);
/// For an answer that does not come.
const SHORT: Duration = Duration::from_millis(400);
const GUE: u16 = 6080;

/// The lab, its gateway and an agent on each node, all with key 1.
struct Stage {
    gateway: Gateway,
    agents: Vec<NodeAgent>,
    // Dropped last: the agents live in it.
    lab: TwoClusters,
}

impl Stage {
    fn new() -> Result<Self> {
        let lab = TwoClusters::with_bare_nodes(&Objects::from_env()?)?;
        let gateway = Gateway::new()?;
        for epoch in 1..=3_u8 {
            let key = format!("{epoch:02x}").repeat(16);
            gateway.work().write_key(&format!("tunnel-{epoch}.key"), &key)?;
        }
        let agents = lab.nodes.iter().map(|node| NodeAgent::new(gateway.work(), &node.name));
        let mut stage = Self { agents: agents.collect::<Result<_>>()?, gateway, lab };
        stage.tag_with(1)?;
        stage.gateway.start(&stage.lab.gateway)?;
        for (agent, node) in stage.agents.iter_mut().zip(&stage.lab.nodes) {
            know(agent, &[1])?;
            agent.start(&node.namespace)?;
        }
        let addresses: Vec<IpAddr> = stage.lab.nodes.iter().map(address).collect();
        stage.gateway.until("finding all nodes up", |gateway| found(gateway, &addresses, true))?;
        Ok(stage)
    }

    /// The gateway's file, with the key of this epoch.
    fn tag_with(&self, epoch: u8) -> Result<()> {
        let mut file = config(&self.lab);
        file["clusterSet"] = json!({
            "id": "test", "secretFile": "hash.key",
            "tunnelKey": {"epoch": epoch, "file": format!("tunnel-{epoch}.key")},
        });
        let encap = json!({"kind": "gue", "tag": true});
        file["clusters"] = json!([{"name": "eu-1", "encap": encap}, {"name": "us-1", "encap": encap}]);
        self.gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &file)
    }

    /// The same while it runs.
    fn turn_to(&mut self, epoch: u8) -> Result<()> {
        self.tag_with(epoch)?;
        let in_force = |gateway: &Gateway| {
            let control = gateway.ask(&["maps", "get", "control", "0"]).ok()?;
            (control["value"]["tagEpoch"] == epoch).then_some(())
        };
        self.gateway.until("the key's epoch", in_force)
    }

    /// All nodes know these epochs.
    fn learn(&mut self, epochs: &[u8]) -> Result<()> {
        for agent in &self.agents {
            know(agent, epochs)?;
        }
        for agent in &mut self.agents {
            agent.until("the keys", |agent| {
                (agent.status().ok()?["tags"] == json!({"required": true, "epochs": epochs})).then_some(())
            })?;
        }
        Ok(())
    }

    /// Packets that were dropped for this reason, on all nodes.
    fn dropped(&self, reason: &str) -> Result<u64> {
        self.agents.iter().map(|agent| Ok(agent.counted("gue", reason)?[1])).sum()
    }
}

/// A node's file with these epochs, of which one is required.
fn know(agent: &NodeAgent, epochs: &[u8]) -> Result<()> {
    let gateways = [VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| TwoClusters::GATEWAY.host(like));
    let key = |epoch: &u8| json!({"epoch": epoch, "file": format!("tunnel-{epoch}.key")});
    let keys: Vec<Value> = epochs.iter().map(key).collect();
    agent.configure(&json!({
        "interfaces": ["eth0"], "gateways": gateways, "accept": {"gue": {}},
        "tunnelKeys": {"required": true, "keys": keys},
    }))
}

#[test]
fn another_key_under_traffic_loses_no_request() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    let loads = targets().map(|target| Load::start(&stage.lab.client, target, SENDERS, RATE));
    let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    for epoch in 1..3 {
        thread::sleep(WATCHED);
        stage.learn(&[epoch, epoch + 1])?;
        stage.turn_to(epoch + 1)?;
        stage.learn(&[epoch + 1])?;
    }
    thread::sleep(WATCHED);
    let outcomes: Vec<_> = loads.into_iter().flat_map(Load::finish).collect();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_ok()).collect();
    assert!(outcomes.len() > 400, "only {} requests", outcomes.len());
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    assert_eq!((stage.dropped("wrong-tag")?, stage.dropped("missing-tag")?), (0, 0));
    // In the wrong order it is noticed, and made good by a node that learns the key.
    stage.turn_to(1)?;
    let answer =
        |stage: &Stage| fetch_within(SHORT, &stage.lab.client, SocketAddr::new(VIP_V4.into(), VIP_PORT), "/");
    assert!(answer(&stage).is_err(), "a node took a key that it does not know");
    assert!(stage.dropped("wrong-tag")? > 0);
    stage.learn(&[1, 3])?;
    answer(&stage)?;
    Ok(())
}

/// What somebody sends to the first node who may use the gateway's address, and has no key.
fn forge(lab: &TwoClusters, private: &[u8]) -> Result<()> {
    let mut inner = Vec::new();
    let builder = PacketBuilder::ipv4([192, 0, 2, 7], VIP_V4.octets(), 64);
    builder.udp(4000, VIP_PORT).write(&mut inner, b"forged")?;
    let (like, node) = (VIP_V4.into(), lab.nodes.first().context("no node")?);
    let bind = || UdpSocket::bind(SocketAddr::new(TwoClusters::GATEWAY.host(like), 0)).context("bind");
    let header = [u8::try_from(private.len() / 4)?, 4, 0, 0];
    let packet = [&header, private, &inner].concat();
    lab.gateway.enter(bind)?.send_to(&packet, SocketAddr::new(node.address(like), GUE))?;
    Ok(())
}

#[test]
fn a_packet_in_a_gateways_name_is_dropped() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let Stage { lab, mut agents, gateway: _gateway } = Stage::new()?;
    let agent = agents.first_mut().context("no agent")?;
    let missing: &[u8] = &[];
    let wrong: &[u8] = &[1, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    let unknown: &[u8] = &[1, 0, 0, 2, 9, 2, 3, 4, 5, 6, 7, 8];
    for (private, reason) in [(missing, "missing-tag"), (wrong, "wrong-tag"), (unknown, "wrong-tag")] {
        let [_, before] = agent.counted("gue", reason)?;
        forge(&lab, private)?;
        agent.until("it is counted", |agent| {
            (agent.counted("gue", reason).ok()?[1] == before + 1).then_some(())
        })?;
    }
    // Health checks go to the nodes' own addresses: nothing was taken out of a tunnel yet.
    assert_eq!(agent.counted("gue", "wrong-tag")?, [0, 2]);
    fetch_within(SHORT, &lab.client, SocketAddr::new(VIP_V4.into(), VIP_PORT), "/")?;
    Ok(())
}
