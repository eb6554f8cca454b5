//! What checks of other types than HTTP find, and that it decides who gets packets.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lb_tests::lab::{HealthService, Node, Objects, TwoClusters, VIP_PORT, VIP_V4, fetch, is_root};
use serde_json::{Value, json};

use crate::gateway::Gateway;

const V4: IpAddr = IpAddr::V4(VIP_V4);
/// Where the nodes' health services listen.
const GRPC_PORT: u16 = 9000;
/// Requests of clients: enough to meet each of four nodes.
const REQUESTS: usize = 60;

/// A service on all nodes, probed as `check` says.
fn config(lab: &TwoClusters, check: &Value) -> Value {
    let addresses = lab.nodes.iter().map(|node| node.address(V4));
    let endpoints: Vec<Value> = addresses.map(|address| json!({"address": address})).collect();
    let mut check = check.clone();
    let usual = json!({"name": "check", "interval": "250ms", "unhealthyInterval": "100ms", "timeout": "100ms",
                       "rise": 1, "fall": 2});
    if let (Some(check), Value::Object(usual)) = (check.as_object_mut(), usual) {
        check.extend(usual);
    }
    json!({
        "clusters": [{"name": "eu-1", "encap": {"kind": "gue"}}],
        "services": [{"name": "test/web", "vips": [V4], "ports": [{"port": VIP_PORT}], "pools": ["web"]}],
        "pools": [{"name": "web", "cluster": "eu-1", "health": "check", "rows": 1024, "endpoints": endpoints}],
        "healthChecks": [check],
    })
}

/// Waits until each node's state is the one of these, and requests are answered by those that are up and no others.
fn settles(gateway: &mut Gateway, lab: &TwoClusters, states: [&str; 4]) -> Result<()> {
    gateway.until(&format!("finding nodes {states:?}"), |gateway| {
        let backends = gateway.ask(&["backends"]).ok()?;
        let state = |address: IpAddr| {
            let backends = backends.as_array()?.iter();
            backends.clone().find(|one| one["address"] == address.to_string()).map(|one| one["state"].clone())
        };
        lab.nodes
            .iter()
            .zip(states)
            .all(|(node, is)| state(node.address(V4)) == Some(json!(is)))
            .then_some(())
    })?;
    let up = lab.nodes.iter().zip(states).filter(|(_, state)| *state == "up");
    let up: Vec<_> = up.map(|(node, _)| node.name.clone()).collect();
    let target = SocketAddr::new(V4, VIP_PORT);
    gateway.until("an answer", |_| fetch(&lab.client, target, "/").ok())?;
    let mut names = (0..REQUESTS).map(|_| fetch(&lab.client, target, "/")).collect::<Result<Vec<_>>>()?;
    names.sort();
    names.dedup();
    ensure!(names == up, "{names:?} answer and {up:?} are up");
    Ok(())
}

/// Why a node was found down last.
fn reason(gateway: &Gateway, node: IpAddr) -> Result<String> {
    let backends = gateway.ask(&["backends"])?;
    let backends = backends.as_array().context("a list")?;
    let found = backends.iter().find(|one| one["address"] == node.to_string()).context("the node")?;
    Ok(found["reason"].as_str().unwrap_or_default().to_owned())
}

fn skip() -> bool {
    if !is_root() {
        println!("SKIP: network namespaces need root");
    }
    !is_root()
}

#[test]
fn a_node_whose_grpc_service_does_not_serve_gets_no_requests() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let start = |node: &Node| HealthService::start(&node.namespace, GRPC_PORT);
    let mut services = lab.nodes.iter().map(start).collect::<Result<Vec<_>>>()?;
    for via in ["direct", "tunnel"] {
        let mut gateway = Gateway::new()?;
        let check = json!({"type": "grpc", "via": via, "port": GRPC_PORT, "service": "shop.Cart"});
        gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab, &check))?;
        gateway.start(&lab.gateway)?;
        settles(&mut gateway, &lab, ["up"; 4])?;
        // It answers, and says no; its web server answers clients all the time.
        services[1].set(false);
        settles(&mut gateway, &lab, ["up", "down", "up", "up"])?;
        let why = reason(&gateway, lab.nodes[1].address(V4))?;
        ensure!(why.contains("NOT_SERVING, expected SERVING"), "{via}: {why}");
        services[1].set(true);
        settles(&mut gateway, &lab, ["up"; 4])?;
    }
    // Nobody listens any more.
    drop(services.pop());
    let mut gateway = Gateway::new()?;
    let check = json!({"type": "grpc", "port": GRPC_PORT});
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab, &check))?;
    gateway.start(&lab.gateway)?;
    settles(&mut gateway, &lab, ["up", "up", "up", "down"])?;
    Ok(())
}

#[test]
fn a_node_that_does_not_answer_echo_requests_gets_no_requests() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let mut gateway = Gateway::new()?;
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab, &json!({"type": "icmp"})))?;
    gateway.start(&lab.gateway)?;
    settles(&mut gateway, &lab, ["up"; 4])?;
    lab.nodes[2].namespace.sysctl("net/ipv4/icmp_echo_ignore_all", "1")?;
    settles(&mut gateway, &lab, ["up", "up", "down", "up"])?;
    let why = reason(&gateway, lab.nodes[2].address(V4))?;
    ensure!(why.contains("timed out after 100ms while waiting for an answer"), "{why}");
    lab.nodes[2].namespace.sysctl("net/ipv4/icmp_echo_ignore_all", "0")?;
    settles(&mut gateway, &lab, ["up"; 4])
}

#[test]
fn a_program_decides_node_by_node() -> Result<()> {
    if skip() {
        return Ok(());
    }
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let mut gateway = Gateway::new()?;
    let bad = lab.nodes[0].address(V4).to_string();
    let script = format!("test $SPILLWAY_ADDRESS != {bad} || {{ echo lag of 7 s; exit 1; }}");
    let check = json!({"type": "exec", "command": ["/bin/sh", "-c", script]});
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab, &check))?;
    gateway.start(&lab.gateway)?;
    settles(&mut gateway, &lab, ["down", "up", "up", "up"])?;
    let why = reason(&gateway, lab.nodes[0].address(V4))?;
    ensure!(why.contains("exit status: 1: lag of 7 s"), "{why}");
    Ok(())
}
