#![expect(clippy::float_cmp, reason = "parts of a power of two are exact")]

use proptest::prelude::*;

use super::answer::{Presence, ServicePlan, ViolationKind};
use super::*;
use crate::compile::maglev;
use crate::compile::node::Member;
use crate::compile::rendezvous::{Contender, Rendezvous};
use crate::config::tests::world::{configured, example};
use crate::policy::subject::Subject;

/// Two services on pools of two clusters, of which one has no check.
const TEXT: &str = "
apiVersion: spillway/v1
clusterSet: {id: x, secretFile: hash.key}
gateway: {interfaces: [eth0]}
clusters: [{name: eu, capacity: {newConnPerSec: 900}}, {name: us, capacity: {newConnPerSec: 500}}]
services:
- {name: shop/web, vips: [198.51.100.10], ports: [{port: 443}], pools: [web-eu, web-us]}
- {name: shop/api, vips: [198.51.100.11], ports: [{port: 443}], pools: [web-us], tracking: none}
pools:
- {name: web-eu, cluster: eu, weight: 90, rows: 1024, health: open, endpoints: [{address: 192.0.2.1}, {address: 192.0.2.2, weight: 3}, {address: 192.0.2.3}]}
- {name: web-us, cluster: us, weight: 10, rows: 256, endpoints: [{address: 192.0.2.9}, {address: 192.0.2.10}]}
healthChecks: [{name: open, type: tcp, port: 443}]
";

fn well(text: &str) -> World {
    World::all_well(configured(text))
}

fn fail(subject: &str) -> Change {
    Change::Fail(subject.parse().unwrap())
}

fn drain(subject: &str) -> Change {
    Change::Drain(subject.parse().unwrap())
}

fn set(setting: &str) -> Change {
    Change::Set(setting.parse().unwrap())
}

fn planned(world: &World, changes: &[Change]) -> Plan {
    let after = world.clone().changed(changes).unwrap();
    plan(world, &after, &Demand::new()).unwrap()
}

fn of(plan: &Plan, number: usize) -> &ServicePlan {
    &plan.services[number]
}

/// Moved flows, broken, lost.
fn fates(service: &ServicePlan) -> [f64; 3] {
    [service.flows.moved, service.broken, service.lost]
}

fn assert_close(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-12, "{one} and {other}");
}

/// The node of each flow, one for each pair of rows, by the tables' own functions.
fn nodes(config: &Config, weights: [u16; 2], members: [&[(u8, u32)]; 2]) -> Vec<u8> {
    let pools = &config.pools;
    let contender = |pool: usize| Contender {
        cluster: &pools[pool].cluster,
        pool: &pools[pool].name,
        weight: weights[pool],
    };
    let clusters = Rendezvous::default().table(&[contender(0), contender(1)]);
    let table = |pool: usize| {
        let member = |&(last, weight): &(u8, u32)| {
            let address = std::net::IpAddr::from([192, 0, 2, last]).into();
            Member { address, port: 0, weight }
        };
        let members_of = members[pool];
        let table = maglev::table(&members_of.iter().map(member).collect::<Vec<_>>(), pools[pool].rows);
        table.into_iter().map(|owner| members_of[usize::from(owner)].0).collect::<Vec<_>>()
    };
    let tables = [table(0), table(1)];
    let flow = |cluster: u16, row: usize| {
        let table = &tables[usize::from(cluster)];
        table[row * table.len() / 1024]
    };
    clusters
        .iter()
        .flat_map(|cluster| (0..1024).map(move |row| (*cluster, row)))
        .map(|(one, row)| flow(one, row))
        .collect()
}

#[test]
fn every_flow_is_counted_where_its_rows_lead_it() {
    let world = well(TEXT);
    let (eu, us) = ([(1, 1), (2, 3), (3, 1)], [(9, 1), (10, 1)]);
    let before = nodes(&world.config, [90, 10], [&eu, &us]);
    let plan =
        planned(&world, &[fail("web-eu/192.0.2.1"), drain("web-us/192.0.2.9"), set("web-us.weight=30")]);
    let after = nodes(&world.config, [90, 30], [&eu[1..], &us[1..]]);
    #[expect(clippy::cast_precision_loss, reason = "4,096 times 1,024 flows")]
    let part = |is: &dyn Fn(u8, u8) -> bool| {
        before.iter().zip(&after).filter(|(was, now)| is(**was, **now)).count() as f64 / before.len() as f64
    };
    let service = of(&plan, 0);
    assert_close(service.flows.moved, part(&|was, now| was != now));
    assert_close(service.broken, part(&|was, _| was == 1));
    assert_close(service.lost, 0.0);
    let grown = |node: u8| (part(&|_, now| now == node) - part(&|was, _| was == node)).max(0.0);
    assert_close(service.flows.least, [1, 2, 3, 9, 10].map(grown).iter().sum());
    assert_eq!(service.rows.least, 614);
    assert!(service.rows.moved >= 614 && service.flows.moved > 0.2, "{service:?}");
}

#[test]
fn nothing_moves_where_nothing_changes() {
    let plan = planned(&well(TEXT), &[]);
    for service in &plan.services {
        assert_eq!((fates(service), service.rows.moved), ([0.0; 3], 0));
    }
    assert!(plan.violations.is_empty());
}

#[test]
fn open_flows_stay_with_a_node_that_serves_if_they_are_tracked() {
    let plan = planned(&well(TEXT), &[drain("web-us/192.0.2.9")]);
    assert_eq!(fates(of(&plan, 1)), [0.5, 0.5, 0.0], "shop/api tracks nothing");
    assert_eq!(of(&plan, 0).broken.total_cmp(&0.0), std::cmp::Ordering::Equal);
    assert!(of(&plan, 0).flows.moved > 0.04);
}

#[test]
fn what_fails_unseen_keeps_its_flows_and_loses_them() {
    let plan = planned(&well(TEXT), &[fail("web-us/192.0.2.10")]);
    assert_eq!(fates(of(&plan, 1)), [0.0, 0.5, 0.5]);
    let told: Vec<_> = plan.violations.iter().map(|one| (one.kind, one.subject.as_str())).collect();
    assert_eq!(told, [(ViolationKind::LostFlows, "shop/web"), (ViolationKind::LostFlows, "shop/api")]);
    assert!(plan.violations[1].reason.starts_with("50.0 % of its new flows"), "{:?}", plan.violations);
}

#[test]
fn what_fails_unseen_is_not_left_for_the_next_loss() {
    let text = TEXT.replace("pools: [web-eu, web-us]}", "pools: [web-eu, web-us], failoverPolicy: near}")
        + "failoverPolicies: [{name: near, priorities: [[eu], [us]], resilience: {model: N+1}}]\n";
    let world = well(&text);
    assert!(planned(&world, &[]).violations.is_empty());
    // Nobody checks the cluster that stands by.
    let plan = planned(&world, &[fail("us")]);
    assert!(plan.violations.iter().any(|one| one.kind == ViolationKind::Resilience), "{:?}", plan.violations);
}

#[test]
fn what_is_beyond_a_target_spills_and_is_no_overload() {
    let text = TEXT
        .replace("[web-us]", "[api-us]")
        .replace(
            "healthChecks",
            "- {name: api-us, cluster: us, endpoints: [{address: 192.0.2.11}]}\nhealthChecks",
        )
        .replace("pools: [web-eu, web-us]}", "pools: [web-eu, web-us], failoverPolicy: near}")
        + "failoverPolicies: [{name: near, priorities: [[eu], [us]], spill: {mode: both}, resilience: {model: N+1}}]\n";
    let world = well(&text);
    let ask = |web, api| {
        let demand = Demand::from([("shop/web".to_owned(), web), ("shop/api".to_owned(), api)]);
        plan(&world, &world, &demand).unwrap()
    };
    let after = |plan: &Plan| plan.clusters.iter().map(|cluster| cluster.after).collect::<Vec<_>>();
    // 720 fit under the target, and 400 less what the other service has.
    let asked = ask(1000, 100);
    assert_eq!(after(&asked), [720, 381]);
    assert!(!asked.violations.iter().any(|one| one.kind == ViolationKind::OverCapacity));
    let breach = &asked.violations[0];
    assert_eq!(
        (breach.kind, breach.subject.as_str()),
        (ViolationKind::Resilience, "shop/web"),
        "without eu it is too much"
    );
    assert_eq!(after(&ask(700, 0)), [700]);
}

#[test]
fn a_lost_cluster_leaves_its_flows_to_the_other_or_to_nobody() {
    let plan = planned(&well(TEXT), &[fail("eu")]);
    let web = of(&plan, 0);
    assert_eq!((web.rows.moved, web.rows.least), (3686, 3686));
    assert_close(web.broken, 3686.0 / 4096.0);
    assert_eq!(web.pools.iter().map(|pool| pool.after).collect::<Vec<_>>(), [0.0, 1.0]);
    assert!(plan.violations.is_empty(), "{:?}", plan.violations);
    // A check finds it, and there is nobody else.
    let alone = TEXT.replace("pools: [web-us]", "pools: [web-eu]");
    let plan = planned(&well(&alone), &[fail("eu")]);
    let kinds: Vec<_> = plan.violations.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [ViolationKind::LostFlows, ViolationKind::NoEndpoint]);
}

#[test]
fn panic_loses_what_goes_to_the_dead() {
    let world = World::all_well(example("active-standby.yaml"));
    let three =
        |pool: &str, net: &str| (1..4).map(|last| fail(&format!("{pool}/{net}.2{last}"))).collect::<Vec<_>>();
    let changes = [three("web-eu", "192.0.2"), three("web-us", "203.0.113")].concat();
    let plan = planned(&world, &changes);
    let service = of(&plan, 0);
    assert_eq!(service.pools.iter().map(|pool| pool.after).collect::<Vec<_>>(), [0.5, 0.5]);
    assert_close(service.lost, 0.75);
    assert_close(service.broken, 0.75);
}

#[test]
fn without_panic_and_without_anybody_there_is_no_table() {
    let policy = "failoverPolicies: [{name: closed, priorities: [[eu], [us]], panicThreshold: 0}]\nservices:";
    let closed = TEXT
        .replace("services:", policy)
        .replace("[web-eu, web-us]", "[web-eu, web-us], failoverPolicy: closed");
    let world = well(&closed.replace("rows: 256,", "rows: 256, health: open,"));
    let plan = planned(&world, &[fail("eu"), fail("us")]);
    assert_eq!(fates(of(&plan, 0)), [1.0, 1.0, 1.0]);
    assert_eq!(of(&plan, 0).pools.iter().map(|pool| pool.after).collect::<Vec<_>>(), [0.0, 0.0]);
    // And back again nothing of what is open breaks, for there is nothing.
    let after = world.clone().changed(&[fail("eu"), fail("us")]).unwrap();
    let back = super::plan(&after, &world, &Demand::new()).unwrap();
    assert_eq!(fates(of(&back, 0)), [1.0, 0.0, 0.0]);
}

#[test]
fn a_chain_holds_what_moves_and_what_is_put_off_is_over() {
    let config = example("chain.yaml");
    assert!(!config.cluster_set.roll_delay.is_zero());
    let pool = &config.pools[0];
    let drained = format!("{}/{}", pool.name, pool.endpoints[0].address);
    let plan = planned(&World::all_well(config), &[drain(&drained)]);
    assert!(of(&plan, 0).flows.moved > 0.1, "{plan:?}");
    assert_eq!(of(&plan, 0).broken, 0.0);
}

#[test]
fn a_drained_cluster_of_which_one_stands_by_moves_and_breaks_nothing() {
    let world = World::all_well(example("active-standby.yaml"));
    let plan = planned(&world, &[drain("eu-1")]);
    assert_eq!((of(&plan, 0).rows.moved, fates(of(&plan, 0))), (4096, [1.0, 0.0, 0.0]));
}

#[test]
fn services_come_and_go_and_what_is_renamed_stays_where_it_is() {
    let (old, new) = (well(TEXT), well(&TEXT.replace("shop/api", "shop/new").replace("web-us", "us-web")));
    let plan = plan(&old, &new, &Demand::new()).unwrap();
    let told: Vec<_> = plan.services.iter().map(|one| (one.name.as_str(), one.presence)).collect();
    let wanted =
        [("shop/web", Presence::Kept), ("shop/new", Presence::Added), ("shop/api", Presence::Removed)];
    assert_eq!(told, wanted);
    assert_eq!(fates(of(&plan, 0)), [0.0; 3], "the nodes are the same");
    assert_eq!((fates(of(&plan, 1)), of(&plan, 2).broken), ([0.0; 3], 1.0));
    assert_eq!(of(&plan, 2).resilience, None);
    let names: Vec<_> = of(&plan, 0).pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["web-eu", "us-web", "web-us"]);
}

#[test]
fn with_another_hash_flows_stay_by_chance_alone() {
    let (old, new) = (well(TEXT), well(&TEXT.replace("tracking: none", "affinity: client")));
    let plan = plan(&old, &new, &Demand::new()).unwrap();
    assert!(of(&plan, 1).rehashed && !of(&plan, 0).rehashed);
    assert_eq!(fates(of(&plan, 1)), [0.5, 0.5, 0.0]);
    assert_eq!((of(&plan, 1).rows.moved, of(&plan, 1).flows.least), (0, 0.0));
}

#[test]
fn more_rows_in_a_table_are_compared_part_by_part() {
    let (old, new) = (well(TEXT), well(&TEXT.replace("rows: 256", "rows: 512")));
    let plan = plan(&old, &new, &Demand::new()).unwrap();
    let web = of(&plan, 1);
    assert!((0.1..0.9).contains(&web.flows.moved) && web.flows.least < 0.01, "{web:?}");
}

#[test]
fn loads_are_the_shares_of_what_is_asked_for() {
    let world = well(TEXT);
    let after = world.clone().changed(&[set("web-us.weight=90")]).unwrap();
    let demand = Demand::from([("shop/web".into(), 1000), ("shop/api".into(), 100)]);
    let plan = plan(&world, &after, &demand).unwrap();
    let loads: Vec<_> = plan.clusters.iter().map(|one| (one.name.as_str(), one.before, one.after)).collect();
    assert_eq!(loads, [("eu", 900, 500), ("us", 201, 600)]);
    let [over] = plan.violations.as_slice() else { panic!("{:?}", plan.violations) };
    assert_eq!((over.kind, over.subject.as_str()), (ViolationKind::OverCapacity, "us"));
    assert_eq!(over.reason, "gets 600 new connections per second and can take 500");
}

#[test]
fn whatever_is_wrong_with_changes_is_told_at_once() {
    let changes = [
        fail("ue"),
        drain("web-eu/192.0.2.9"),
        set("web.weight=1"),
        set("web-us.weight=0"),
        set("web-us/192.0.2.9.weight=0"),
        set("web-us/192.0.2.10.weight=0"),
    ];
    let wrong = well(TEXT).changed(&changes).unwrap_err();
    let begins = [
        "there is no cluster \"ue\"; did you mean",
        "there is no endpoint of pool web-eu \"192.0.2.9\"",
        "there is no pool \"web\"",
        "all pools of service shop/api have weight 0",
        "all endpoints of pool web-us have weight 0",
    ];
    assert_eq!(wrong.len(), begins.len(), "{wrong:?}");
    for (reason, begin) in wrong.iter().zip(begins) {
        assert!(reason.starts_with(begin), "{reason}");
    }
}

#[test]
fn settings_name_a_pool_or_an_endpoint() {
    let setting =
        |text: &str| text.parse::<change::Setting>().map(|one| (one.pool, one.endpoint, one.weight));
    assert_eq!(setting("web.weight=20"), Ok(("web".into(), None, 20)));
    let address = Some([192, 0, 2, 1].into());
    assert_eq!(setting("web/192.0.2.1.weight=0"), Ok(("web".into(), address, 0)));
    for wrong in [
        "web=20",
        "web.weigth=2",
        ".weight=1",
        "web.weight=65536",
        "web.weight=-1",
        "web/x.weight=1",
        "web.weight",
    ] {
        assert!(setting(wrong).is_err(), "{wrong}");
    }
}

/// Some change of one of the subjects, or of a weight.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    let subjects = ["eu", "web-eu/192.0.2.1", "web-eu/192.0.2.2", "web-us/192.0.2.9"]
        .map(|text| text.parse::<Subject>().unwrap());
    let weights = ["web-eu.weight", "web-us.weight", "web-eu/192.0.2.3.weight"];
    let change = prop_oneof![
        prop::sample::select(subjects.to_vec()).prop_map(Change::Fail),
        prop::sample::select(subjects.to_vec()).prop_map(Change::Drain),
        (prop::sample::select(weights.to_vec()), 1_u16..200)
            .prop_map(|(key, weight)| set(&format!("{key}={weight}"))),
    ];
    prop::collection::vec(change, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn parts_add_up_whatever_changes(changes in changes()) {
        let world = well(TEXT);
        let one = planned(&world, &changes);
        for service in &one.services {
            prop_assert!(service.flows.least <= service.flows.moved && service.rows.least <= service.rows.moved);
            let sums = service.pools.iter().fold([0.0, 0.0], |[before, after], pool| [before + pool.before, after + pool.after]);
            prop_assert_eq!(sums, [1.0, 1.0]);
            prop_assert!([service.flows.moved, service.broken, service.lost].iter().all(|part| (0.0..=1.0).contains(part)));
            let fails = changes.iter().any(|change| matches!(change, Change::Fail(_)));
            prop_assert!(fails || service.lost <= 0.0 && (service.broken <= 0.0 || service.name == "shop/api"));
        }
        let [one, again] = [one, planned(&world, &changes)].map(|plan| serde_json::to_string(&plan).unwrap());
        prop_assert_eq!(one, again);
    }

    /// Back again moves what went, row by row.
    #[test]
    fn the_way_back_is_as_long(changes in changes()) {
        let world = well(TEXT);
        let after = world.clone().changed(&changes).unwrap();
        let there = plan(&world, &after, &Demand::new()).unwrap();
        let back = plan(&after, &world, &Demand::new()).unwrap();
        for (there, back) in there.services.iter().zip(&back.services) {
            prop_assert_eq!((there.rows, there.flows), (back.rows, back.flows));
        }
    }
}
