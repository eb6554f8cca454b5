use super::contents::{Decoded, dump, get};
use super::*;
use crate::config::parse_node;
use crate::observe::contents::Key;
use lb_common::abi::{LinkAddress, NodeHop, TunnelKey};
use lb_common::net::NetworkU16;
use std::path::Path;

fn seen() -> Seen {
    let file = "apiVersion: spillway/v1
node: {interfaces: [eth0], gateways: [192.0.2.1, '2001:db8::/64'], accept: {ipip: true, vxlan: {}}}
";
    let own = ["10.1.1.2", "fd00::2"].map(|address| address.parse().unwrap()).into();
    let count = |kind, packets| (kind, TunnelCounters { packets, bytes: packets * 100 });
    let image = ReceiverImage::of(&parse_node(file, "x", Path::new("")).unwrap(), own, Some(1500));
    Seen {
        image: ReceiverImage { keys: BTreeMap::from([(3, KEY)]), ..image },
        taken: vec![count(TunnelKind::Ipip, 7), count(TunnelKind::Gue, 0), count(TunnelKind::Vxlan, 0)],
        reasons: vec![(ReceiverReason::UnknownPeer, 3), (ReceiverReason::BadTunnel, 0)],
        clamped: 4,
        refused: vec![(refused("198.51.100.10", 6), 1), (refused("2001:db8::10", 17), 3)],
        flows: vec![
            (flow(17), Owned::default().seen(4_100_000_000, 0, false)),
            (flow(6), Owned::default().seen(7_500_000_001, 9, true)),
        ],
        capacity: 65_536,
        hops: BTreeMap::from([hop("0.0.0.0", 0), hop("10.1.1.3", 0), hop("fd00::3", 7)]),
        wanted: ["10.1.1.4"].map(|address| address.parse().unwrap()).into(),
        interfaces: vec![InterfaceView { name: "eth0".into(), mode: "native".into(), program_id: 55 }],
        leaving: vec!["eth0".into()],
        state: Some(NodeState {
            version: "0.1.0".into(),
            pid: 42,
            started: OffsetDateTime::UNIX_EPOCH,
            configured: OffsetDateTime::UNIX_EPOCH,
            config_digest: "d1".into(),
            adopted: false,
            refused_configs: 0,
            last_error: None,
            refused_since: Some(OffsetDateTime::UNIX_EPOCH),
            unclamped: vec![Unclamped { interface: "ppp0".into(), reason: "no Ethernet".into() }],
        }),
        now: OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(9),
        clock: 8000,
    }
}

/// Digits that nothing else has.
const KEY: TunnelKey = TunnelKey { k0: 0x6b65_796b_6579_6b65, k1: 0x7465_7374_7465_7374 };

#[test]
fn a_key_is_never_shown() {
    let seen = seen();
    let status = serde_json::to_string(&status(&seen, |_| true)).unwrap();
    let dumped = serde_json::to_string(&dump(&seen, "tunnel_keys")).unwrap();
    assert_eq!(dumped, r#"[{"key":3,"value":{"key":"not shown"}}]"#);
    for said in [status, dumped, format!("{seen:?}")] {
        let has = |word: u64| said.contains(&word.to_string()) || said.contains(&format!("{word:x}"));
        assert!(!has(KEY.k0) && !has(KEY.k1), "{said}");
    }
}

fn flow(protocol: u32) -> OwnedKey {
    let ports = [1234, 53].map(NetworkU16::new);
    let [source, destination]: [IpAddr; 2] = ["192.0.2.1", "198.51.100.10"].map(|text| text.parse().unwrap());
    OwnedKey { source: source.into(), destination: destination.into(), ports, protocol }
}

fn refused(address: &str, protocol: u8) -> RefusedKey {
    RefusedKey::new(address.parse::<IpAddr>().unwrap().into(), NetworkU16::new(443), protocol)
}

fn hop(node: &str, vlan: u16) -> (IpAddr, Hop) {
    let destination_mac = LinkAddress::new([2, 0, 0, 0, 0, 9], vlan);
    let hop = NodeHop { interface: 3, destination_mac, ..NodeHop::default() };
    (node.parse().unwrap(), Hop::of(&hop, &|index| format!("eth{index}")))
}

fn keys(seen: &Seen, map: &str) -> Vec<String> {
    let key = |key: &Key| serde_json::to_value(key).unwrap().to_string().replace('"', "");
    dump(seen, map).iter().map(|entry| key(&entry.key)).collect()
}

#[test]
fn entries_are_found_under_the_keys_that_are_shown() {
    let seen = seen();
    for map in lb_common::abi::receiver_map::ALL {
        let keys = keys(&seen, map);
        assert!(!keys.is_empty(), "{map}");
        for (key, entry) in keys.iter().zip(dump(&seen, map)) {
            assert_eq!(get(&seen, map, key).unwrap(), entry);
        }
    }
    assert_eq!(keys(&seen, "peers"), ["192.0.2.1/32", "2001:db8::/64"]);
    assert_eq!(keys(&seen, "own_addresses"), ["10.1.1.2", "fd00::2"]);
    assert_eq!(keys(&seen, "node_hops"), ["0.0.0.0", "10.1.1.3", "fd00::3"]);
    let flows = ["udp/192.0.2.1:1234/198.51.100.10:53", "tcp/192.0.2.1:1234/198.51.100.10:53"];
    assert_eq!(keys(&seen, "owned_flows"), flows);
    assert_eq!(keys(&seen, "refusals"), ["198.51.100.10:443/tcp", "[2001:db8::10]:443/udp"]);
    assert_eq!(keys(&seen, "tunnel_stats"), ["ipip"], "what counts nothing is left out");
}

#[test]
fn keys_may_be_written_otherwise_and_a_wrong_one_is_told_what_they_look_like() {
    let seen = seen();
    assert!(get(&seen, "peers", "192.0.2.1").is_ok() && get(&seen, "own_addresses", "FD00:0::2").is_ok());
    let zero = get(&seen, "tunnel_stats", "gue").unwrap();
    assert_eq!(zero.value, Decoded::Taken { packets: 0, bytes: 0 });
    assert_eq!(get(&seen, "receiver_stats", "1"), get(&seen, "receiver_stats", "unknown-peer"));
    for (map, key, mend) in [
        ("peers", "192.0.2.0/24", "prefix"),
        ("accepted", "1", "0"),
        ("receiver_stats", "x", "name or number"),
    ] {
        let told = get(&seen, map, key).unwrap_err().to_string();
        assert!(told.contains(map) && told.contains(key) && told.contains(mend), "{told}");
    }
}

#[test]
fn flows_and_hops_are_decoded() {
    let seen = seen();
    let values = |map| {
        let values: Vec<_> = dump(&seen, map).into_iter().map(|entry| entry.value).collect();
        serde_json::to_value(values).unwrap()
    };
    let expected = serde_json::json!([
        {"lastSeen": "1970-01-01T00:00:05Z", "ended": false}, {"lastSeen": "1970-01-01T00:00:08Z", "ended": true},
    ]);
    assert_eq!(values("owned_flows"), expected);
    let hop = |vlan| serde_json::json!({"interface": "eth3", "mac": "02:00:00:00:00:09", "vlan": vlan});
    assert_eq!(values("node_hops"), serde_json::json!([hop(None), hop(None), hop(Some(7))]));
}

#[test]
fn the_status_has_what_is_documented() {
    let expected = serde_json::json!({
        "abi": lb_common::abi::VERSION, "version": "0.1.0", "configDigest": "d1", "configAge": 9, "adopted": false,
        "lastError": null, "agent": {"pid": 42, "running": true, "started": "1970-01-01T00:00:00Z"},
        "interfaces": [{"name": "eth0", "mode": "native", "programId": 55}],
        "accepts": {"ipip": true, "gue": null, "vxlan": {"port": 4789, "vni": 100},
                    "segments": {"v4": 1390, "v6": 1370}},
        "tags": {"required": false, "epochs": [3]},
        "remembered": {"udp": true, "tcp": false, "entries": 2, "capacity": 65536},
        "hops": {"nodes": 2, "defaults": ["ipv4"]},
        "gateways": ["192.0.2.1/32", "2001:db8::/64"], "addresses": ["10.1.1.2", "fd00::2"],
        "taken": [
            {"kind": "ipip", "packets": 7, "bytes": 700}, {"kind": "gue", "packets": 0, "bytes": 0},
            {"kind": "vxlan", "packets": 0, "bytes": 0},
        ],
        "clamped": {"answers": 4, "interfaces": ["eth0"], "refused": [{"interface": "ppp0", "reason": "no Ethernet"}]},
        "refused": {
            "since": "1970-01-01T00:00:00Z",
            "interfaces": ["eth0"],
            "ports": [
                {"address": "2001:db8::10", "port": 443, "protocol": "udp", "refused": 3},
                {"address": "198.51.100.10", "port": 443, "protocol": "tcp", "refused": 1},
            ],
        },
        "reasons": [{"name": "unknown-peer", "packets": 3, "expected": true}],
    });
    assert_eq!(serde_json::to_value(status(&seen(), |pid| pid == 42)).unwrap(), expected);
    let off = ReceiverImage { accepted: lb_common::abi::Accepted::default(), ..seen().image };
    let off = status(&Seen { image: off, ..seen() }, |_| true);
    assert_eq!(
        (off.accepts.segments, off.clamped.interfaces, off.refused.interfaces.len()),
        (None, Vec::new(), 1)
    );
    let silent = status(&Seen { state: None, ..seen() }, |_| true);
    assert_eq!((silent.agent, silent.config_digest, silent.adopted), (None, None, None));
}
