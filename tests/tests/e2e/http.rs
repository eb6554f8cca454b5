//! Real HTTP through VIPs of both families, to nodes of both.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use lb_tests::lab::{
    EventKind, HEALTH_PORT, Load, Node, Objects, Outcome, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, fetch,
    is_root,
};
use serde_json::{Value, json};

use crate::gateway::Gateway;

const SENDERS: u16 = 16;
/// Requests per second to each VIP.
const RATE: u32 = 150;
/// How long each state is watched.
const WATCHED: Duration = Duration::from_millis(1500);
/// After this long without a change the tables are taken as settled.
const SETTLED: Duration = Duration::from_millis(500);

/// Patience of a client until a SYN has come again, which takes a second, and not twice.
pub(crate) const ONE_RETRY: Duration = Duration::from_millis(1800);

/// The nodes of `eu-1` are reached over IPv4, those of `us-1` over IPv6.
pub(crate) fn address(node: &Node) -> IpAddr {
    node.address(if node.cluster == "eu-1" { VIP_V4.into() } else { VIP_V6.into() })
}

pub(crate) fn config(lab: &TwoClusters) -> Value {
    let pool = |cluster: &str| {
        let nodes = lab.nodes.iter().filter(|node| node.cluster == cluster);
        let endpoints: Vec<Value> = nodes.map(|node| json!({"address": address(node)})).collect();
        json!({"name": cluster, "cluster": cluster, "health": "http", "rows": 1024, "endpoints": endpoints})
    };
    json!({
        "clusters": [{"name": "eu-1"}, {"name": "us-1"}],
        "services": [{"name": "test/web", "vips": [VIP_V4, VIP_V6], "ports": [{"port": VIP_PORT}],
                      "pools": ["eu-1", "us-1"]}],
        "pools": [pool("eu-1"), pool("us-1")],
        "healthChecks": [{"name": "http", "type": "http", "port": HEALTH_PORT, "interval": "250ms",
                          "timeout": "200ms", "rise": 2, "fall": 2}],
    })
}

/// The lab, and a gateway with that configuration, but for what is said otherwise, which has found all nodes up.
pub(crate) fn balanced(edit: impl FnOnce(&mut Value)) -> Result<(TwoClusters, Gateway)> {
    let lab = TwoClusters::build(&Objects::from_env()?)?;
    let mut gateway = Gateway::new()?;
    let mut file = config(&lab);
    edit(&mut file);
    gateway.configure(&[TwoClusters::GATEWAY_INTERFACE], &file)?;
    gateway.start(&lab.gateway)?;
    let nodes: Vec<IpAddr> = lab.nodes.iter().map(address).collect();
    gateway.until("finding all nodes up", |gateway| found(gateway, &nodes, true))?;
    Ok((lab, gateway))
}

/// When each of the nodes was first found so.
pub(crate) fn found(gateway: &Gateway, nodes: &[IpAddr], up: bool) -> Option<SystemTime> {
    let events = gateway.events();
    let first = |address: &IpAddr| {
        let wanted = EventKind::Health { address: *address, up };
        events.iter().find(|event| event.kind == wanted).map(|event| event.at)
    };
    nodes.iter().map(first).collect::<Option<Vec<_>>>()?.into_iter().max()
}

pub(crate) fn targets() -> [SocketAddr; 2] {
    [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)].map(|vip| SocketAddr::new(vip, VIP_PORT))
}

/// From now on a node drops what is sent to the VIP. It passes its checks, which do not ask for that.
pub(crate) fn silence(node: &Node) -> Result<()> {
    node.namespace.ip(&format!("address del {VIP_V4}/32 dev lo"))
}

/// Of the requests that were begun after a moment each was answered.
pub(crate) fn none_failed(outcomes: &[Outcome], since: SystemTime) {
    let failed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_ok() && outcome.started > since).collect();
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), outcomes.len(), failed.first());
}

fn names(outcomes: &[Outcome], since: SystemTime) -> BTreeSet<&str> {
    let later = outcomes.iter().filter(|outcome| outcome.started > since);
    later.filter_map(|outcome| outcome.answer.as_deref().ok()).collect()
}

#[test]
fn requests_are_answered_and_a_dead_node_costs_none_after_its_verdict() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (mut lab, mut gateway) = balanced(|_| ())?;
    for target in targets() {
        gateway.until("an answer", |_| fetch(&lab.client, target, "/").ok())?;
    }

    let started = SystemTime::now();
    let loads = targets().map(|target| Load::start(&lab.client, target, SENDERS, RATE));
    let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    thread::sleep(WATCHED);
    let broken = SystemTime::now();
    for load in &loads {
        let outcomes = load.outcomes();
        assert!(outcomes.len() > 100, "only {} requests", outcomes.len());
        none_failed(&outcomes, started);
        assert_eq!(names(&outcomes, started).len(), 4, "not every node answers");
    }

    let dead = lab.nodes[3].name.clone();
    lab.nodes[3].kill()?;
    gateway.until("finding a node down", |gateway| found(gateway, &[address(&lab.nodes[3])], false))?;
    let switched = gateway.until("new tables", |gateway| {
        gateway.applied().filter(|at| *at > broken && at.elapsed().is_ok_and(|ago| ago > SETTLED))
    })?;
    thread::sleep(WATCHED);
    for load in loads {
        let outcomes = load.finish();
        none_failed(&outcomes, switched);
        let names = names(&outcomes, switched);
        assert!(names.len() == 3 && !names.contains(dead.as_str()), "{names:?}");
    }
    Ok(())
}

#[test]
fn a_killed_agent_and_its_heir_cost_no_request() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (lab, mut gateway) = balanced(|_| ())?;
    let loads = targets().map(|target| Load::start(&lab.client, target, SENDERS, RATE));
    let loads = loads.into_iter().collect::<Result<Vec<_>>>()?;
    thread::sleep(WATCHED);
    gateway.kill()?;
    thread::sleep(WATCHED);
    gateway.start(&lab.gateway)?;
    assert_eq!(gateway.ask(&["status"])?["adopted"], true);
    thread::sleep(WATCHED);
    for load in loads {
        let outcomes = load.finish();
        assert!(outcomes.len() > 400, "only {} requests", outcomes.len());
        none_failed(&outcomes, SystemTime::UNIX_EPOCH);
    }
    Ok(())
}
