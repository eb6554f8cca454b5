//! What `spillway node` does so that its receiver can send on: ways to other nodes, and flows that are remembered.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etherparse::PacketBuilder;
use lb_tests::lab::{Attached, FrameSocket, NodeAgent, Objects, VIP_V4};
use serde_json::{Value, json};

use super::node_world::{GATEWAY, NODE, World};

/// Another node on the link of `eth0`.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 3);
/// An address that no prefix of the file holds, on the same link.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 200);
/// MACs of the machine at the other end of `eth0` and `eth1`.
const MAC_0: &str = "02:00:00:3c:00:01";
const MAC_1: &str = "02:00:00:3c:01:01";
const CHANGED: &str = "02:00:00:00:00:99";

fn file() -> Value {
    json!({"interfaces": ["eth0"], "gateways": ["10.60.0.0/25"]})
}

/// A segment of a connection that this node does not have, and which `next` may have.
fn with_next(next: Ipv4Addr) -> Result<Vec<u8>> {
    let (mut inner, mut frame) = (Vec::new(), Vec::new());
    let client = PacketBuilder::ipv4([203, 0, 113, 7], VIP_V4.octets(), 64);
    client.tcp(40_000, 80, 1, 1000).ack(1).write(&mut inner, b"more")?;
    let gue = [&[2, 4, 0, 0, 1, 1, 0, 0], &next.octets()[..], &inner].concat();
    let outer = PacketBuilder::ethernet2([2, 0, 0, 60, 0, 1], [2, 0, 0, 60, 0, 2]);
    outer.ipv4(GATEWAY.octets(), NODE.octets(), 64).udp(50_000, 6080).write(&mut frame, &gue)?;
    Ok(frame)
}

/// Sends that, and says how many packets were counted as sent on, and as without a way.
fn send(world: &World, next: Ipv4Addr) -> Result<[u64; 2]> {
    let counted = || -> Result<[u64; 2]> {
        let [_, on] = world.agent.counted("gue", "sent-on")?;
        let [_, lost] = world.agent.counted("gue", "no-next-hop")?;
        Ok([on, lost])
    };
    let before = counted()?;
    FrameSocket::open(&world.gateway, "eth0")?.send(&with_next(next)?)?;
    let after = counted()?;
    Ok([after[0] - before[0], after[1] - before[1]])
}

/// MAC of the way to a node, if it is known; no two links have the same.
fn hop(agent: &NodeAgent, node: &str) -> Option<String> {
    let hops = agent.ask(&["maps", "dump", "node_hops"]).ok()?;
    let entry = hops.as_array()?.iter().find(|entry| entry["key"] == node)?;
    entry["value"]["mac"].as_str().map(str::to_owned)
}

fn until_hop(world: &mut World, node: &str, wanted: Option<&str>) -> Result<()> {
    world.agent.until(&format!("{node} by {wanted:?}"), |agent| {
        (hop(agent, node).as_deref() == wanted).then_some(())
    })
}

#[test]
fn the_default_routes_are_the_way_to_all_others() -> Result<()> {
    let mut world = World::new()?;
    let _peer = Attached::pass(&Objects::from_env()?, &world.gateway, "eth0")?;
    for (namespace, host) in [(&world.gateway, 1), (&world.node, 2)] {
        namespace.ip(&format!("address add fd60::{host}/64 dev eth0 nodad"))?;
    }
    world.start(&file())?;
    assert_eq!(send(&world, Ipv4Addr::new(192, 0, 2, 1))?, [0, 1], "there is no route");
    world.node.ip(&format!("route add default via {GATEWAY}"))?;
    world.node.ip("-6 route add default via fd60::1")?;
    until_hop(&mut world, "0.0.0.0", Some(MAC_0))?;
    until_hop(&mut world, "::", Some(MAC_0))?;
    assert_eq!(world.agent.status()?["hops"], json!({"nodes": 0, "defaults": ["ipv4", "ipv6"]}));

    let listener = FrameSocket::open(&world.gateway, "eth0")?;
    let next = Ipv4Addr::new(192, 0, 2, 1);
    assert_eq!(send(&world, next)?, [1, 0]);
    let arrived = |frame: &[u8]| frame.get(30..34) == Some(&next.octets()[..]);
    let frame = listener.receive(Duration::from_secs(5), arrived)?.context("it did not arrive")?;
    assert_eq!(frame.get(..6), Some(&[2, 0, 0, 60, 0, 1][..]), "to the router");
    assert_eq!(frame.get(26..30), Some(&NODE.octets()[..]), "from the node");

    world.node.ip(&format!("neigh replace {GATEWAY} lladdr {CHANGED} dev eth0 nud permanent"))?;
    until_hop(&mut world, "0.0.0.0", Some(CHANGED))?;
    world.node.ip("route replace default via 10.60.1.1")?;
    until_hop(&mut world, "0.0.0.0", Some(MAC_1))?;
    world.node.ip("route del default")?;
    until_hop(&mut world, "0.0.0.0", None)?;
    assert_eq!(send(&world, next)?, [0, 1]);
    Ok(())
}

#[test]
fn a_peer_on_the_link_is_sent_to_by_its_own_mac_and_nobody_else_is_looked_for() -> Result<()> {
    let mut world = World::new()?;
    world.gateway.ip(&format!("address add {OTHER}/24 dev eth0"))?;
    world.gateway.ip(&format!("address add {STRANGER}/24 dev eth0"))?;
    world.node.ip("route add default via 10.60.1.1")?;
    world.start(&file())?;
    until_hop(&mut world, "0.0.0.0", Some(MAC_1))?;
    assert_eq!(send(&world, STRANGER)?, [1, 0], "by the router");
    assert_eq!(send(&world, OTHER)?, [1, 0]);
    until_hop(&mut world, "10.60.0.3", Some(MAC_0))?;
    assert_eq!(hop(&world.agent, &STRANGER.to_string()), None);
    let neighbours = world.node.command("ip").args(["neigh", "show"]).output()?.stdout;
    let neighbours = String::from_utf8_lossy(&neighbours).into_owned();
    assert!(neighbours.contains("10.60.0.3 ") && !neighbours.contains("10.60.0.200"), "{neighbours}");
    assert_eq!(world.agent.ask(&["maps", "dump", "wanted_hops"])?, json!([]));
    assert_eq!(world.agent.status()?["hops"], json!({"nodes": 1, "defaults": ["ipv4"]}));

    world.node.ip(&format!("neigh replace {OTHER} lladdr {CHANGED} dev eth0 nud permanent"))?;
    until_hop(&mut world, "10.60.0.3", Some(CHANGED))?;
    let known = world.agent.ask(&["maps", "dump", "node_hops"])?;
    world.agent.kill()?;
    assert_eq!(world.agent.ask(&["maps", "dump", "node_hops"])?, known, "without an agent");
    world.node.ip(&format!("neigh replace {OTHER} lladdr {MAC_0} dev eth0 nud permanent"))?;
    world.start(&file())?;
    until_hop(&mut world, "10.60.0.3", Some(MAC_0))?;

    world.gateway.ip(&format!("address del {OTHER}/24 dev eth0"))?;
    world.node.ip(&format!("neigh del {OTHER} dev eth0"))?;
    until_hop(&mut world, "10.60.0.3", None)?;
    world.gateway.ip(&format!("address add {OTHER}/24 dev eth0"))?;
    until_hop(&mut world, "10.60.0.3", Some(MAC_0))?;

    let mut narrower = file();
    narrower["gateways"] = json!([GATEWAY]);
    world.agent.configure(&narrower)?;
    until_hop(&mut world, "10.60.0.3", None)?;
    assert_eq!(hop(&world.agent, "0.0.0.0").as_deref(), Some(MAC_1));
    Ok(())
}

/// The file with these flows remembered.
fn remembering(remember: &Value) -> Value {
    let mut file = file();
    file["remember"] = remember.clone();
    file
}

#[test]
fn flows_are_remembered_as_the_file_says() -> Result<()> {
    let mut world = World::new()?;
    world.start(&file())?;
    let remembered = |world: &World| -> Result<Value> { Ok(world.agent.status()?["remembered"].clone()) };
    assert_eq!(remembered(&world)?, json!({"udp": true, "tcp": false, "entries": 0, "capacity": 65536}));
    world.send(NODE)?;
    assert_eq!(remembered(&world)?["entries"], 1);
    let key = "udp/203.0.113.7:40000/198.51.100.10:53";
    let flow = world.agent.ask(&["maps", "get", "owned_flows", key])?;
    assert_eq!((&flow["key"], &flow["value"]["ended"]), (&json!(key), &json!(false)));
    assert!(flow["value"]["lastSeen"].as_str().is_some_and(|text| text.ends_with('Z')), "{flow}");

    world.agent.configure(&remembering(&json!({"udp": false, "tcp": true})))?;
    world.agent.until("other flows are remembered", |agent| {
        let remembered = &agent.status().ok()?["remembered"];
        (remembered["udp"] == false && remembered["tcp"] == true).then_some(())
    })?;
    world.agent.configure(&remembering(&json!({"flows": "128Ki"})))?;
    world.agent.until("another size is refused", |agent| {
        let error = agent.status().ok()?["lastError"].as_str()?.to_owned();
        ["node.remember.flows", "spillway unload"].iter().all(|part| error.contains(part)).then_some(())
    })?;
    assert_eq!(remembered(&world)?, json!({"udp": false, "tcp": true, "entries": 1, "capacity": 65536}));

    world.agent.stop();
    let output = world.agent.command(&world.node).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && said.contains("map owned_flows is pinned with 65536"),
        "{said}"
    );
    assert!(said.contains("`spillway unload` removes them"), "{said}");
    assert!(world.has_program("eth0")?, "what was in force is still");
    assert!(world.agent.run(&["unload"])?.status.success());
    world.start(&remembering(&json!({"flows": "128Ki"})))?;
    assert_eq!(remembered(&world)?["capacity"], 131_072);
    Ok(())
}
