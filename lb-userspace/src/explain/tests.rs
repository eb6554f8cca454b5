//! The oracle's flows, explained by a configuration of its world.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;

use lb_ebpf::frame::SliceFrame;
use lb_ebpf::parse;
use lb_ebpf::quic::ConnectionId;
use serde_json::{Value, json};

use super::*;
use crate::compile::{MapImage, Record};
use crate::config;
use crate::config::model::Protocol;
use crate::reconcile::MemoryMaps;
use lb_common::abi::{BackendFlags, Route};

pub(super) const WORLD: &str = include_str!("../../../tests/fixtures/vectors/world.json");
const FRAMES: &str = include_str!("../../../tests/fixtures/vectors/frames.json");
const HASHES: &str = include_str!("../../../tests/fixtures/vectors/flow_hash.json");

/// Pools whose endpoints are all well, as they are to one who knows the configuration alone.
const POOLS: [&str; 11] = [
    "web-eu",
    "web-us",
    "web6-eu",
    "mixed-eu",
    "parked-us",
    "hrw-eu",
    "gue",
    "tagged",
    "vx-near",
    "vx-far",
    "h3-wide-eu",
];

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// Of the oracle's services those from pools that are well.
fn kept(service: &Value) -> bool {
    list(&service["pools"]).iter().all(|pool| POOLS.iter().any(|name| pool == name))
}

fn configuration(world: &Value) -> Value {
    let clusters = list(&world["clusters"]).iter();
    let services = list(&world["services"]).iter().filter(|service| kept(service));
    let pools = list(&world["pools"]).iter().filter(|pool| POOLS.iter().any(|name| pool["name"] == *name));
    let endpoints = |pool: &Value| {
        let endpoint = |endpoint: &Value| {
            let known = ["address", "weight", "serverId"].into_iter();
            known.filter_map(|key| Some((key, endpoint.get(key)?.clone()))).collect::<Value>()
        };
        list(&pool["endpoints"]).iter().map(endpoint).collect::<Vec<_>>()
    };
    json!({
        "apiVersion": "spillway/v1",
        "clusterSet": {"id": "oracle", "secretFile": "hash.key",
                       "tunnelKey": {"epoch": world["tunnelKey"]["epoch"], "file": "tunnel.key"}},
        "gateway": {"interfaces": ["eth0"], "source": world["outerSource"]},
        "clusters": clusters.map(|c| json!({"name": c["name"], "encap": encap(c)})).collect::<Vec<_>>(),
        "services": services.map(service).collect::<Vec<_>>(),
        "accessPolicies": world["accessPolicies"],
        "pools": pools.map(|p| json!({
            "name": p["name"], "cluster": p["cluster"], "weight": p["weight"], "rows": p["rows"],
            "algorithm": p.get("algorithm").unwrap_or(&json!("maglev")), "endpoints": endpoints(p),
        })).collect::<Vec<_>>(),
    })
}

/// As a configuration has it: what a kind needs is in a section of its name.
fn encap(cluster: &Value) -> Value {
    let mut encap = json!({"mtu": cluster["mtu"]});
    if let Some(told) = cluster["encap"].as_object() {
        let mut section = told.clone();
        let kind = section.remove("kind").unwrap();
        if let Some(tag) = section.remove("tag") {
            encap["tag"] = tag;
        }
        encap[kind.as_str().unwrap()] = section.into();
        encap["kind"] = kind;
    }
    encap
}

fn service(service: &Value) -> Value {
    let keys = ["name", "vips", "ports", "affinity", "pools", "access", "quic"].into_iter();
    keys.filter_map(|key| Some((key.to_owned(), service.get(key)?.clone()))).collect()
}

/// JSON is YAML.
pub(super) fn imagined(world: &Value) -> (MapImage, Record) {
    configured(world, &configuration(world))
}

/// With the keys of the world.
fn configured(world: &Value, config: &Value) -> (MapImage, Record) {
    let directory = tempfile::tempdir().unwrap();
    for (name, digits) in [("hash.key", &world["secret"]), ("tunnel.key", &world["tunnelKey"]["key"])] {
        let file = directory.path().join(name);
        std::fs::write(&file, digits.as_str().unwrap()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = config::parse(&config.to_string(), "world", directory.path());
    offline::imagine(&config.unwrap_or_else(|problems| panic!("{problems}"))).unwrap()
}

// But for the words, which have tests of their own.
fn told(query: &Query, (image, record): &(MapImage, Record)) -> Value {
    let told = explain(query, image, Known::configured(record), &|index| format!("eth{index}"));
    serde_json::to_value(Explanation { why: Vec::new(), ..told }).unwrap()
}

pub(super) fn query(protocol: Protocol, source: &str, destination: &str) -> Query {
    Query::new(protocol, source.parse().unwrap(), destination.parse().unwrap()).unwrap()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The flow of a frame that has one; of a packet with a short header the id is as long as can be.
fn asked(frame: &str) -> Option<Query> {
    let mut bytes = unhex(frame);
    let frame = SliceFrame::new(&mut bytes, 0, 1);
    // What another cluster's gateway sent here is asked about otherwise.
    let network = parse::network(&frame).ok().filter(|network| !OWN.contains(&network.destination.into()))?;
    let flow = parse::transport(&frame, &network).ok()?.flow;
    let connection_id = ConnectionId::find(&frame, &MemoryMaps::default());
    let protocol = if flow.protocol == 6 { Protocol::Tcp } else { Protocol::Udp };
    let place = |address, port| SocketAddr::new(IpAddr::from(address), port);
    let source = place(flow.source, flow.source_port.get());
    let query = Query::new(protocol, source, place(flow.destination, flow.destination_port.get())).ok()?;
    Some(Query { connection_id, ..query })
}

/// The gateway's own addresses.
const OWN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The reason of a packet whose sender is told that it does not fit.
const TOLD: &str = "too-big-reported";

#[test]
fn flows_go_where_the_oracle_sends_them() {
    let (world, frames): (Value, Value) =
        (serde_json::from_str(WORLD).unwrap(), serde_json::from_str(FRAMES).unwrap());
    let maps = imagined(&world);
    let service = |name: &Value| list(&world["services"]).iter().find(|service| service["name"] == *name);
    let (mut compared, mut by_id, mut denied, mut kinds, ipip) = (0, 0, 0, BTreeSet::new(), json!("ipip"));
    for case in list(&frames["cases"]).iter().filter(|case| service(&case["service"]).is_some_and(kept)) {
        // What has no ports of its own, a mapped source, or is answered, nobody can ask about.
        let Some(query) = asked(case["input"].as_str().unwrap()).filter(|_| case["reason"] != TOLD) else {
            continue;
        };
        let told = told(&query, &maps);
        let about = case["about"].as_str().unwrap();
        assert_eq!(told["service"], case["service"], "{about}");
        if case["reason"] == "denied" {
            assert_eq!(
                (&told["decision"], &told["reasonName"]),
                (&json!("drop"), &json!("denied")),
                "{about}"
            );
            assert!(told["node"]["backend"].is_null() && told["outer"].is_null(), "{about}");
            denied += 1;
            continue;
        }
        assert_eq!(told["cluster"]["name"], case["cluster"], "{about}");
        assert_eq!(told["node"]["backend"], case["backend"], "{about}");
        if case["nodeRow"].is_null() {
            assert_eq!(told["decision"], "quic", "{about}");
            by_id += 1;
            continue;
        }
        assert_eq!(told["node"]["row"], case["nodeRow"], "{about}");
        assert_eq!(told["node"]["owner"], case["backend"], "{about}");
        assert_eq!(told["outer"]["destination"], case["backend"], "{about}");
        assert_eq!(told["decision"], "current", "{about}");
        let cluster =
            list(&world["clusters"]).iter().find(|cluster| cluster["name"] == case["cluster"]).unwrap();
        let kind = cluster["encap"].get("kind").unwrap_or(&ipip);
        assert_eq!(told["outer"]["kind"], *kind, "{about}");
        assert_eq!(told["outer"]["destinationPort"], cluster["encap"]["port"], "{about}");
        kinds.insert(kind.clone().to_string());
        let hash = told["hash"].as_str().unwrap().strip_prefix("0x").unwrap();
        let low = u64::from_str_radix(&hash[8..], 16).unwrap();
        assert_eq!(json!((low * 4096) >> 32), case["clusterRow"], "{about}");
        let weighty =
            list(&service(&case["service"]).unwrap()["pools"]).iter().filter(|pool| *pool != "parked-us");
        let row = if weighty.count() > 1 { &case["clusterRow"] } else { &Value::Null };
        assert_eq!(told["cluster"]["row"], *row, "{about}");
        compared += 1;
    }
    assert!(compared >= 60 && kinds.len() == 3, "{compared} flows, {kinds:?}");
    assert!(by_id > 0, "none by connection id");
    assert!(denied >= 8, "{denied} denied");
}

#[test]
fn what_is_not_served_ends_as_the_oracle_says() {
    let (world, frames): (Value, Value) =
        (serde_json::from_str(WORLD).unwrap(), serde_json::from_str(FRAMES).unwrap());
    let maps = imagined(&world);
    let other = |address: IpAddr| {
        let services = list(&world["services"]).iter().filter(|service| !kept(service));
        services.flat_map(|service| list(&service["vips"])).any(|vip| *vip == json!(address))
    };
    let mut compared = 0;
    for case in list(&frames["cases"]).iter().filter(|case| case["service"].is_null()) {
        let Some(query) = asked(case["input"].as_str().unwrap()) else { continue };
        if other(query.destination.ip()) {
            continue;
        }
        let told = told(&query, &maps);
        assert_eq!(told["decision"], case["verdict"], "{}", case["about"]);
        assert_eq!(told["reasonName"], case["reason"], "{}", case["about"]);
        for key in ["service", "hash", "cluster", "node", "outer", "nextHop"] {
            assert!(told[key].is_null(), "{key}: {}", case["about"]);
        }
        compared += 1;
    }
    assert!(compared >= 5, "{compared} flows");
}

#[test]
fn hashes_are_the_oracles() {
    let (world, hashes): (Value, Value) =
        (serde_json::from_str(WORLD).unwrap(), serde_json::from_str(HASHES).unwrap());
    assert_eq!(world["secret"], hashes["secret"]);
    let maps = imagined(&world);
    let mut compared = 0;
    for case in list(&hashes["cases"]).iter().filter(|case| case["affinity"] == "flow") {
        let place = |address: &str, port: &str| {
            let (address, port) = (case[address].as_str().unwrap(), case[port].as_u64().unwrap());
            SocketAddr::new(address.parse().unwrap(), port.try_into().unwrap())
        };
        let protocol = if case["protocol"] == 6 { Protocol::Tcp } else { Protocol::Udp };
        let (source, destination) = (place("source", "sourcePort"), place("destination", "destinationPort"));
        let told = told(&Query::new(protocol, source, destination).unwrap(), &maps);
        if told["service"] == "shop/web" || told["service"] == "shop/quic" {
            assert_eq!(told["hash"], case["hash"]);
            assert_eq!(told["outer"]["sourcePort"], case["outerSourcePort"]);
            compared += 1;
        }
    }
    assert!(compared >= 3, "{compared} hashes");
}

/// The whole answer, key by key, to the oracle's first hash.
#[test]
fn the_answer_has_the_documented_shape() {
    let world: Value = serde_json::from_str(WORLD).unwrap();
    let maps = imagined(&world);
    let flow = query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443");
    let expected = json!({
        "service": "shop/web",
        "hash": "0x0e8668156ef57032",
        "cluster": {"row": 1775, "name": "us-1", "mode": "clean", "pool": "web-us"},
        "node": {"row": 29, "rows": 512, "backend": "203.0.113.22", "mode": "clean", "owner": "203.0.113.22"},
        "decision": "current",
        "reason": "203.0.113.22 owns row 29 and serves.",
        "reasonName": null,
        "chain": [],
        "via": "nodes",
        "outer": {"kind": "ipip", "source": "192.0.2.1", "destination": "203.0.113.22", "sourcePort": 61490,
                  "destinationPort": null},
        "nextHop": null,
        "why": [],
    });
    assert_eq!(told(&flow, &maps), expected);
}

/// The rows of both servers' pool lead some client to the first, and its connection id to the second.
#[test]
fn a_connection_id_names_its_server_whatever_the_rows_say() {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    let from = |client: u8| query(Protocol::Udp, &format!("192.0.2.{client}:40000"), "198.51.100.91:443");
    let first = |query: &Query| told(query, &maps)["node"]["backend"] == "203.0.113.111";
    let flow = (0..=255).map(from).find(first).unwrap();
    let id = unhex("cd0102030405060708f211223344");
    let answer = told(&flow.with_connection_id(&id), &maps);
    assert_eq!((&answer["decision"], &answer["reasonName"]), (&json!("quic"), &Value::Null));
    assert_eq!(answer["node"]["owner"], "203.0.113.111");
    assert_eq!(answer["node"]["backend"], "203.0.113.112");
    assert_eq!(answer["outer"]["destination"], "203.0.113.112");
    assert_eq!(answer["reason"], "203.0.113.112 is the server that the connection id names.");
    let cut = told(&flow.with_connection_id(&id[..13]), &maps);
    assert_eq!(cut["decision"], "current", "too short for the configuration");
    fail(&mut maps.0, |address| address == IpAddr::from([203, 0, 113, 112]));
    assert_eq!(told(&flow.with_connection_id(&id), &maps)["node"]["backend"], "203.0.113.111");
}

/// The world's own configuration, of a gateway in eu-1 whose cluster us-1 is reached by way of its gateways.
fn between_clusters() -> (MapImage, Record) {
    let world: Value = serde_json::from_str(WORLD).unwrap();
    let mut config = configuration(&world);
    config["clusterSet"]["self"] = json!("eu-1");
    let us = config["clusters"].as_array_mut().unwrap().iter_mut().find(|one| one["name"] == "us-1").unwrap();
    (us["via"], us["encap"]) = (json!("gateway"), json!({"kind": "gue"}));
    configured(&world, &config)
}

#[test]
fn a_far_gateway_decides_and_what_it_redirects_stays_here() {
    let maps = between_clusters();
    let from = |port| query(Protocol::Tcp, &format!("192.0.2.7:{port}"), "198.51.100.10:443");
    let far =
        (40_000..50_000).map(from).find(|query| told(query, &maps)["cluster"]["name"] == "us-1").unwrap();
    let answer = told(&far, &maps);
    assert_eq!((&answer["via"], &answer["outer"]["kind"]), (&json!("gateway"), &json!("gue")));
    assert!(
        answer["reason"].as_str().unwrap().contains("chooses among the nodes of its cluster"),
        "{answer}"
    );
    let answer = told(&far.redirected(), &maps);
    assert_eq!((&answer["cluster"]["name"], &answer["via"]), (&json!("eu-1"), &json!("nodes")));
    assert!(answer["cluster"]["row"].is_null() && answer["decision"] == "current", "{answer}");
    let nowhere = query(Protocol::Udp, "192.0.2.7:40000", "198.51.100.10:443").redirected();
    assert_eq!(told(&nowhere, &maps)["reasonName"], "no-backend", "its one pool is in us-1");
    assert_ne!(connection(&far, &maps.0), connection(&far.redirected(), &maps.0));
}

#[test]
fn a_source_that_is_not_configured_is_not_told() {
    let mut world: Value = serde_json::from_str(WORLD).unwrap();
    world["outerSource"] = json!({});
    let told = told(&query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443"), &imagined(&world));
    assert_eq!(told["decision"], "current");
    assert!(told["outer"]["source"].is_null() && told["outer"]["destination"].is_string());
}

/// Takes the flag from the backends that are named.
fn fail(image: &mut MapImage, failed: impl Fn(IpAddr) -> bool) {
    for backend in image.backends.values_mut().filter(|backend| failed(backend.destination.into())) {
        backend.route.flags = backend.route.flags.without(BackendFlags::SERVES);
    }
}

#[test]
fn a_fallback_names_both() {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    let flow = query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443");
    fail(&mut maps.0, |address| address == IpAddr::from([203, 0, 113, 22]));
    let told = told(&flow, &maps);
    assert_eq!((&told["decision"], &told["reasonName"]), (&json!("fallback"), &Value::Null));
    assert_eq!(
        (&told["node"]["owner"], &told["node"]["backend"]),
        (&json!("203.0.113.22"), &json!("203.0.113.21"))
    );
    assert_eq!(told["reason"], "203.0.113.22 owns row 29 and does not serve; 203.0.113.21 stands in.");
    assert_eq!(told["outer"]["destination"], "203.0.113.21");
}

#[test]
fn a_drop_for_want_of_backends_keeps_the_rows() {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    fail(&mut maps.0, |_| true);
    let told = told(&query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443"), &maps);
    assert_eq!((&told["decision"], &told["reasonName"]), (&json!("drop"), &json!("no-backend")));
    assert_eq!(told["reason"], "No backend of the service serves; dropped.");
    assert_eq!((&told["cluster"]["row"], &told["node"]["row"]), (&json!(1775), &json!(29)));
    assert!(told["node"]["backend"].is_null() && told["outer"].is_null() && told["nextHop"].is_null());
}

#[test]
fn a_backend_of_this_machine_gets_no_header() {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    for backend in maps.0.backends.values_mut() {
        let flags = backend.route.flags.with(BackendFlags::LOCAL);
        backend.route = Route { flags, interface: 2 };
    }
    let told = told(&query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443"), &maps);
    assert_eq!((&told["decision"], &told["reasonName"]), (&json!("current"), &json!("local-backend")));
    assert!(told["outer"].is_null() && told["nextHop"].is_null());
}

#[test]
fn a_next_hop_that_is_known_is_told() {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    for backend in maps.0.backends.values_mut() {
        backend.route.interface = 2;
        backend.destination_mac = lb_common::abi::LinkAddress::new([0, 0, 0x5e, 0, 0x53, 0x11], 7);
        backend.mtu = 1400;
    }
    let told = told(&query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443"), &maps);
    let expected = json!({"interface": "eth2", "mac": "00:00:5e:00:53:11", "vlan": 7, "mtu": 1400});
    assert_eq!(told["nextHop"], expected);
}

#[test]
fn families_do_not_mix() {
    let (v4, v6) = ("192.0.2.7:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap());
    let error = Query::new(Protocol::Tcp, v4, v6).unwrap_err();
    assert!(error.to_string().contains("192.0.2.7") && error.to_string().contains("2001:db8::1"));
}
