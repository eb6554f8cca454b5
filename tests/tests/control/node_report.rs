//! What `spillway node` tells gateways, and whom it tells nothing.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use etherparse::PacketBuilder;
use lb_tests::lab::{FrameSocket, VIP_V4, fetch, fetch_from};
use serde_json::{Value, json};

use super::node_world::{GATEWAY, NODE, World};

const PORT: u16 = 6082;
/// An address of the gateway's link that is not in the file.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 9);

/// A file with a report and more keys.
fn file(port: u16, more: &[(&str, Value)]) -> Value {
    let mut file = World::file();
    file["report"] = json!({"port": port});
    more.iter().for_each(|(key, value)| file[*key] = value.clone());
    file
}

/// What the gateway is told.
fn report(world: &World, port: u16) -> Result<Value> {
    let answer = fetch(&world.gateway, SocketAddr::new(NODE.into(), port), "/v1/report")?;
    serde_json::from_str(&answer).with_context(|| answer.clone())
}

/// Sends out of the node's eth0 what its kernel sends where nothing listens.
fn refuse(world: &World, address: Ipv4Addr) -> Result<()> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 60, 0, 2], [2, 0, 0, 60, 0, 1]);
    let reset = link.ipv4(address.octets(), [203, 0, 113, 7], 64).tcp(443, 40_000, 0, 0).rst().ack(8);
    let mut frame = Vec::new();
    reset.write(&mut frame, b"")?;
    FrameSocket::open(&world.node, "eth0")?.send(&frame)
}

/// Waits until the report says that the VIP's port refused so many.
fn becomes(world: &mut World, port: u16, refused: u64) -> Result<Value> {
    let expected = json!([
        {"address": VIP_V4, "port": 443, "protocol": "tcp", "refused": refused, "connections": 0},
    ]);
    let World { gateway, agent, .. } = world;
    agent.until("another report", |_| {
        let answer = fetch(gateway, SocketAddr::new(NODE.into(), port), "/v1/report").ok()?;
        let report: Value = serde_json::from_str(&answer).ok()?;
        (report["services"] == expected).then_some(report)
    })
}

#[test]
fn gateways_are_told_and_nobody_else() -> Result<()> {
    let mut world = World::new()?;
    world.gateway.ip(&format!("address add {STRANGER}/24 dev eth0"))?;
    world.start(&file(PORT, &[]))?;
    let empty = report(&world, PORT)?;
    assert_eq!((&empty["complete"], &empty["services"]), (&json!(true), &json!([])), "{empty}");
    for address in [VIP_V4, VIP_V4, NODE] {
        refuse(&world, address)?;
    }
    let full = becomes(&mut world, PORT, 2)?;
    assert_eq!(full["since"], empty["since"]);

    let to = SocketAddr::new(NODE.into(), PORT);
    let from = |address: Ipv4Addr| fetch_from(&world.gateway, SocketAddr::new(address.into(), 0), to);
    let told = from(GATEWAY)?;
    ensure!(told.contains("/v1/report"), "{told}");
    let nothing = from(STRANGER).err().context("a stranger is told something")?;
    ensure!(!format!("{nothing:#}").contains("connect"), "it was closed, not refused: {nothing:#}");
    world.agent.configure(&file(PORT, &[("gateways", json!([GATEWAY, STRANGER]))]))?;
    let World { gateway, agent, .. } = &mut world;
    agent.until("the stranger is a gateway", |_| {
        // The kernel chooses the port.
        fetch_from(gateway, SocketAddr::new(STRANGER.into(), 0), to).ok()
    })?;
    Ok(())
}

#[test]
fn the_file_says_where_and_whether_and_the_count_survives_the_agent() -> Result<()> {
    let mut world = World::new()?;
    // Another program then, which counts alone.
    world.start(&file(PORT, &[("clampMss", json!(false))]))?;
    refuse(&world, VIP_V4)?;
    let first = becomes(&mut world, PORT, 1)?;
    world.agent.configure(&file(PORT + 1, &[]))?;
    becomes(&mut world, PORT + 1, 1)?;
    assert!(report(&world, PORT).is_err());
    world.agent.stop();
    refuse(&world, VIP_V4)?;
    world.start(&file(PORT, &[]))?;
    let again = becomes(&mut world, PORT, 2)?;
    assert_eq!(again["since"], first["since"]);
    let status = world.agent.status()?;
    assert_eq!(status["refused"]["since"], first["since"]);
    assert_eq!(status["refused"]["ports"][0]["refused"], 2, "{status}");
    world.agent.configure(&World::file())?;
    let World { gateway, agent, .. } = &mut world;
    let to = SocketAddr::new(NODE.into(), PORT);
    agent.until("it is off", |_| fetch(gateway, to, "/v1/report").is_err().then_some(()))
}

#[test]
fn a_port_that_is_taken_is_told_and_taken_once_it_is_free() -> Result<()> {
    let mut world = World::new()?;
    let taken = world.node.enter(|| Ok(std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
    world.start(&file(PORT, &[]))?;
    let error = world.agent.status()?["lastError"].to_string();
    ensure!(error.contains("port 6082") && error.contains("node.report.port"), "{error}");
    drop(taken);
    world.hang_up()?;
    world.agent.until("it is served", |agent| agent.status().ok()?["lastError"].is_null().then_some(()))?;
    report(&world, PORT).map(drop)
}
