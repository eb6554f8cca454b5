//! Uploads over paths that have no room for an outer header: nodes say how long segments may be, to clients of a VIP on
//! `lo` and of one that the node's service proxy translates to a pod.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TcpSlice, TransportSlice};
use lb_common::net::Family;
use lb_common::segment;
use lb_tests::lab::{
    Decapsulation, FrameSocket, Namespace, Node, NodeAgent, Objects, Pod, Receiver, Sink, Taken, TwoClusters,
    UPLOAD_PORT, VIP_V4, VIP_V6, is_root, offload_checksums,
};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::address;
use crate::path::serving;

const VIPS: [IpAddr; 2] = [IpAddr::V4(VIP_V4), IpAddr::V6(VIP_V6)];
/// MTU of the path in bytes: that of the client's link, so that its packets of full length have no room for more.
const PATH_MTU: u32 = 1500;
/// MTU of a link to a pod that is narrower than the client's.
const POD_MTU: u16 = 1300;
/// Bytes of an upload, and of a large one.
const UPLOAD: usize = 200_000;
const LARGE: usize = 4 << 20;
/// Connections to each VIP: that one of two equal nodes is never chosen has odds of 1 in 8 million.
const CONNECTIONS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an upload may be without any progress before it counts as stuck.
const STUCK: Duration = Duration::from_secs(3);

/// The lab with narrow links, and servers where the VIPs lead; and its agent.
struct Stage {
    lab: TwoClusters,
    gateway: Gateway,
    /// Agents of nodes on which nothing else takes tunnels apart.
    agents: Vec<NodeAgent>,
    _sinks: Vec<Sink>,
}

impl Stage {
    fn new(
        encap: &Value,
        nodes: Decapsulation,
        prepare: impl FnOnce(&TwoClusters) -> Result<()>,
    ) -> Result<Self> {
        let lab = TwoClusters::with_nodes(&Objects::from_env()?, nodes)?;
        prepare(&lab)?;
        let sinks = lab.nodes.iter().map(sink).collect::<Result<_>>()?;
        let mut gateway = Gateway::new()?;
        gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab, encap))?;
        gateway.start(&lab.gateway)?;
        serving(&mut gateway, lab.nodes.len())?;
        let agents = match nodes {
            Decapsulation::Nothing => {
                lab.nodes.iter().map(|node| agent(node, &gateway)).collect::<Result<_>>()?
            }
            _ => Vec::new(),
        };
        Ok(Self { lab, gateway, agents, _sinks: sinks })
    }

    /// Answers to SYNs that were made to ask for less.
    fn clamped(&mut self) -> Result<u64> {
        if self.agents.is_empty() {
            return self.lab.nodes.iter_mut().map(Node::clamped).sum();
        }
        let count = |agent: &NodeAgent| agent.status()?["clamped"]["answers"].as_u64().context("no number");
        self.agents.iter().map(count).sum()
    }

    /// One upload: what the server says, and what size its answer to the SYN asked for.
    fn upload(&self, vip: IpAddr, bytes: usize, patience: Duration) -> Result<(Taken, u16)> {
        let wire = FrameSocket::open(&self.lab.client, "eth0")?;
        let to = SocketAddr::new(vip, UPLOAD_PORT);
        let stream = self.lab.client.enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)?))?;
        let frame = wire.receive(PATIENCE, |frame| answer(frame, vip).is_some())?;
        let (size, checksum_is_right) =
            frame.and_then(|frame| answer(&frame, vip)).context("nothing answered the SYN")?;
        ensure!(checksum_is_right, "the answer's checksum is wrong");
        Ok((Taken::of(stream, bytes, patience)?, size))
    }

    /// Packets for which the gateway found no room.
    fn too_big(&self) -> Result<u64> {
        let reasons = self.gateway.reasons()?;
        Ok(["too-big", "too-big-reported"].iter().filter_map(|reason| reasons.get(*reason)).sum())
    }

    /// Many uploads to each VIP, of which none may be too long for the path.
    fn uploads_fit(&mut self) -> Result<()> {
        let limits = segment::limits(&Receiver::usual(), PATH_MTU);
        for vip in VIPS {
            let (client, mut names) = (TwoClusters::CLIENT.host(vip), BTreeSet::new());
            for connection in 0..CONNECTIONS {
                let bytes = if connection == 0 { LARGE } else { UPLOAD };
                let (taken, size) = self.upload(vip, bytes, PATIENCE).with_context(|| vip.to_string())?;
                assert_eq!((taken.bytes, taken.client, size), (bytes, client, limits.of(Family::of(vip))));
                names.insert(taken.name);
            }
            assert_eq!(names.len(), self.lab.nodes.len(), "of {vip} answered {names:?}");
        }
        assert_eq!(self.too_big()?, 0, "clients' packets did not fit");
        assert!(self.clamped()? >= 2 * CONNECTIONS as u64);
        Ok(())
    }
}

/// `spillway node` on a node, told of the path as its file can.
fn agent(node: &Node, gateway: &Gateway) -> Result<NodeAgent> {
    let mut agent = NodeAgent::new(gateway.work(), &node.name)?;
    let gateways = VIPS.map(|like| TwoClusters::GATEWAY.host(like));
    agent.configure(&json!({"interfaces": ["eth0"], "gateways": gateways, "mtu": PATH_MTU}))?;
    agent.start(&node.namespace)?;
    Ok(agent)
}

/// Where a node's VIPs lead.
fn sink(node: &Node) -> Result<Sink> {
    match &node.pod {
        Some(pod) => Sink::start(&pod.namespace, &node.name, Pod::port(UPLOAD_PORT)),
        None => Sink::start(&node.namespace, &node.name, UPLOAD_PORT),
    }
}

fn config(lab: &TwoClusters, encap: &Value) -> Value {
    let pool = |node: &Node| {
        let endpoints = [json!({"address": address(node)})];
        json!({"name": node.cluster, "cluster": node.cluster, "rows": 1024, "endpoints": endpoints})
    };
    let cluster = |node: &Node| json!({"name": node.cluster, "encap": encap});
    json!({
        "clusters": lab.nodes.iter().map(cluster).collect::<Vec<_>>(),
        "services": [{"name": "test/upload", "vips": VIPS, "pools": ["eu-1", "us-1"],
                      "ports": [{"port": UPLOAD_PORT}]}],
        "pools": lab.nodes.iter().map(pool).collect::<Vec<_>>(),
    })
}

/// Of an answer to a SYN by a VIP: the size it asks for, and whether its checksum is right.
fn answer(frame: &[u8], vip: IpAddr) -> Option<(u16, bool)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (Some(TransportSlice::Tcp(tcp)), Some(net)) = (packet.transport, packet.net) else { return None };
    let (source, checksum) = match &net {
        NetSlice::Ipv4(v4) => {
            let header = v4.header();
            let sum = tcp.calc_checksum_ipv4(header.source(), header.destination());
            (IpAddr::from(header.source()), sum.ok()?)
        }
        NetSlice::Ipv6(v6) => {
            let header = v6.header();
            let sum = tcp.calc_checksum_ipv6(header.source(), header.destination());
            (IpAddr::from(header.source()), sum.ok()?)
        }
        NetSlice::Arp(_) => return None,
    };
    (source == vip && tcp.syn() && tcp.ack()).then_some((size(&tcp)?, checksum == tcp.checksum()))
}

fn size(tcp: &TcpSlice) -> Option<u16> {
    tcp.options_iterator().flatten().find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(size) => Some(size),
        _ => None,
    })
}

/// The gateway's own link takes no more than what the clients send.
fn narrow_gateway(lab: &TwoClusters) -> Result<()> {
    lab.gateway.ip(&format!("link set eth0 mtu {PATH_MTU}"))?;
    lab.fabric.ip(&format!("link set gateway mtu {PATH_MTU}"))
}

/// The nodes' links do, of which the gateway knows nothing.
fn narrow_nodes(lab: &TwoClusters) -> Result<()> {
    lab.nodes.iter().try_for_each(|node| {
        node.namespace.ip(&format!("link set eth0 mtu {PATH_MTU}"))?;
        lab.fabric.ip(&format!("link set {} mtu {PATH_MTU}", node.name))
    })
}

/// Nodes that leave checksums to their interfaces, as most do.
fn unfinished_checksums(lab: &TwoClusters) -> Result<()> {
    lab.nodes.iter().try_for_each(|node| {
        offload_checksums(&node.namespace, "eth0")?;
        node.pod.iter().try_for_each(|pod| offload_checksums(&pod.namespace, "eth0"))
    })
}

fn skip() -> bool {
    if !is_root() {
        println!("SKIP: network namespaces need root");
    }
    !is_root()
}

#[test]
fn clients_of_a_vip_send_segments_that_fit() -> Result<()> {
    if skip() {
        return Ok(());
    }
    Stage::new(&json!({"kind": "ipip"}), Decapsulation::Clamping(PATH_MTU), narrow_gateway)?.uploads_fit()
}

#[test]
fn so_they_do_where_the_nodes_have_the_agent() -> Result<()> {
    if skip() {
        return Ok(());
    }
    Stage::new(&json!({"kind": "ipip"}), Decapsulation::Nothing, narrow_gateway)?.uploads_fit()
}

#[test]
fn so_they_do_where_the_interface_finishes_checksums() -> Result<()> {
    if skip() {
        return Ok(());
    }
    Stage::new(&json!({"kind": "gue"}), Decapsulation::Clamping(PATH_MTU), |lab| {
        narrow_gateway(lab)?;
        unfinished_checksums(lab)
    })?
    .uploads_fit()
}

/// Whether this machine can translate addresses.
fn translates() -> Result<bool> {
    let obstacle = Pod::obstacle()?;
    if let Some(obstacle) = &obstacle {
        println!("SKIP: addresses cannot be translated here: {obstacle}");
    }
    Ok(obstacle.is_none())
}

fn translated(kind: &str, prepare: impl FnOnce(&TwoClusters) -> Result<()>) -> Result<()> {
    if skip() || !translates()? {
        return Ok(());
    }
    Stage::new(&json!({"kind": kind}), Decapsulation::Translated(PATH_MTU), prepare)?.uploads_fit()
}

#[test]
fn clients_of_pods_send_segments_that_fit_ip_in_ip() -> Result<()> {
    translated("ipip", narrow_gateway)
}

#[test]
fn clients_of_pods_send_segments_that_fit_gue() -> Result<()> {
    translated("gue", |lab| {
        narrow_gateway(lab)?;
        unfinished_checksums(lab)
    })
}

/// A narrow link behind the gateway's own: a router drops what does not fit and tells the gateway, whose kernel has sent no
/// such packet. So the client hears nothing, and only a limit helps, or that the gateway's file says how narrow it is.
#[test]
fn a_narrow_link_that_the_gateway_does_not_know_is_fatal_without_a_limit() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let ipip = json!({"kind": "ipip"});
    let stage = Stage::new(&ipip, Decapsulation::Program, narrow_nodes)?;
    for vip in VIPS {
        let stuck = stage.upload(vip, UPLOAD, STUCK);
        ensure!(stuck.is_err(), "{vip}: {stuck:?}");
    }
    ensure!(stage.too_big()? == 0, "the gateway's paths are wide");
    let told = told(&stage.lab.gateway)?;
    // By one of them, or by both: which nodes the two connections were for is up to their ports.
    ensure!(told != [0, 0], "the gateway's kernel was told nothing");
    drop(stage);
    let mut stage = Stage::new(&ipip, Decapsulation::Clamping(PATH_MTU), narrow_nodes)?;
    stage.uploads_fit()?;
    let told = self::told(&stage.lab.gateway)?;
    ensure!(told == [0, 0], "routers had to tell the gateway {told:?} times");
    drop(stage);
    let narrow = json!({"kind": "ipip", "mtu": PATH_MTU});
    let stage = Stage::new(&narrow, Decapsulation::Program, narrow_nodes)?;
    for vip in VIPS {
        let before = stage.too_big()?;
        stage.upload(vip, UPLOAD, PATIENCE).with_context(|| vip.to_string())?;
        ensure!(stage.too_big()? > before, "{vip}: nobody was told");
    }
    Ok(())
}

/// What is narrower than the path says so by itself: the pod, or the node on its way there.
#[test]
fn pods_behind_narrow_links_are_reached() -> Result<()> {
    if skip() || !translates()? {
        return Ok(());
    }
    let narrow_pods = |lab: &TwoClusters| {
        narrow_gateway(lab)?;
        lab.nodes.iter().try_for_each(|node| {
            node.namespace.ip(&format!("link set pod0 mtu {POD_MTU}"))?;
            let pod = node.pod.as_ref().context("no pod")?;
            pod.namespace.ip(&format!("link set eth0 mtu {POD_MTU}"))
        })
    };
    let stage = Stage::new(&json!({"kind": "ipip"}), Decapsulation::Translated(PATH_MTU), narrow_pods)?;
    for (vip, headers) in VIPS.into_iter().zip([40, 60]) {
        let (_, size) = stage.upload(vip, UPLOAD, PATIENCE)?;
        assert_eq!(size, POD_MTU - headers, "what the pod itself asks for");
    }
    ensure!(told(&stage.lab.client)? == [0, 0], "the client need not be told");
    let limits = segment::limits(&Receiver::usual(), PATH_MTU);
    for vip in VIPS {
        for node in &stage.lab.nodes {
            let (pod, via) = (node.pod.as_ref().context("no pod")?, node.segment.behind().router(vip));
            let family = if vip.is_ipv6() { "-6" } else { "-4" };
            let route = format!("{family} route replace default via {via} dev eth0 advmss 1440");
            pod.namespace.ip(&route)?;
        }
        let (_, size) = stage.upload(vip, UPLOAD, PATIENCE).with_context(|| vip.to_string())?;
        assert_eq!(size, limits.of(Family::of(vip)), "of a pod that knows nothing");
    }
    let told = told(&stage.lab.client)?;
    ensure!(told.iter().all(|count| *count > 0), "nodes told the client {told:?} times");
    Ok(())
}

/// How often the kernel there was told that a packet did not go through: by ICMP "unreachable", which says that of IPv4, and
/// by `ICMPv6` "too big".
fn told(namespace: &Namespace) -> Result<[u64; 2]> {
    let [v4, v6] = namespace.enter(|| {
        Ok([
            fs::read_to_string("/proc/thread-self/net/snmp")?,
            fs::read_to_string("/proc/thread-self/net/snmp6")?,
        ])
    })?;
    let mut lines = v4.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = lines.next().zip(lines.next()).context("no ICMP counters")?;
    let v4 = names.split(' ').zip(values.split(' ')).find(|(name, _)| *name == "InDestUnreachs");
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Icmp6InPktTooBigs"));
    Ok([v4.context("no counter")?.1.parse()?, v6.context("no counter")?.trim().parse()?])
}
