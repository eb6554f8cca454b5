//! A gateway on a bare wire: whatever goes over it is a test's, or the gateway's.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use lb_tests::lab::{Attached, End, Namespace, Objects, connect};
use serde_json::{Value, json};

use crate::gateway::{Gateway, SECRET};

/// MTU of the wire in bytes.
pub(crate) const MTU: u16 = 1600;
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN_MAC: &str = "02:00:00:00:00:02";
const ROUTER: &str = "02:00:00:00:00:01";

/// Two namespaces with a veth pair, `eth0` to `eth0`, and another, `eth1` to `eth1`, by which nothing is
/// routed. The peer is the gateway's router.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) peer: Namespace,
    pub(crate) gateway: Namespace,
    _pass: [Attached; 2],
}

impl Wire {
    pub(crate) fn new() -> Result<Self> {
        let objects = Objects::from_env()?;
        let (peer, gateway) = (Namespace::new("peer")?, Namespace::new("gateway")?);
        arm(&peer, &gateway, "eth0", 0)?;
        arm(&peer, &gateway, "eth1", 1)?;
        gateway.ip("route replace default via 10.0.0.1 dev eth0")?;
        gateway.ip("-6 route replace default via fd00::1 dev eth0")?;
        for (address, mac) in NEIGHBOURS {
            gateway.ip(&format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent"))?;
        }
        let pass = [Attached::pass(&objects, &peer, "eth0")?, Attached::pass(&objects, &peer, "eth1")?];
        Ok(Self { peer, gateway, _pass: pass })
    }
}

/// One veth pair with subnet 10.0.`number`.0/24 and `fd00:0:0:N::/64`, N being the number.
fn arm(peer: &Namespace, gateway: &Namespace, interface: &str, number: u8) -> Result<()> {
    let end = |namespace, host: u8| {
        let mac = [PEER_MAC[0], 0, 0, 0, number, host];
        let addresses = vec![format!("10.0.{number}.{host}/24"), format!("fd00:0:0:{number}::{host}/64")];
        End { namespace, interface, mac, addresses }
    };
    connect(&end(peer, 1), &end(gateway, 2), MTU)
}

/// Nodes on the wire itself; the others are behind the router.
const NEIGHBOURS: [(&str, &str); 4] = [
    ("10.0.0.11", "02:00:00:00:00:11"),
    ("10.0.0.12", "02:00:00:00:00:12"),
    ("fd00::11", "02:00:00:00:06:11"),
    ("fd00::12", "02:00:00:00:06:12"),
];

fn endpoint(address: &str, weight: u16) -> Value {
    let mac = NEIGHBOURS.iter().find(|(neighbour, _)| *neighbour == address).map_or(ROUTER, |(_, mac)| mac);
    json!({"address": address, "weight": weight, "nextHop": {"mac": mac, "source": OWN_MAC}})
}

/// The oracle's view of what is behind the gateway: each family in each, one tier and two.
pub(crate) fn world() -> Value {
    json!({
        "secret": SECRET,
        "outerSource": {"v4": "10.0.0.2", "v6": "fd00::2"},
        "clusters": [
            {"name": "near", "mtu": MTU},
            {"name": "far", "mtu": 1400},
            {"name": "gue", "mtu": 1500, "encap": {"kind": "gue", "port": 6080}},
            {"name": "vxlan", "mtu": 1500,
             "encap": {"kind": "vxlan", "port": 4790, "vni": 7, "mac": "02:00:00:00:00:99"}},
        ],
        "services": [
            {"name": "shop/web", "vips": ["198.51.100.10", "2001:db8::10"], "affinity": "flow",
             "ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 80}],
             "pools": ["near-v4", "far-v4"]},
            {"name": "shop/dns", "vips": ["198.51.100.53", "2001:db8::53"], "affinity": "client-prefix",
             "clientPrefix": {"v4": 24, "v6": 56},
             "ports": [{"protocol": "UDP", "port": 53}], "pools": ["near-v6"]},
            {"name": "shop/mixed", "vips": ["198.51.100.60", "2001:db8::60"], "affinity": "flow",
             "ports": [{"protocol": "UDP", "port": 0}], "pools": ["far-mixed"]},
            {"name": "shop/tunnels", "vips": ["198.51.100.70", "2001:db8::70"], "affinity": "flow",
             "ports": [{"protocol": "UDP", "port": 0}], "pools": ["gue", "vxlan"]},
        ],
        "pools": [
            {"name": "near-v4", "cluster": "near", "weight": 70, "rows": 4096,
             "endpoints": [endpoint("10.0.0.11", 1), endpoint("10.0.0.12", 2)]},
            {"name": "far-v4", "cluster": "far", "weight": 30, "rows": 256,
             "endpoints": [endpoint("10.9.0.1", 1), endpoint("10.9.0.2", 1)]},
            {"name": "near-v6", "cluster": "near", "weight": 100, "rows": 256,
             "endpoints": [endpoint("fd00::11", 1), endpoint("fd00::12", 3)]},
            {"name": "far-mixed", "cluster": "far", "weight": 100, "rows": 256,
             "endpoints": [endpoint("10.9.0.3", 1), endpoint("fd09::1", 1)]},
            {"name": "gue", "cluster": "gue", "weight": 50, "rows": 256,
             "endpoints": [endpoint("10.9.0.4", 1), endpoint("fd09::2", 1)]},
            {"name": "vxlan", "cluster": "vxlan", "weight": 50, "rows": 256,
             "endpoints": [endpoint("10.9.0.5", 1), endpoint("fd00::12", 1)]},
        ],
    })
}

/// The configuration that says the same: next hops and sources are for the agent to find.
pub(crate) fn config(world: &Value) -> Result<Value> {
    let mut config = world.clone();
    let tree = config.as_object_mut().context("a world is an object")?;
    tree.remove("secret");
    tree.remove("outerSource");
    for cluster in list(tree.get_mut("clusters"))? {
        *cluster = json!({"name": cluster["name"], "encap": encap(cluster)});
    }
    for service in list(tree.get_mut("services"))? {
        let service = service.as_object_mut().context("a service is an object")?;
        if let Some(prefix) = service.remove("clientPrefix") {
            let affinity = json!({"kind": "client-prefix", "v4": prefix["v4"], "v6": prefix["v6"]});
            service.insert("affinity".to_owned(), affinity);
        }
    }
    for pool in list(tree.get_mut("pools"))? {
        for endpoint in list(pool.get_mut("endpoints"))? {
            endpoint.as_object_mut().context("an endpoint is an object")?.remove("nextHop");
        }
    }
    Ok(config)
}

/// As a configuration has it: what a kind needs is in a section of its name.
fn encap(cluster: &Value) -> Value {
    let mut encap = json!({"mtu": cluster["mtu"]});
    if let Some(told) = cluster["encap"].as_object() {
        let mut section = told.clone();
        let kind = section.remove("kind").unwrap_or_default();
        encap[kind.as_str().unwrap_or_default()] = section.into();
        encap["kind"] = kind;
    }
    encap
}

fn list(value: Option<&mut Value>) -> Result<&mut Vec<Value>> {
    value.and_then(Value::as_array_mut).context("a list is missing")
}

/// Writes the world for the oracle beside the gateway's files.
pub(crate) fn write_world(gateway: &Gateway) -> Result<PathBuf> {
    let file = gateway.work().path().join("world.json");
    std::fs::write(&file, world().to_string())?;
    Ok(file)
}
