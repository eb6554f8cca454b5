//! What goes beside TCP and UDP, and what does not fit: pings, path MTU discovery both ways, fragments.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etherparse::{IcmpEchoHeader, Icmpv4Type, Icmpv6Type, PacketBuilder, SlicedPacket, TransportSlice};
use lb_tests::lab::{Echo, FrameSocket, Node, Objects, TwoClusters, VIP_V4, VIP_V6, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::address;

const TCP_PORT: u16 = 7000;
const UDP_PORT: u16 = 7001;
const PATIENCE: Duration = Duration::from_secs(20);
/// Many packets, as one line.
const LINE: usize = 200_000;
/// A datagram of three packets.
const DATAGRAM: usize = 4000;
const VIPS: [IpAddr; 2] = [IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)];

/// The lab, its nodes without health checks, and an agent that balances them.
fn start(narrow: impl FnOnce(&TwoClusters) -> Result<()>) -> Result<(TwoClusters, Gateway)> {
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    narrow(&lab)?;
    let mut gateway = Gateway::new()?;
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab))?;
    gateway.start(&lab.gateway)?;
    let nodes = lab.nodes.len();
    serving(&mut gateway, nodes)?;
    Ok((lab, gateway))
}

/// Waits until so many nodes serve.
pub(crate) fn serving(gateway: &mut Gateway, nodes: usize) -> Result<()> {
    gateway.until("serving all nodes", |gateway| {
        let backends = gateway.ask(&["backends"]).ok()?;
        let serving = backends.as_array()?.iter().filter(|one| one["serving"] == true).count();
        (serving == nodes).then_some(())
    })
}

fn config(lab: &TwoClusters) -> Value {
    let pool = |cluster: &str| {
        let nodes = lab.nodes.iter().filter(|node| node.cluster == cluster);
        let endpoints: Vec<Value> = nodes.map(|node| json!({"address": address(node)})).collect();
        json!({"name": cluster, "cluster": cluster, "rows": 1024, "endpoints": endpoints})
    };
    json!({
        "clusters": [{"name": "eu-1"}, {"name": "us-1"}],
        "services": [{"name": "test/path", "vips": VIPS, "pools": ["eu-1", "us-1"],
                      "ports": [{"port": TCP_PORT}, {"port": UDP_PORT, "protocol": "UDP"}]}],
        "pools": [pool("eu-1"), pool("us-1")],
    })
}

fn skip() -> bool {
    if !is_root() {
        println!("SKIP: network namespaces need root");
    }
    !is_root()
}

fn reported(gateway: &Gateway) -> Result<u64> {
    Ok(gateway.reasons()?.get("too-big-reported").copied().unwrap_or(0))
}

#[test]
fn a_vip_answers_pings() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let (lab, gateway) = start(|_| Ok(()))?;
    let wire = FrameSocket::open(&lab.client, "eth0")?;
    for vip in VIPS {
        wire.send(&ping(vip)?)?;
        let answer = wire.receive(PATIENCE, |frame| is_answer(frame, vip))?;
        ensure!(answer.is_some(), "no answer of {vip}");
    }
    ensure!(gateway.reasons()?.get("echo-reply") == Some(&2), "{:?}", gateway.reasons()?);
    Ok(())
}

/// An echo request of the client's.
fn ping(to: IpAddr) -> Result<Vec<u8>> {
    let (ours, routers) = (TwoClusters::CLIENT.host_mac(), TwoClusters::CLIENT.router_mac());
    let link = PacketBuilder::ethernet2(ours, routers);
    let (header, mut frame) = (IcmpEchoHeader { id: 7, seq: 1 }, Vec::new());
    match (TwoClusters::CLIENT.host(to), to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let packet = link.ipv4(from.octets(), to.octets(), 64).icmpv4(Icmpv4Type::EchoRequest(header));
            packet.write(&mut frame, b"are you there")?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let packet = link.ipv6(from.octets(), to.octets(), 64).icmpv6(Icmpv6Type::EchoRequest(header));
            packet.write(&mut frame, b"are you there")?;
        }
        (from, to) => anyhow::bail!("{from} and {to} are of two families"),
    }
    Ok(frame)
}

fn is_answer(frame: &[u8], vip: IpAddr) -> bool {
    let expected = IcmpEchoHeader { id: 7, seq: 1 };
    match SlicedPacket::from_ethernet(frame).ok().and_then(|packet| packet.transport) {
        Some(TransportSlice::Icmpv4(message)) => {
            vip.is_ipv4() && message.icmp_type() == Icmpv4Type::EchoReply(expected)
        }
        Some(TransportSlice::Icmpv6(message)) => {
            vip.is_ipv6() && message.icmp_type() == Icmpv6Type::EchoReply(expected)
        }
        _ => false,
    }
}

/// Sends a line of many packets and reads it back.
fn talk(lab: &TwoClusters, vip: IpAddr) -> Result<String> {
    lab.client.enter(|| {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(vip, TCP_PORT), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut line = "x".repeat(LINE);
        line.push('\n');
        stream.write_all(line.as_bytes()).context("send")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).context("answer")?;
        let (node, back) = answer.split_once(' ').context("no name")?;
        ensure!(back == line, "{} bytes came back of {}", back.len(), line.len());
        Ok(node.to_owned())
    })
}

fn echoes(lab: &TwoClusters) -> Result<Vec<Echo>> {
    lab.nodes.iter().map(|node| Echo::start(&node.namespace, &node.name, TCP_PORT)).collect()
}

/// The gateway's own link takes no more than the clients send: no packet of full length has room for a header.
#[test]
fn clients_learn_how_long_packets_to_the_nodes_may_be() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let (lab, gateway) = start(|lab| {
        lab.gateway.ip("link set eth0 mtu 1500")?;
        lab.fabric.ip("link set gateway mtu 1500")
    })?;
    let _servers = echoes(&lab)?;
    for vip in VIPS {
        let before = reported(&gateway)?;
        talk(&lab, vip).with_context(|| vip.to_string())?;
        ensure!(reported(&gateway)? > before, "{vip}: nobody was told");
    }
    Ok(())
}

/// A link toward the client is narrower than the client knows: its router tells the VIP, and the node must hear it.
#[test]
fn nodes_learn_how_long_packets_to_the_client_may_be() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let (lab, gateway) = start(|lab| {
        lab.fabric.ip("link set client mtu 1300")?;
        let (v4, v6) = (TwoClusters::CLIENT.router(VIP_V4.into()), TwoClusters::CLIENT.router(VIP_V6.into()));
        // What the client sends fits; what it says that it takes does not.
        lab.client.ip(&format!("route replace default via {v4} dev eth0 mtu 1280 advmss 1460"))?;
        lab.client.ip(&format!("-6 route replace default via {v6} dev eth0 mtu 1280 advmss 1440"))
    })?;
    let _servers = echoes(&lab)?;
    for vip in VIPS {
        talk(&lab, vip).with_context(|| vip.to_string())?;
    }
    ensure!(reported(&gateway)? == 0, "the gateway's paths are wide");
    Ok(())
}

/// Answers each datagram to a VIP with its length, until dropped.
struct Lengths {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Lengths {
    fn start(nodes: &[Node]) -> Result<Self> {
        let mut lengths = Self { stop: Arc::default(), threads: Vec::new() };
        for (node, vip) in nodes.iter().flat_map(|node| VIPS.map(|vip| (node, vip))) {
            let socket = node.namespace.enter(|| Ok(UdpSocket::bind((vip, UDP_PORT))?))?;
            socket.set_read_timeout(Some(Duration::from_millis(50)))?;
            let stop = Arc::clone(&lengths.stop);
            lengths.threads.push(thread::spawn(move || answer(&socket, &stop)));
        }
        Ok(lengths)
    }
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut buffer = vec![0; 2 * DATAGRAM];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, client)) = socket.recv_from(&mut buffer) {
            // The client waits for it.
            let _ = socket.send_to(length.to_string().as_bytes(), client);
        }
    }
}

impl Drop for Lengths {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_datagram_in_fragments_arrives_whole() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let (lab, _gateway) = start(|_| Ok(()))?;
    let _servers = Lengths::start(&lab.nodes)?;
    for vip in VIPS {
        for _ in 0..8 {
            let length = lab.client.enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(TwoClusters::CLIENT.host(vip), 0))?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.send_to(&[7; DATAGRAM], (vip, UDP_PORT))?;
                let mut buffer = [0; 16];
                let (length, _) =
                    socket.recv_from(&mut buffer).with_context(|| format!("no answer of {vip}"))?;
                Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
            })?;
            ensure!(length == DATAGRAM.to_string(), "{length} bytes arrived");
        }
    }
    Ok(())
}
