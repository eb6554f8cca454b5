//! Whole answers, over maps that were compiled and never loaded.

mod world;

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::abi::{BackendFlags, Evidence, HANDSHAKE_BUCKETS, LinkAddress};
use serde_json::json;
use time::Duration;

use super::*;
use crate::config::model::ClusterState;
use crate::evidence::Moment;
use crate::observe::published::{ClusterLoad, Loads};
use crate::observe::published::{Reported, Reports};
use crate::policy::desired::{Hold, MemberState};
use world::{NOW, World};

#[test]
fn status_has_the_documented_shape() {
    let expected = json!({
        "version": "0.1.0",
        "abi": lb_common::abi::VERSION,
        "generation": 1,
        "configDigest": "d1",
        "configAge": 90,
        "interfaces": [{"name": "eth0", "mode": "native", "programId": 55}],
        "adopted": true,
        "tracked": {"entries": 15, "capacity": 64, "refused": 5, "refusedNew": 2, "recorded": 30, "evicted": 5, "hits": 90},
        "rows": {"clean": 256 + 256 + 4096, "moving": 0, "residue": 0, "chained": 0, "forgotten": 3},
        "lastError": "it is late",
        "agent": {"pid": 42, "running": true, "started": "1969-12-31T23:58:20Z"},
        "appliedAge": 5,
        "probes": {"interfaces": ["eth0"], "sent": 7, "dropped": 1},
        "reasons": [
            {"name": "no-service", "packets": 7, "expected": true},
            {"name": "missing-entry", "packets": 1, "expected": false},
        ],
    });
    assert_eq!(World::new().seen(|seen| serde_json::to_value(status(&seen, true)).unwrap()), expected);
}

#[test]
fn what_nodes_report_is_shown_where_they_are_asked() {
    let mut world = World::new();
    let endpoint: IpAddr = [10, 0, 0, 2].into();
    world.published.reports = Some(Reports {
        asked: 3,
        reporting: 2,
        silent: BTreeMap::from([(endpoint, "timed out".into())]),
        backends: BTreeMap::from([(
            "web-eu".into(),
            BTreeMap::from([(endpoint, Reported { refused: 7, connections: 2 })]),
        )]),
        refusing: Vec::new(),
    });
    let view = world.seen(|seen| serde_json::to_value(status(&seen, true)).unwrap());
    let silent = json!([{"address": "10.0.0.2", "reason": "timed out"}]);
    assert_eq!(view["reports"], json!({"asked": 3, "reporting": 2, "silent": silent}));
    let backends = world.backends();
    assert_eq!((&backends[1]["refused"], &backends[1]["connections"]), (&json!(7), &json!(2)));
    assert!(backends[0].get("refused").is_none(), "another endpoint");
    assert!(backends[3].get("refused").is_none(), "another pool");
}

#[test]
fn tables_in_quarantine_have_no_rows() {
    let mut world = World::new();
    let table = world.published.record.pools["web-us"].table;
    world.published.record.tables.get_mut(&table).unwrap().gone = Some(2);
    assert_eq!(world.seen(|seen| status(&seen, false)).rows.clean, 256 + 4096);
}

#[test]
fn services_have_the_documented_shape() {
    let world = World::new();
    let services = world.seen(|seen| serde_json::to_value(services(&seen)).unwrap());
    // 4,096 rows at 90 to 10: exactly 3,686 and 410.
    let [eu, us] = [3686.0 / 4096.0, 410.0 / 4096.0];
    let indices: BTreeMap<_, _> =
        world.published.record.services.iter().map(|(name, s)| (name.as_str(), s.index)).collect();
    let count = |base: u32, name: &str| base + indices[name];
    let expected = json!([
        {
            "name": "shop/both",
            "vips": ["198.51.100.1"],
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "last": null}],
            "affinity": "flow",
            "tracking": "transition",
            "access": null,
            "pools": [
                {"name": "web-eu", "cluster": "eu", "weight": 90, "priority": null, "panic": false, "held": null, "keptOut": null, "ceiling": null, "share": eu},
                {"name": "web-us", "cluster": "us", "weight": 10, "priority": null, "panic": false, "held": null, "keptOut": null, "ceiling": null, "share": us},
            ],
            "demand": null, "packets": count(100, "shop/both"), "bytes": count(1000, "shop/both"), "dropped": count(10, "shop/both"),
        },
        {
            "name": "shop/eu",
            "vips": ["198.51.100.2"],
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "last": null}],
            "affinity": "client",
            "tracking": "transition",
            "access": null,
            "pools": [{"name": "web-eu", "cluster": "eu", "weight": 90, "priority": null, "panic": false, "held": null, "keptOut": null, "ceiling": null, "share": 1.0}],
            "demand": null,
            "packets": count(100, "shop/eu"), "bytes": count(1000, "shop/eu"), "dropped": count(10, "shop/eu"),
        },
    ]);
    assert_eq!(services, expected);
}

#[test]
fn clusters_have_the_documented_shape() {
    let mut world = World::new();
    world.backend("web-eu", 1).state = MemberState::Up;
    world.backend("web-eu", 2).state = MemberState::Down;
    world.backend("web-us", 9).state = MemberState::Draining;
    world.published.record.clusters.get_mut("us").unwrap().state = ClusterState::Draining;
    let clusters = world.seen(|seen| clusters(&seen));
    // One service sends all to eu, the other 3,686 of 4,096 rows.
    let share: f64 = clusters.iter().map(|cluster| cluster.share).sum();
    assert!((share - 1.0).abs() < 1e-9 && (clusters[1].share - 410.0 / 8192.0).abs() < 1e-9);
    let mut value = serde_json::to_value(&clusters).unwrap();
    value.as_array_mut().unwrap().iter_mut().for_each(|cluster| cluster["share"] = json!(0));
    let expected = json!([
        {"name": "eu", "state": "active", "healthy": 1, "total": 3, "unknown": 1, "draining": 0, "ejected": 0, "down": 1,
         "held": null, "keptOut": null, "share": 0, "demand": null, "capacity": null, "utilization": null, "source": "file", "age": 90},
        {"name": "us", "state": "draining", "healthy": 0, "total": 1, "unknown": 0, "draining": 1, "ejected": 0, "down": 0,
         "held": null, "keptOut": null, "share": 0, "demand": null, "capacity": null, "utilization": null, "source": "file", "age": 90},
    ]);
    assert_eq!(value, expected);
}

#[test]
fn what_is_held_back_is_shown_with_the_time_left() {
    let mut world = World::new();
    let hold = |perceived, until| Some(Hold { health: 100, perceived, until });
    let pools = &mut world.published.record.services.get_mut("shop/both").unwrap().pools;
    (pools[0].hold, pools[1].hold) = (hold(40, Some(27_001)), hold(0, None));
    let services = world.seen(|seen| serde_json::to_value(services(&seen)).unwrap());
    let shown = |service: usize, pool: usize| services[service]["pools"][pool]["held"].clone();
    assert_eq!(shown(0, 0), json!({"health": 100, "perceived": 40, "nextStep": 23}));
    assert_eq!(shown(0, 1), json!({"health": 100, "perceived": 0, "nextStep": null}));
    assert_eq!(shown(1, 0), json!(null));
    world.published.record.services.get_mut("shop/eu").unwrap().pools[0].hold = hold(20, Some(4_000));
    let clusters = world.seen(|seen| serde_json::to_value(clusters(&seen)).unwrap());
    let (least, by_hand) = (json!({"health": 100, "perceived": 20, "nextStep": 0}), shown(0, 1));
    assert_eq!([&clusters[0]["held"], &clusters[1]["held"]], [&least, &by_hand]);
}

#[test]
fn what_is_asked_for_is_shown_beside_what_can_be_taken() {
    let mut world = World::new();
    let load = |demand, capacity| ClusterLoad { demand, capacity };
    let clusters = [("eu".to_owned(), load(159, Some(200))), ("us".to_owned(), load(141, None))];
    let services = [("shop/both".to_owned(), 300)].into();
    world.published.loads = Some(Loads { services, clusters: clusters.into() });
    world.published.record.services.get_mut("shop/both").unwrap().pools[0].ceiling = Some(53);
    let services = world.seen(|seen| serde_json::to_value(super::services(&seen)).unwrap());
    assert_eq!((&services[0]["demand"], &services[1]["demand"]), (&json!(300), &json!(null)));
    let ceilings = [0, 1].map(|pool| services[0]["pools"][pool]["ceiling"].clone());
    assert_eq!(ceilings, [json!(53), json!(null)]);
    let clusters = world.seen(|seen| serde_json::to_value(super::clusters(&seen)).unwrap());
    let shown =
        |cluster: &serde_json::Value| ["demand", "capacity", "utilization"].map(|key| cluster[key].clone());
    assert_eq!(shown(&clusters[0]), [json!(159), json!(200), json!(0.795)]);
    assert_eq!(shown(&clusters[1]), [json!(141), json!(null), json!(null)]);
}

#[test]
fn backends_have_the_documented_shape() {
    let mut world = World::new();
    let backend = world.backend("web-eu", 2);
    (backend.state, backend.reason, backend.last_change) = (MemberState::Up, "200 OK".into(), 1_500);
    let index = u32::from(backend.index);
    let entry = world.image.backends.get_mut(&index).unwrap();
    (entry.route.interface, entry.mtu) = (2, 1500);
    entry.destination_mac = LinkAddress::new([2, 0, 0, 0, 0, 9], 0);
    let backends = world.backends();
    assert_eq!(backends.len(), 4);
    let expected = json!({
        "pool": "web-eu",
        "cluster": "eu",
        "address": "10.0.0.2",
        "state": "up",
        "serving": true,
        "weight": 3,
        "weightPercent": 100,
        "rows": 192,
        "share": 0.75,
        "expectedShare": 0.75,
        "packets": 50 + index,
        "bytes": 500 + index,
        "lastChange": "1970-01-01T00:00:01.5Z",
        "reason": "200 OK",
        "encap": "ipip",
        "via": "nodes",
        "nextHop": {"interface": "eth2", "mac": "02:00:00:00:00:09", "vlan": null, "mtu": 1500},
    });
    assert_eq!(backends[1], expected);
    let weightless = &backends[2];
    assert_eq!((&weightless["rows"], &weightless["expectedShare"]), (&json!(0), &json!(0.0)));
    assert_eq!(weightless["state"], "unknown");
    assert!(
        weightless["lastChange"].is_null()
            && weightless["reason"].is_null()
            && weightless["nextHop"].is_null()
    );
}

#[test]
fn one_that_went_down_does_not_serve_and_expects_nothing() {
    let mut world = World::new();
    let backend = world.backend("web-eu", 2);
    backend.state = MemberState::Down;
    let index = u32::from(backend.index);
    let entry = world.image.backends.get_mut(&index).unwrap();
    entry.route.flags = entry.route.flags.without(BackendFlags::SERVES);
    let backends = world.backends();
    assert_eq!((&backends[1]["serving"], &backends[1]["expectedShare"]), (&json!(false), &json!(0.0)));
    assert_eq!(backends[0]["expectedShare"], json!(1.0));
    assert_eq!(backends[1]["rows"], 192, "the table is the one before the verdict");
}

#[test]
fn one_that_is_up_and_does_not_serve_says_why() {
    let mut world = World::new();
    let backend = world.backend("web-eu", 2);
    (backend.state, backend.reason) = (MemberState::Up, "200 OK".into());
    let index = u32::from(backend.index);
    let flags = &mut world.image.backends.get_mut(&index).unwrap().route.flags;
    *flags = flags.without(BackendFlags::SERVES);
    assert_eq!(world.backends()[1]["reason"], "200 OK; its next hop is not known");
    assert!(world.backends()[0]["reason"].is_null());
}

#[test]
fn what_is_in_quarantine_is_not_shown() {
    let mut world = World::new();
    world.backend("web-eu", 1).gone = Some(2);
    world.published.record.services.get_mut("shop/eu").unwrap().gone = Some(2);
    assert_eq!(world.backends().len(), 3);
    assert_eq!(world.seen(|seen| services(&seen)).len(), 1);
    world.published.record.pools.get_mut("web-us").unwrap().gone = Some(2);
    assert_eq!(world.backends().len(), 2);
}

#[test]
fn a_clock_set_back_makes_no_negative_age() {
    let mut world = World::new();
    world.published.agent.configured = NOW + Duration::hours(1);
    assert_eq!(world.seen(|seen| status(&seen, false)).config_age, 0);
}

#[test]
fn rates_have_the_documented_shape() {
    let world = World::new();
    let record = &world.published.record;
    let counted = |evidence: Evidence| move |_: u32| evidence.into();
    let grown = Evidence { begun: 40, completed: 30, retried: 10, resets: 8, ..Evidence::default() };
    let earlier = Moment::of(record, counted(Evidence::default()));
    let later = Moment::of(record, counted(grown));
    let rates = rates(&earlier, &later, std::time::Duration::from_secs(2), 4096);
    let value = serde_json::to_value(&rates).unwrap();
    // One flow of 16 was followed for two seconds.
    let of = |backends: u32| {
        json!({"packetsPerSec": 0.0, "bytesPerSec": 0.0, "newFlowsPerSec": f64::from(backends * 40 * 16 / 2),
               "activeFlows": 0.0, "handshakes": backends * 40, "failedHandshakes": 0.25,
               "clientResets": 0.2, "handshakeTimes": vec![0; HANDSHAKE_BUCKETS], "medianHandshakeMs": null, "p99HandshakeMs": null})
    };
    let named = |names: serde_json::Value, backends| {
        let mut one = of(backends);
        one.as_object_mut().unwrap().extend(names.as_object().unwrap().clone());
        one
    };
    assert_eq!((&value["seconds"], &value["sampled"]), (&json!(2.0), &json!(0.0625)));
    assert_eq!(value["clusters"], json!([named(json!({"name": "eu"}), 3), named(json!({"name": "us"}), 1)]));
    let us = json!({"pool": "web-us", "cluster": "us", "address": "10.0.0.9"});
    assert_eq!(value["backends"].as_array().unwrap().len(), 4);
    assert_eq!(value["backends"][3], named(us, 1));
}
