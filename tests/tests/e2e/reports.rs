//! Nodes tell the gateway what they refuse, and how many connections they have.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lb_tests::lab::{Attached, Echo, Node, NodeAgent, Objects, TwoClusters, VIP_V4, VIP_V6, fetch, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::{address, config, found};

/// Port of the service on the VIPs, and of the nodes' reports (host order).
const PORT: u16 = 7;
const REPORTS: u16 = 6082;
/// How often a node is asked.
const INTERVAL: Duration = Duration::from_secs(1);
const CONNECTIONS: u64 = 5;
const REFUSED: u64 = 3;

fn served(lab: &TwoClusters) -> Value {
    let mut served = config(lab);
    served["services"][0]["ports"] = json!([{"port": PORT}, {"port": PORT, "protocol": "UDP"}]);
    for cluster in served["clusters"].as_array_mut().into_iter().flatten() {
        cluster["report"] = json!({"port": REPORTS, "interval": "1s"});
    }
    served
}

fn start(node: &Node, gateway: &Gateway, more: &[(&str, Value)]) -> Result<NodeAgent> {
    let mut agent = NodeAgent::new(gateway.work(), &node.name)?;
    let gateways = [VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| TwoClusters::GATEWAY.host(like));
    let mut file = json!({"interfaces": ["eth0"], "gateways": gateways, "report": {"port": REPORTS}});
    more.iter().for_each(|(key, value)| file[*key] = value.clone());
    agent.configure(&file)?;
    agent.start(&node.namespace)?;
    Ok(agent)
}

fn vips() -> [IpAddr; 2] {
    [VIP_V4.into(), VIP_V6.into()]
}

fn connect(lab: &TwoClusters, vip: IpAddr) -> Result<TcpStream> {
    lab.client.enter(|| Ok(TcpStream::connect_timeout(&SocketAddr::new(vip, PORT), Duration::from_secs(2))?))
}

/// A connection over which somebody has answered, and who that is.
fn talk(lab: &TwoClusters, vip: IpAddr) -> Result<(TcpStream, String)> {
    let mut stream = connect(lab, vip)?;
    stream.write_all(b"hello\n")?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let name = line.split(' ').next().unwrap_or_default().to_owned();
    Ok((stream, name))
}

/// A datagram to a port that has no socket of UDP; the kernel tells the client so.
fn ask_in_vain(lab: &TwoClusters, vip: IpAddr) -> Result<()> {
    let from = SocketAddr::new(TwoClusters::CLIENT.host(vip), 0);
    let socket = lab.client.enter(|| Ok(UdpSocket::bind(from)?))?;
    socket.connect(SocketAddr::new(vip, PORT))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send(b"hello")?;
    let told = socket.recv(&mut [0; 16]).err().context("somebody answers")?;
    ensure!(told.kind() == ErrorKind::ConnectionRefused, "{told}");
    Ok(())
}

/// Refusals and connections of the endpoint as the gateway has them.
fn counts(gateway: &Gateway, node: &Node) -> Option<[u64; 2]> {
    let backends = gateway.ask(&["backends"]).ok()?;
    let mut all = backends.as_array()?.iter();
    let backend = all.find(|backend| backend["address"] == json!(address(node)))?;
    Some([backend["refused"].as_u64()?, backend["connections"].as_u64()?])
}

/// All of both nodes.
fn sums(gateway: &Gateway, lab: &TwoClusters) -> Option<[u64; 2]> {
    let all: Vec<_> = lab.nodes.iter().map(|node| counts(gateway, node)).collect::<Option<_>>()?;
    Some(all.iter().fold([0; 2], |[a, b], [refused, connections]| [a + refused, b + connections]))
}

#[test]
fn the_gateway_shows_what_its_nodes_have_and_what_they_refuse() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let objects = Objects::from_env()?;
    let (lab, mut gateway) = (TwoClusters::with_bare_nodes(&objects)?, Gateway::new()?);
    let _peers: Vec<Attached> = lab
        .nodes
        .iter()
        .map(|node| Attached::pass(&objects, &lab.fabric, &node.name))
        .collect::<Result<_>>()?;
    let servers: Vec<_> =
        lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, PORT)).collect::<Result<_>>()?;
    // One of them with the program that counts alone.
    let more = [Vec::new(), vec![("clampMss", json!(false))]];
    let mut agents = Vec::new();
    for (node, more) in lab.nodes.iter().zip(&more) {
        agents.push(start(node, &gateway, more)?);
    }
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &served(&lab))?;
    gateway.start(&lab.gateway)?;
    let addresses: Vec<IpAddr> = lab.nodes.iter().map(address).collect();
    gateway.until("finding all nodes up", |gateway| found(gateway, &addresses, true))?;
    gateway.until("reports of both", |gateway| {
        (gateway.ask(&["status"]).ok()?["reports"]["reporting"] == 2).then_some(())
    })?;

    let mut talks = Vec::new();
    for vip in (0..CONNECTIONS).flat_map(|_| vips()) {
        talks.push(talk(&lab, vip)?);
    }
    gateway.until("all connections are counted, and none refused", |gateway| {
        (sums(gateway, &lab)? == [0, 2 * CONNECTIONS]).then_some(())
    })?;
    for node in &lab.nodes {
        let here = talks.iter().filter(|(_, name)| *name == node.name).count() as u64;
        assert_eq!(counts(&gateway, node), Some([0, here]), "{}", node.name);
    }

    drop((talks, servers));
    gateway.until("no connection is left", |gateway| (sums(gateway, &lab)? == [0, 0]).then_some(()))?;
    let generation = gateway.ask(&["status"])?["generation"].clone();
    for vip in (0..REFUSED).flat_map(|_| vips()) {
        let refused = connect(&lab, vip).err().context("nothing listens")?;
        ensure!(format!("{refused:#}").contains("refused"), "{refused:#}");
    }
    // Of UDP nobody knows that such a flow is none, so it is one.
    vips().into_iter().try_for_each(|vip| ask_in_vain(&lab, vip))?;
    // Two intervals, and what it takes to publish.
    thread::sleep(INTERVAL * 2 + Duration::from_millis(1500));
    assert_eq!(sums(&gateway, &lab), Some([2 * REFUSED + 2, 2]));
    assert_eq!(gateway.ask(&["status"])?["generation"], generation, "no table is made for a report");
    for (agent, node) in agents.iter().zip(&lab.nodes) {
        let status = agent.status()?;
        let ports = status["refused"]["ports"].as_array().context("ports")?;
        let here: u64 = ports.iter().filter_map(|port| port["refused"].as_u64()).sum();
        assert_eq!(counts(&gateway, node).map(|[refused, _]| refused), Some(here), "{status}");
    }

    doctor_says_who_refuses(&lab, &mut gateway)?;
    a_node_that_is_silent_is_told(&lab, &mut gateway, &mut agents)
}

/// While clients are refused.
fn doctor_says_who_refuses(lab: &TwoClusters, gateway: &mut Gateway) -> Result<()> {
    let config = gateway.config().display().to_string();
    gateway.until("the doctor's word", |gateway| {
        for vip in vips() {
            connect(lab, vip).err()?;
        }
        thread::sleep(INTERVAL / 4);
        let words = ["doctor", "--watch", "0", "--output", "json", "--config", &config];
        let output = lab.gateway.command(gateway.spillway()).args(words).output().ok()?;
        let report: Value = serde_json::from_slice(&output.stdout).ok()?;
        let mut findings = report["findings"].as_array()?.iter();
        findings.find(|one| one["check"] == "refused" && one["severity"] == "warning").map(|finding| {
            let says = finding["says"].as_str().unwrap_or_default();
            assert!(says.contains(":7/tcp"), "{finding}");
        })
    })
}

/// A stranger is told nothing, nor is the gateway by a node that does not know it.
fn a_node_that_is_silent_is_told(
    lab: &TwoClusters,
    gateway: &mut Gateway,
    agents: &mut [NodeAgent],
) -> Result<()> {
    let (Some(node), Some(agent)) = (lab.nodes.first(), agents.first_mut()) else { return Ok(()) };
    let to = SocketAddr::new(address(node), REPORTS);
    fetch(&lab.gateway, to, "/v1/report").context("the gateway")?;
    ensure!(fetch(&lab.client, to, "/v1/report").is_err(), "a client is told something");
    agent.configure(
        &json!({"interfaces": ["eth0"], "gateways": ["203.0.113.1"], "report": {"port": REPORTS}}),
    )?;
    gateway.until("it does not report, and what it said is forgotten", |gateway| {
        let reports = gateway.ask(&["status"]).ok()?["reports"].clone();
        let silent = json!([{"address": address(node), "reason": "connection closed before an answer"}]);
        let is = reports["asked"] == 2 && reports["reporting"] == 1 && reports["silent"] == silent;
        (is && counts(gateway, node).is_none()).then_some(())
    })
}
