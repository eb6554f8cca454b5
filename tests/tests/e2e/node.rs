//! Real HTTP to nodes on which `spillway node` takes the outer headers off.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lb_tests::lab::{
    Load, Node, NodeAgent, Objects, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, fetch_within, is_root,
};
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

/// The outer sources of the lab's gateway.
fn gateways() -> Value {
    json!([VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| TwoClusters::GATEWAY.host(like)))
}

fn start(node: &Node, gateway: &Gateway) -> Result<NodeAgent> {
    let mut agent = NodeAgent::new(gateway.work(), &node.name)?;
    agent.configure(&json!({"interfaces": ["eth0"], "gateways": gateways()}))?;
    agent.start(&node.namespace)?;
    Ok(agent)
}

/// Who answered, and how many did not.
fn watch(loads: Vec<Load>) -> (BTreeSet<String>, Vec<String>) {
    let outcomes: Vec<_> = loads.into_iter().flat_map(Load::finish).collect();
    assert!(outcomes.len() > 400, "only {} requests", outcomes.len());
    let names = outcomes.iter().filter_map(|outcome| outcome.answer.clone().ok()).collect();
    let failed = outcomes.iter().filter(|outcome| !outcome.is_ok()).map(|outcome| format!("{outcome:?}"));
    (names, failed.collect())
}

#[test]
fn nodes_with_the_agent_answer_also_while_it_is_killed_and_started_again() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = (TwoClusters::with_bare_nodes(&Objects::from_env()?)?, Gateway::new()?);
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &config(&lab))?;
    gateway.start(&lab.gateway)?;
    let mut agents = lab.nodes.iter().map(|node| start(node, &gateway)).collect::<Result<Vec<_>>>()?;
    let addresses: Vec<IpAddr> = lab.nodes.iter().map(address).collect();
    gateway.until("finding all nodes up", |gateway| found(gateway, &addresses, true))?;
    let loads = targets().map(|target| Load::start(&lab.client, target, SENDERS, RATE));
    let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    thread::sleep(WATCHED);
    for agent in &mut agents {
        agent.kill()?;
        assert_eq!(agent.status()?["agent"]["running"], false);
    }
    thread::sleep(WATCHED);
    for (agent, node) in agents.iter_mut().zip(&lab.nodes) {
        let before = agent.status()?;
        agent.start(&node.namespace)?;
        let after = agent.status()?;
        assert_eq!((&after["adopted"], &after["agent"]["running"]), (&true.into(), &true.into()), "{after}");
        assert_ne!(after["interfaces"], before["interfaces"], "the same program as before");
    }
    thread::sleep(WATCHED);
    let (names, failed) = watch(loads);
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first());
    assert_eq!(names, lab.nodes.iter().map(|node| node.name.clone()).collect(), "not every node answers");
    for agent in &agents {
        let [taken, dropped] = agent.counted("ipip", "unknown-peer")?;
        assert!(taken > 1000 && dropped == 0, "{taken} taken, {dropped} dropped");
    }
    Ok(())
}

#[test]
fn a_gateway_that_is_no_longer_in_the_file_is_not_listened_to() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = (TwoClusters::with_bare_nodes(&Objects::from_env()?)?, Gateway::new()?);
    let mut served = config(&lab);
    served["services"][0]["pools"] = json!(["eu-1"]);
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &served)?;
    gateway.start(&lab.gateway)?;
    let node = lab.nodes.first().context("no node")?;
    let mut agent = start(node, &gateway)?;
    gateway.until("finding the node up", |gateway| found(gateway, &[address(node)], true))?;
    let target = SocketAddr::new(VIP_V4.into(), VIP_PORT);
    let answer = || fetch_within(SHORT, &lab.client, target, "/").ok();
    assert_eq!(gateway.until("an answer", |_| answer())?, node.name);
    assert_eq!(agent.counted("ipip", "unknown-peer")?[1], 0);
    let own: Vec<_> = [VIP_V4.into(), VIP_V6.into()].map(|like| node.address(like)).into();
    assert_eq!(agent.status()?["addresses"], json!(own), "the VIPs on lo are no ends of tunnels");

    agent.configure(&json!({"interfaces": ["eth0"], "gateways": ["203.0.113.1"]}))?;
    agent.until("another gateway", |agent| {
        (agent.status().ok()?["gateways"] == json!(["203.0.113.1/32"])).then_some(())
    })?;
    let [taken, _] = agent.counted("ipip", "unknown-peer")?;
    assert_eq!(answer(), None);
    let [still, dropped] = agent.counted("ipip", "unknown-peer")?;
    assert!(still == taken && dropped > 0, "{taken} taken, then {still}; {dropped} dropped");

    agent.configure(&json!({"interfaces": ["eth0"], "gateways": gateways()}))?;
    assert_eq!(gateway.until("an answer again", |_| answer())?, node.name);
    Ok(())
}
