//! `tracking: chain` with `spillway node` on the nodes: the gateway records nothing, and yet a drained node keeps the
//! connections that it has.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{
    Attached, ClusterSpec, Echo, NodeAgent, Objects, Talk, Talks, TwoClusters, UdpEcho, UdpFlow, VIP_PORT,
    VIP_V4, VIP_V6, fetch_from, is_root,
};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// Port of the service on the VIPs (host order).
const PORT: u16 = 7;
/// Between two lines of a connection.
const PACE: Duration = Duration::from_millis(300);
/// Many lines.
const WATCHED: Duration = Duration::from_secs(3);
/// TCP connections, and UDP flows, of each of two times.
const CONNECTIONS: usize = 120;
const FLOWS: usize = 48;

/// The lab with servers, a gateway, and an agent on each node.
struct Stage {
    gateway: Gateway,
    agents: Vec<NodeAgent>,
    _servers: Vec<(Echo, UdpEcho)>,
    _peers: Vec<Attached>,
    // Dropped last: the agents and the servers live in it.
    lab: TwoClusters,
}

impl Stage {
    fn new() -> Result<Self> {
        let objects = Objects::from_env()?;
        let cluster = |name| ClusterSpec { name, nodes: vec![1; 3] };
        let lab = TwoClusters::with_bare_clusters(&objects, &[cluster("eu-1"), cluster("us-1")])?;
        let peers = lab.nodes.iter().map(|node| Attached::pass(&objects, &lab.fabric, &node.name));
        let peers = peers.collect::<Result<_>>()?;
        let servers = lab.nodes.iter().map(|node| {
            let udp = UdpEcho::start(&node.namespace, &node.name, &vips(), PORT)?;
            Ok((Echo::start(&node.namespace, &node.name, PORT)?, udp))
        });
        let servers = servers.collect::<Result<_>>()?;
        let mut gateway = Gateway::new()?;
        gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab))?;
        gateway.start(&lab.gateway)?;
        let agents = lab.nodes.iter().map(|node| {
            let mut agent = NodeAgent::new(gateway.work(), &node.name)?;
            // The gateway and the nodes.
            agent.configure(
                &json!({"interfaces": ["eth0"], "gateways": ["10.0.0.0/8"], "accept": {"gue": {}}}),
            )?;
            agent.start(&node.namespace)?;
            Ok(agent)
        });
        let agents = agents.collect::<Result<_>>()?;
        let mut stage = Self { gateway, agents, _servers: servers, _peers: peers, lab };
        for agent in &mut stage.agents {
            agent.until("a way to the others", |agent| {
                let hops = agent.status().ok()?["hops"]["defaults"].clone();
                hops.as_array()?.contains(&json!("ipv4")).then_some(())
            })?;
        }
        Ok(stage)
    }

    fn talk(&mut self) -> Result<Talks> {
        let to = vips().map(|vip| SocketAddr::new(vip, PORT));
        let talks = Talks::start(&self.lab.client, &to, CONNECTIONS, PACE)?;
        let heard = |_: &Gateway| talks.all().iter().all(|talk| talk.answers > 1).then_some(());
        self.gateway.until("an answer to everybody", heard)?;
        Ok(talks)
    }

    /// UDP flows, each with the name of its node.
    fn ask(&self) -> Result<Vec<(UdpFlow, String)>> {
        let flow = |vip: IpAddr| -> Result<_> {
            let flow =
                UdpFlow::open(&self.lab.client, TwoClusters::CLIENT.host(vip), SocketAddr::new(vip, PORT))?;
            let name = flow.ask().context("the first answer")?;
            Ok((flow, name))
        };
        vips().into_iter().cycle().take(FLOWS).map(flow).collect()
    }

    /// Drains a node, by its place in the lab, and waits until its rows are others'.
    fn drain(&mut self, number: usize) -> Result<String> {
        let node = &self.lab.nodes[number];
        let endpoint = format!("{}/{}", node.cluster, node.address(VIP_V4.into()));
        let name = node.name.clone();
        self.gateway.tell(&["drain", "backend", &endpoint])?;
        Ok(name)
    }

    /// Packets of all nodes together that were counted for a reason.
    fn counted(&self, reason: &str) -> Result<u64> {
        self.agents.iter().map(|agent| Ok(agent.counted("gue", reason)?[1])).sum()
    }
}

fn vips() -> [IpAddr; 2] {
    [VIP_V4.into(), VIP_V6.into()]
}

fn config(lab: &TwoClusters) -> Value {
    let clusters = ["eu-1", "us-1"];
    let pool = |cluster: &str| {
        let nodes = lab.nodes.iter().filter(|node| node.cluster == cluster);
        let endpoints: Vec<Value> =
            nodes.map(|node| json!({"address": node.address(VIP_V4.into())})).collect();
        json!({"name": cluster, "cluster": cluster, "rows": 1024, "endpoints": endpoints})
    };
    let ports = [("TCP", PORT), ("UDP", PORT), ("TCP", VIP_PORT)]
        .map(|(kind, port)| json!({"port": port, "protocol": kind}));
    json!({
        "clusters": clusters.map(|name| json!({"name": name, "encap": {"kind": "gue"}})),
        "services": [{"name": "test/echo", "vips": vips(), "ports": ports, "pools": clusters, "tracking": "chain"}],
        "pools": clusters.map(pool),
    })
}

fn names(talks: &[Talk]) -> BTreeSet<&str> {
    talks.iter().map(|talk| talk.node.as_str()).collect()
}

#[test]
fn a_drained_node_keeps_its_connections_and_gets_no_new_ones() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    let (early, asked) = (stage.talk()?, stage.ask()?);
    assert_eq!(stage.counted("sent-on")?, 0, "nothing has changed yet");
    let drained = [stage.drain(0)?, stage.drain(4)?];
    let (late, answered) = (stage.talk()?, stage.ask()?);
    // Who sends on and who is asked may change agents meanwhile.
    for number in 0..stage.agents.len() {
        stage.agents[number].kill()?;
        stage.agents[number].start(&stage.lab.nodes[number].namespace)?;
    }
    thread::sleep(WATCHED);
    for (flow, name) in asked.iter().chain(&answered) {
        let again = flow.ask();
        assert!(again.as_ref().is_ok_and(|again| again == name), "{again:?} instead of {name}");
    }
    let (early, late) = (early.finish(), late.finish());
    let broken: Vec<_> = early.iter().chain(&late).filter(|talk| talk.broken.is_some()).collect();
    assert!(broken.is_empty(), "{} broken, such as {:?}", broken.len(), broken[0]);
    assert_eq!(names(&early).len(), stage.lab.nodes.len(), "not everybody had connections");
    let udp =
        |flows: &[(UdpFlow, String)]| flows.iter().map(|(_, name)| name.clone()).collect::<BTreeSet<_>>();
    assert_eq!(udp(&asked).len(), stage.lab.nodes.len(), "not everybody had flows");
    for name in &drained {
        assert!(
            !names(&late).contains(name.as_str()) && !udp(&answered).contains(name),
            "{name} has new ones"
        );
    }
    let [on, back, lost] = ["sent-on", "sent-back", "no-next-hop"].map(|reason| stage.counted(reason));
    let (on, back, lost) = (on?, back?, lost?);
    println!("{on} sent on, {back} sent back, {lost} without a way");
    assert!(on > 100 && back > 0, "UDP that is new on a changed row is nobody's at first");
    assert_eq!(lost, 0);
    assert_eq!(stage.gateway.tracking()?.inserted, 0, "the gateway records nothing");
    Ok(())
}

#[test]
fn a_port_may_be_used_again_though_the_old_node_has_not_forgotten_it() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    // The servers close first, so that the nodes keep what is over for a minute.
    let ask_all = |stage: &Stage| -> Result<Vec<String>> {
        let each = (40_000..40_000 + 2 * FLOWS).zip(vips().into_iter().cycle()).map(|(port, vip)| {
            let from = SocketAddr::new(TwoClusters::CLIENT.host(vip), u16::try_from(port)?);
            let to = SocketAddr::new(vip, VIP_PORT);
            fetch_from(&stage.lab.client, from, to).with_context(|| format!("from {from}"))
        });
        each.collect()
    };
    let before = ask_all(&stage)?;
    let drained = stage.drain(0)?;
    let after = ask_all(&stage)?;
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert!(before.contains(&drained) && !after.contains(&drained), "{drained} had some, and gets no more");
    assert!(moved >= FLOWS / 8, "{moved}: nothing is tried again where somebody else remembers it");
    assert!(stage.counted("sent-on")? > 0, "the old nodes were asked");
    Ok(())
}

#[test]
fn what_no_node_remembers_is_the_new_owners() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    for agent in &mut stage.agents {
        let forgetful =
            json!({"interfaces": ["eth0"], "gateways": ["10.0.0.0/8"], "remember": {"udp": false}});
        agent.configure(&forgetful)?;
        agent.until("nothing is remembered", |agent| {
            (agent.status().ok()?["remembered"]["udp"] == false).then_some(())
        })?;
    }
    let asked = stage.ask()?;
    let drained = stage.drain(0)?;
    let moved = |flow: &UdpFlow| -> io::Result<bool> { Ok(flow.ask()? != drained) };
    let of_drained = || asked.iter().filter(|(_, name)| *name == drained);
    assert!(of_drained().count() > 0, "{drained} had no flow");
    for (flow, _) in of_drained() {
        stage.gateway.until("another node answers", |_| moved(flow).ok()?.then_some(()))?;
    }
    assert!(stage.counted("sent-back")? > 0 && stage.counted("nobodys-taken")? > 0);
    Ok(())
}

/// Port of the nodes' reports (host order).
const REPORTS: u16 = 6082;
/// Several of the times at which they are asked.
const SEVERAL: Duration = Duration::from_secs(6);

/// Has the nodes report to the gateway, and waits until all do.
fn report(stage: &mut Stage) -> Result<()> {
    for agent in &mut stage.agents {
        let reporting = json!({"interfaces": ["eth0"], "gateways": ["10.0.0.0/8"], "accept": {"gue": {}},
            "report": {"port": REPORTS}});
        agent.configure(&reporting)?;
    }
    let mut served = config(&stage.lab);
    for cluster in served["clusters"].as_array_mut().into_iter().flatten() {
        cluster["report"] = json!({"port": REPORTS, "interval": "1s"});
    }
    stage.gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &served)?;
    let nodes = stage.lab.nodes.len();
    stage.gateway.until("reports of all nodes", |gateway| {
        (gateway.ask(&["status"]).ok()?["reports"]["reporting"] == nodes).then_some(())
    })
}

/// Who may be asked after the node that takes a packet in the middle of a connection from this port.
fn chain(gateway: &Gateway, port: u16) -> Result<Vec<Value>> {
    let source = SocketAddr::new(TwoClusters::CLIENT.host(VIP_V4.into()), port).to_string();
    let vip = SocketAddr::new(VIP_V4.into(), PORT).to_string();
    let told = gateway.ask(&["explain", "--protocol", "tcp", "--source", &source, "--destination", &vip])?;
    Ok(told["chain"].as_array().context("chain")?.clone())
}

#[test]
fn a_drained_node_is_remembered_until_its_last_connection_ends() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let mut stage = Stage::new()?;
    report(&mut stage)?;
    let early = stage.talk()?;
    let name = stage.drain(0)?;
    let drained = json!(stage.lab.nodes[0].address(VIP_V4.into()));
    let mut ports = 40_000..42_000;
    let is_its = |port: &u16| chain(&stage.gateway, *port).is_ok_and(|chain| chain.contains(&drained));
    let moved = ports.find(is_its).context("a row that was the drained node's")?;
    thread::sleep(SEVERAL);
    assert!(is_its(&moved), "{name} has connections");
    let early = early.finish();
    assert!(names(&early).contains(name.as_str()) && early.iter().all(|talk| talk.broken.is_none()));
    stage.gateway.until("nobody to ask", |gateway| chain(gateway, moved).ok()?.is_empty().then_some(()))?;
    let status = stage.gateway.ask(&["status"])?;
    assert_eq!(status["rows"]["chained"], 0, "{status}");
    Ok(())
}
