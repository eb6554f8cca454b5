//! Many services: how long the first tables take, and the next ones.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lb_tests::lab::Agent;

use super::gateway_world::{Text, World, binary};

const SERVICES: u16 = 1000;
const POOLS: u8 = 10;
const NODES: u8 = 100;

/// A configuration of many services, each on all of the pools, whose nodes are addresses of one link.
fn many(config: &Text, weight: u16) -> String {
    let text = config.yaml();
    let (head, _) = text.split_once("services:").unwrap();
    let clusters = (1..POOLS).map(|pool| format!("- name: far-{pool}\n")).collect::<String>();
    let mut text = format!("{head}{clusters}services:\n");
    let pools: Vec<_> = (0..POOLS).map(|pool| format!("pool-{pool}")).collect();
    for service in 0..SERVICES {
        let [high, low] = service.to_be_bytes();
        let pools = pools.join(", ");
        writeln!(
            text,
            "- {{name: test/s{service}, vips: [203.0.{high}.{low}], ports: [{{port: 80}}], pools: [{pools}]}}"
        )
        .unwrap();
    }
    text.push_str("pools:\n");
    for pool in 0..POOLS {
        let endpoint = |node| format!("{{address: 10.60.{pool}.{node}, weight: {}}}", 1 + node % 5);
        let endpoints: Vec<_> = (1..=NODES).map(endpoint).collect();
        let endpoints = endpoints.join(", ");
        let weight = if pool == 0 { weight } else { 100 };
        let cluster = if pool == 0 { "eu-1".to_owned() } else { format!("far-{pool}") };
        writeln!(
            text,
            "- {{name: pool-{pool}, cluster: {cluster}, weight: {weight}, endpoints: [{endpoints}]}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn a_thousand_services_on_ten_pools() {
    let world = World::new(1);
    world.gateway.ip("route add 10.60.0.0/16 via 10.50.1.2").unwrap();
    world.write(&many(&world.config(), 100));
    let started = Instant::now();
    let mut agent = Agent::start(&world.gateway, &binary(), &world.config_path()).unwrap();
    world.eventually("it balances", &mut agent, |_| world.view().filter(|view| !view.linked().is_empty()));
    println!("from the start of the process to balancing: {:?}", started.elapsed());
    let before = world.view().unwrap().published.agent.configured;
    let started = Instant::now();
    world.write(&many(&world.config(), 50));
    let after = world.eventually("the changed weights are in force", &mut agent, |_| {
        world.view().filter(|view| view.published.agent.configured != before)
    });
    let took = started.elapsed();
        println!("{line}");
    }
    println!("from a changed weight in the file to all tables: {took:?}");
    assert_eq!(after.published.record.services.len(), usize::from(SERVICES));
    // Far more than it takes, for a slow machine without optimisation.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
