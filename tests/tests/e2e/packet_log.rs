//! Packets that are not sent, in the agent's log: with the switch each is a line, without it none is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use lb_common::abi::map;
use lb_tests::lab::{EventKind, FrameSocket, is_root};

use crate::gateway::Gateway;
use crate::wire::{self, Wire};

const SWITCH: &[&str] = &["--log-packets"];
/// Lines a second that the agent says at most.
const LINES: u64 = 100;
/// How long the program's lines may be on their way.
const SOON: Duration = Duration::from_millis(500);

/// UDP to a port of a VIP that no service has.
fn stray_v4() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([203, 0, 113, 9], [198, 51, 100, 53], 64)
        .udp(40_000, 54);
    written(|frame| builder.write(frame, b"question"))
}

/// A TCP SYN to a port of a VIP that no service has.
fn stray_v6() -> Vec<u8> {
    let (client, vip) = ([0x20, 1, 0xd, 0xb8, 0, 0xc], [0x20, 1, 0xd, 0xb8, 0, 0]);
    let address = |net: [u8; 6], host| [net.as_slice(), &[0; 9], &[host]].concat().try_into().unwrap();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(address(client, 1), address(vip, 0x53), 64);
    written(|frame| builder.tcp(40_001, 22, 7, 64_000).syn().write(frame, &[]))
}

/// The answer to a ping that a VIP never sent; it has no ports.
fn pong() -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([203, 0, 113, 9], [198, 51, 100, 53], 64);
    written(|frame| builder.icmpv4_echo_reply(1, 1).write(frame, &[0; 8]))
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame).unwrap();
    frame
}

/// What the log says about a packet that no service takes.
fn line(protocol: Option<&str>, source: &str, destination: &str) -> EventKind {
    let (source, destination) = (source.to_owned(), destination.to_owned());
    let protocol = protocol.map(str::to_owned);
    EventKind::Packet { reason: "no-service".to_owned(), protocol, source, destination }
}

/// All the lines about packets.
fn lines(gateway: &Gateway) -> Vec<EventKind> {
    let kinds = gateway.events().into_iter().map(|event| event.kind);
    kinds.filter(|kind| matches!(kind, EventKind::Packet { .. })).collect()
}

/// Sends the three, and waits until they are counted beside those before.
fn send_strays(gateway: &mut Gateway, socket: &FrameSocket) -> Result<()> {
    let counted = |gateway: &Gateway| Some(gateway.reasons().ok()?.get("no-service").copied().unwrap_or(0));
    let before = counted(gateway).context("no counters")?;
    for frame in [stray_v4(), stray_v6(), pong()] {
        socket.send(&frame)?;
    }
    gateway.until("three packets counted", |gateway| (counted(gateway)? >= before + 3).then_some(()))
}

fn stage() -> Result<Option<(Wire, Gateway)>> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(None);
    }
    let (wire, gateway) = (Wire::new()?, Gateway::new()?);
    gateway.configure(&["eth0"], &wire::config(&wire::world())?)?;
    Ok(Some((wire, gateway)))
}

#[test]
fn a_packet_that_is_dropped_is_logged_with_the_switch_alone() -> Result<()> {
    let Some((wire, mut gateway)) = stage()? else { return Ok(()) };
    let socket = FrameSocket::open(&wire.peer, "eth0")?;
    let (client, vip) = ("203.0.113.9", "198.51.100.53");
    let expected = [
        line(Some("udp"), &format!("{client}:40000"), &format!("{vip}:54")),
        line(Some("tcp"), "[2001:db8:c::1]:40001", "[2001:db8::53]:22"),
        line(None, client, vip),
    ];
    for options in [SWITCH, &[], SWITCH] {
        gateway.start_with(&wire.gateway, options)?;
        assert_eq!(
            gateway.ask(&["maps", "list"])?.as_array().map(Vec::len),
            Some(map::ALL.len()),
            "{options:?}"
        );
        send_strays(&mut gateway, &socket)?;
        if options.is_empty() {
            thread::sleep(SOON);
            assert_eq!(lines(&gateway), []);
        } else {
            gateway.until("three lines", |gateway| (lines(gateway).len() >= 3).then_some(()))?;
            assert_eq!(lines(&gateway), expected);
        }
        gateway.kill()?;
    }
    Ok(())
}

/// Sends until told to stop.
fn flood(socket: &FrameSocket, stop: &AtomicBool) -> Result<()> {
    let frame = stray_v4();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..50 {
            socket.send(&frame)?;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Takes a service out of the file, and waits until that is in force.
fn change(gateway: &mut Gateway) -> Result<()> {
    let mut world = wire::world();
    world["services"].as_array_mut().and_then(Vec::pop).context("no services")?;
    let before = gateway.applied();
    gateway.configure(&["eth0"], &wire::config(&world)?)?;
    gateway.until("the change is in force", |gateway| (gateway.applied() > before).then_some(()))
}

#[test]
fn a_flood_costs_the_agent_a_bounded_number_of_lines() -> Result<()> {
    let Some((wire, mut gateway)) = stage()? else { return Ok(()) };
    let socket = FrameSocket::open(&wire.peer, "eth0")?;
    let start = Instant::now();
    gateway.start_with(&wire.gateway, SWITCH)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let sender = scope.spawn(|| flood(&socket, &stop));
        let changed = change(&mut gateway);
        thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        changed?;
        sender.join().ok().context("the sender")?
    })?;
    let (said, seconds) = (lines(&gateway).len() as u64, start.elapsed().as_secs() + 1);
    let counted = gateway.reasons()?["no-service"];
    println!("{counted} packets, {said} lines in {seconds} s");
    assert!(said > LINES, "the first second's lines and more, not {said}");
    assert!(said <= LINES * seconds && said * 10 < counted, "{said} lines of {counted} packets");
    Ok(())
}
