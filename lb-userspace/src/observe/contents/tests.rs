//! Maps of a few entries, decoded.

use lb_common::abi::{
    AccessPolicy, BackendCounters, BackendEntry, BackendFlags, Control, Evidence, PoolEntry, ProbeCounters,
    Route, Selector, ServiceCounters, ServiceEntry, TableEntry, TrackingCounters, TunnelEntry,
};
use lb_common::net::Family;
use lb_common::row::{Mode, Row};
use serde_json::{Value, json};
use std::net::IpAddr;

use super::*;
use crate::compile::vips::Keys;

struct Fixed;

const CONNECTION: Connection =
    Connection { backend: 1, state: Connection::CLOSING, service: 2, hash: 7, seen: 5_000_000_000 };

impl Counts for Fixed {
    fn service(&self, index: u32) -> ServiceCounters {
        let packets = if index == 1 { 5 } else { 0 };
        ServiceCounters { packets, ..ServiceCounters::default() }
    }

    fn backend(&self, _index: u32) -> BackendCounters {
        BackendCounters::default()
    }

    fn evidence(&self, _index: u32) -> Evidence {
        Evidence::default()
    }

    fn tracking(&self) -> TrackingCounters {
        TrackingCounters { hits: 4, ..TrackingCounters::default() }
    }

    fn probes(&self) -> ProbeCounters {
        ProbeCounters { sent: 7, dropped: 1 }
    }

    fn reason(&self, reason: Reason) -> u64 {
        if reason == Reason::TooBig { 3 } else { 0 }
    }
}

/// Service 0 has pool 0 alone, whose table of 256 rows begins at row 8 and belongs to backend 0 but for a row.
fn snapshot() -> MemoryMaps {
    let mut keys = Keys::default();
    keys.address([198, 51, 100, 10].into(), true);
    keys.port([198, 51, 100, 10].into(), 6, 443, 0);
    keys.port([198, 51, 100, 10].into(), 17, 0, 2);
    keys.address("2001:db8::10".parse().unwrap(), false);
    keys.port("2001:db8::10".parse().unwrap(), 6, 443, 0);
    let (table, vips) = keys.place(6).unwrap();
    let control = Control { vips: table, k0: 0xdead_beef, k1: 0xfeed_f00d, ..Control::default() };
    let mut slab = vec![0; 128];
    slab[3] = bytemuck::cast([0, 0, 1, 0].map(|index| Row::new(index, Mode::Clean)));
    let region =
        TableEntry { current: 8, stable: 8, earlier: [8; 2], log2_rows: 8, generation: 1, reserved: [0; 2] };
    let one = ServiceEntry { select: Selector::pool(0), ..ServiceEntry::default() };
    let route = Route { flags: BackendFlags::SERVES.with(BackendFlags::VXLAN), interface: 2 };
    let backend = BackendEntry {
        route,
        port: lb_common::net::NetworkU16::new(4789),
        destination: std::net::IpAddr::from([10, 0, 0, 1]).into(),
        ..BackendEntry::default()
    };
    MemoryMaps {
        control: vec![control],
        filter: keys.filter(),
        vips,
        services: vec![one; 4],
        pools: vec![PoolEntry { table: 1, spare: 0, reserved: 0 }, bytemuck::Zeroable::zeroed()],
        tables: vec![TableEntry::default(), region],
        slab,
        backends: vec![backend, BackendEntry::default()],
        tunnels: vec![TunnelEntry::new(100, [2, 0, 0, 0, 0, 9]), TunnelEntry::default()],
        access: vec![
            AccessPolicy::default(),
            AccessPolicy { flags: AccessFlags::DENY, interval: 5, seal: 7 },
        ],
        ..MemoryMaps::default()
    }
}

fn with<T>(show: impl FnOnce(Contents) -> T) -> T {
    of(&snapshot(), show)
}

fn of<T>(snapshot: &MemoryMaps, show: impl FnOnce(Contents) -> T) -> T {
    let name = |index| format!("eth{index}");
    let prefix = AccessKey::of_prefix(1, Family::V4, IpAddr::from([192, 0, 2, 0]).into(), 24);
    show(Contents {
        snapshot,
        counts: &Fixed,
        service_stats: 4,
        backend_stats: 2,
        devices: &[2, 7],
        connections: &[(0xbeef, CONNECTION)],
        fragments: &[(5, FragmentEntry { protocol: 17, ..FragmentEntry::default() })],
        budgets: &[Budget { second: 9, used: 2 }, Budget { second: 0, used: 0 }],
        prefixes: &[(prefix, AccessFlags::DENY)],
        buckets: &[(
            SourceKey::new(1, Family::V6, "2001:db8::7".parse::<IpAddr>().unwrap().into()),
            SourceBucket { full: 9 },
        )],
        probes: &[(
            ProbeMark::of(3),
            ProbeEntry { destination: IpAddr::from([10, 0, 0, 1]).into(), interface: 2, backend: 3, pool: 4 },
        )],
        published: None,
        interface_name: &name,
    })
}

fn dump(name: &'static str) -> Vec<Value> {
    with(|contents| contents.dump(name).map(|entry| serde_json::to_value(entry).unwrap()).collect())
}

fn get(name: &'static str, key: &str) -> Result<Value, NoEntry> {
    with(|contents| contents.get(name, key).map(|entry| serde_json::to_value(entry).unwrap()))
}

#[test]
fn what_is_recorded_is_shown_under_its_key() {
    let value = json!({"service": 2, "backend": 1, "closing": true, "redirected": false, "hash": "0x0000000000000007", "seen": 5});
    let entry = json!({"key": "0x000000000000beef", "value": value});
    assert_eq!(dump(map::CONNECTIONS), std::slice::from_ref(&entry));
    assert_eq!(get(map::CONNECTIONS, "beef").unwrap(), entry);
    assert_eq!(get(map::CONNECTIONS, "0x000000000000beef").unwrap(), entry);
    assert!(get(map::CONNECTIONS, "7").unwrap_err().to_string().contains("never recorded"));
    assert!(get(map::CONNECTIONS, "web").unwrap_err().to_string().contains("hexadecimal"));
    assert_eq!(get(map::BUDGETS, "1").unwrap()["value"]["kind"], "missed");
    assert_eq!(dump(map::TRACKING_STATS)[0]["value"]["hits"], 4);
    assert_eq!(dump(map::PROBE_STATS)[0]["value"], json!({"sent": 7, "dropped": 1}));
    let value = json!({"destination": "10.0.0.1", "backend": 3, "pool": 4, "interface": "eth2"});
    assert_eq!(dump(map::PROBES), [json!({"key": "0x53500003", "value": value})]);
    assert_eq!(get(map::PROBES, "0x53500003").unwrap()["value"]["backend"], 3);
    assert!(get(map::PROBES, "0x53500004").is_err());
}

#[test]
fn access_policies_and_prefixes_are_in_words() {
    let policy = json!({"key": 1, "value": {"default": "deny", "prefixes": false, "interval": 5, "seal": "0x0000000000000007"}});
    assert_eq!(dump(map::ACCESS_POLICIES), [policy]);
    let prefix = json!({"key": "1:192.0.2.0/24", "value": {"policy": 1, "sources": "deny"}});
    assert_eq!(dump(map::ACCESS_PREFIXES), std::slice::from_ref(&prefix));
    assert_eq!(get(map::ACCESS_PREFIXES, "1:192.0.2.0/24").unwrap(), prefix);
    let bucket = json!({"key": "1:2001:db8::/64", "value": {"policy": 1, "full": 9}});
    assert_eq!(dump(map::SOURCE_BUCKETS), std::slice::from_ref(&bucket));
    assert_eq!(get(map::SOURCE_BUCKETS, "1:2001:db8::/64").unwrap(), bucket);
    assert!(
        get(map::SOURCE_BUCKETS, "2:2001:db8::/64").unwrap_err().to_string().contains("without a bucket")
    );
    assert!(get(map::ACCESS_PREFIXES, "1:192.0.2.0/25").unwrap_err().to_string().contains("no entry"));
    assert!(get(map::ACCESS_PREFIXES, "192.0.2.0/24").unwrap_err().to_string().contains("POLICY:ADDRESS"));
}

#[test]
fn port_ranges_are_shown_and_keep_their_services_in_the_dump() {
    let (vip, mut keys) = (IpAddr::from([198, 51, 100, 10]), Keys::default());
    keys.address(vip, false);
    keys.port(vip, 17, 0, 2);
    keys.range(vip, 17, (100, 199), 0);
    let lines = keys.lines().unwrap();
    let (table, vips) = keys.place(6).unwrap();
    let control = vec![Control { vips: table, ..Control::default() }];
    let services = vec![bytemuck::Zeroable::zeroed(); 4];
    let snapshot = MemoryMaps { control, vips, services, ranges: lines, ..MemoryMaps::default() };
    of(&snapshot, |contents| {
        let json = |entry| serde_json::to_value::<Entry>(entry).unwrap();
        let line = json!([{"first": 100, "last": 199, "service": 0}]);
        assert_eq!(json(contents.get(map::PORT_RANGES, "0").unwrap())["value"], line);
        let any = json(contents.get(map::VIPS, "198.51.100.10:0/udp").unwrap());
        assert_eq!((&any["value"]["service"], &any["value"]["ranges"]), (&json!(2), &Value::Null));
        let buckets = contents.dump(map::VIPS).map(json).map(|bucket| bucket.to_string()).collect::<String>();
        assert!(buckets.contains("\"198.51.100.10:ranges/udp\""), "{buckets}");
        let services: Vec<_> = contents.dump(map::SERVICES).map(|entry| json(entry)["key"].clone()).collect();
        assert_eq!(services, [0, 2]);
    });
}

#[test]
fn the_secret_is_not_shown() {
    let text = dump(map::CONTROL)[0].to_string();
    assert!(
        !text.contains("3735928559") && !text.contains("deadbeef") && text.contains("not shown"),
        "{text}"
    );
}

#[test]
fn rows_of_a_table_are_shown_also_where_they_are_zero() {
    let rows = dump(map::SLAB);
    assert_eq!(rows.len(), 64);
    assert_eq!(rows[0]["key"], 2);
    assert_eq!(rows[1]["value"][2], json!({"index": 1, "mode": "clean"}));
    assert_eq!(
        get(map::SLAB, "100").unwrap()["value"][0]["index"],
        0,
        "one that nobody names can be asked for"
    );
}

#[test]
fn services_of_zeros_are_shown_if_a_vip_names_them() {
    let keys: Vec<_> = dump(map::SERVICES).iter().map(|entry| entry["key"].clone()).collect();
    assert_eq!(keys, [0, 2]);
    let expected = json!({
        "pool": 0, "clusterTable": null, "localPool": null, "tracking": "transition", "udpOnChange": "keep", "affinity": "flow",
        "access": null, "maskV4": null, "maskV6": null, "quic": null,
    });
    assert_eq!(get(map::SERVICES, "0").unwrap(), json!({"key": 0, "value": expected}));
}

#[test]
fn what_nobody_wrote_is_not_dumped() {
    let pool = json!({"key": 0, "value": {"table": 1, "spare": 0}});
    assert_eq!(dump(map::POOLS), [pool]);
    let table = json!({"current": 8, "stable": 8, "earlier": [8, 8], "rows": 256, "generation": 1});
    assert_eq!(dump(map::TABLES), [json!({"key": 1, "value": table})]);
    assert_eq!(dump(map::BACKENDS).len(), 1);
    assert!(dump(map::BACKEND_STATS).is_empty() && dump(map::STATE).is_empty());
    let counters = json!({"packets": 5, "bytes": 0, "dropped": 0});
    assert_eq!(dump(map::SERVICE_STATS), [json!({"key": 1, "value": counters})]);
    assert!(dump(map::VIP_FILTER).iter().all(|entry| entry["value"]["bits"] != "0x0000000000000000"));
}

#[test]
fn a_tunnel_is_shown_with_its_pool_and_its_backends() {
    let tunnel = json!({"key": 0, "value": {"vni": 100, "mac": "02:00:00:00:00:09"}});
    assert_eq!(dump(map::TUNNELS), std::slice::from_ref(&tunnel));
    assert_eq!(get(map::TUNNELS, "0").unwrap(), tunnel);
    let backend = get(map::BACKENDS, "0").unwrap()["value"].clone();
    assert_eq!((&backend["encap"], &backend["port"]), (&json!("vxlan"), &json!(4789)));
    let none = get(map::BACKENDS, "1").unwrap()["value"].clone();
    assert_eq!((&none["encap"], &none["port"]), (&json!("ipip"), &Value::Null));
}

#[test]
fn vips_are_found_by_what_they_are_called() {
    let slot = |key: &str| get(map::VIPS, key).unwrap()["value"].clone();
    assert_eq!(slot("198.51.100.10:443/tcp")["service"], 0);
    assert_eq!(slot("198.51.100.10:0/UDP")["service"], 2);
    assert_eq!(slot("[2001:db8::10]:443/tcp")["vip"], "[2001:db8::10]:443/tcp");
    let address = slot("198.51.100.10");
    assert_eq!(
        (&address["local"], &address["anyPort"], &address["service"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    let bucket = get(map::VIPS, &address["bucket"].to_string()).unwrap();
    assert_eq!(bucket["value"]["inForce"], true);
    assert!(bucket["value"]["slots"].as_array().unwrap().iter().any(|slot| slot["vip"] == "198.51.100.10"));
    let slots: usize =
        dump(map::VIPS).iter().map(|entry| entry["value"]["slots"].as_array().unwrap().len()).sum();
    assert_eq!(slots, 5);
}

#[test]
fn reasons_have_names() {
    let sentence = Reason::TooBig.sentence();
    let expected = json!({"key": "too-big", "value": {"number": 6, "packets": 3, "expected": true, "sentence": sentence}});
    assert_eq!(dump(map::REASON_STATS), std::slice::from_ref(&expected));
    assert_eq!(
        (get(map::REASON_STATS, "too-big"), get(map::REASON_STATS, "6")),
        (Ok(expected.clone()), Ok(expected))
    );
    assert_eq!(get(map::REASON_STATS, "fragment").unwrap()["value"]["packets"], 0);
}

#[test]
fn devices_have_names() {
    assert_eq!(dump(map::DEVICES)[1], json!({"key": 7, "value": {"interface": "eth7"}}));
    assert!(matches!(get(map::DEVICES, "3"), Err(NoEntry::Absent { .. })));
}

#[test]
fn keys_that_are_none_are_refused_with_a_mend() {
    let told = |map, key| get(map, key).unwrap_err().to_string();
    assert_eq!(told(map::BACKENDS, "2"), "backends has no entry 2; keys end at 1");
    assert_eq!(told(map::BACKENDS, "x"), "`x` is no key of backends; use an index, a number from 0");
    assert!(told(map::VIPS, "198.51.100.10:443").contains("ADDRESS:PORT/tcp"));
    assert!(told(map::VIPS, "198.51.100.99:443/tcp").contains("see `services`"));
    assert!(told(map::STATE, "else").contains("`agent` or `record`"));
    assert!(told(map::REASON_STATS, "999").contains("reason's name"));
}
