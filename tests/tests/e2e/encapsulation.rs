//! Frames made by hand go in by a wire and come out exactly as the oracle says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lb_tests::fixture::{Effort, Frames, Oracle, Outcome, Verdict, World, hex};
use lb_tests::lab::{FrameSocket, is_root};

use crate::gateway::Gateway;
use crate::wire::{self, MTU, Wire};

const PATIENCE: Duration = Duration::from_secs(2);
/// Generated frames that go over the wire.
const GENERATED: usize = 3000;
/// Clients of each VIP and port.
const CLIENTS: u8 = 12;
const ETHERNET: usize = 14;

/// The last byte of each VIP, and its ports; the last two VIPs take any.
const SERVICES: [(u8, u8, &[u16]); 4] =
    [(10, 0x10, &[443, 80]), (53, 0x53, &[53]), (60, 0x60, &[53, 50_000]), (70, 0x70, &[53, 50_000])];

/// A packet to each VIP and port, from several clients.
fn ordinary() -> Vec<Vec<u8>> {
    let ports = SERVICES.iter().flat_map(|(v4, v6, ports)| ports.iter().map(move |port| (*v4, *v6, *port)));
    let all = (0..CLIENTS).flat_map(|client| ports.clone().map(move |service| (client, service)));
    all.flat_map(|(client, (v4, v6, port))| [ordinary_v4(client, v4, port), ordinary_v6(client, v6, port)])
        .collect()
}

fn ordinary_v4(client: u8, vip: u8, port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
    segment(builder.ipv4([203, 0, 113, client], [198, 51, 100, vip], 64), client, port)
}

fn ordinary_v6(client: u8, vip: u8, port: u16) -> Vec<u8> {
    let client_address = [0x20, 1, 0xd, 0xb8, 0, 0xc, client, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let vip = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, vip];
    segment(PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6(client_address, vip, 64), client, port)
}

/// TCP to the ports of the web, UDP to the others.
fn segment(builder: PacketBuilderStep<IpHeaders>, client: u8, port: u16) -> Vec<u8> {
    let (mut frame, source_port) = (Vec::new(), 40_000 + u16::from(client));
    let written = match port {
        443 | 80 => builder.tcp(source_port, port, 7, 64_000).syn().write(&mut frame, &[]),
        _ => builder.udp(source_port, port).write(&mut frame, b"question"),
    };
    written.unwrap();
    frame
}

/// A frame and what the oracle says of it.
type Answer = (Vec<u8>, Outcome);

/// What the oracle says about ordinary and generated frames; `None`: there is no Python.
fn asked(gateway: &Gateway) -> Result<Option<Vec<Answer>>> {
    let (file, effort) = (wire::write_world(gateway)?, Effort::from_env(GENERATED)?);
    let generated = Frames::new(effort.seed, &World::read(&file)?)?.filter(|frame| fits(frame));
    let frames: Vec<_> = ordinary().into_iter().chain(generated.take(effort.frames)).collect();
    let Some(oracle) = Oracle::ask(&file, frames.into_iter())? else { return Ok(None) };
    oracle.collect::<Result<_>>().map(Some)
}

/// Whether what leaves can be seen at the other end. Padding leaves as it came, and can make a frame too long that would
/// not be without; a tag that an answer has is taken off before a socket sees it. Such frames are sent too: what comes
/// after them may be fragments of the same packet.
fn seen(outcome: &Outcome) -> bool {
    fits(&outcome.bytes) && !(outcome.reason.is_some() && tagged(&outcome.bytes))
}

/// Whether the wire carries a frame: an Ethernet header at least, and its MTU at most.
fn fits(frame: &[u8]) -> bool {
    (ETHERNET..=ETHERNET + usize::from(MTU)).contains(&frame.len())
}

fn tagged(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x81, 0] | [0x88, 0xa8]))
}

/// Sends all frames by one arm; what is to be sent on must come out of `eth0`, and what is answered by that arm, byte
/// for byte.
fn exchange(wire: &Wire, arm: &str, frames: &[(Vec<u8>, Outcome)]) -> Result<BTreeMap<String, u64>> {
    let output = FrameSocket::open(&wire.peer, "eth0")?;
    // One socket for either way where both are one interface: a second one, seldom read, would fill up and lose answers.
    let other = if arm == "eth0" { None } else { Some(FrameSocket::open(&wire.peer, arm)?) };
    let input = other.as_ref().unwrap_or(&output);
    let mut dropped = BTreeMap::new();
    for (frame, expected) in frames {
        input.send(frame).with_context(|| hex(frame))?;
        if let Some(reason) = &expected.reason {
            *dropped.entry(reason.clone()).or_insert(0) += 1;
        }
        if expected.verdict == Verdict::Transmit && seen(expected) {
            // An answer goes back to where the question came from.
            let way = if expected.reason.is_some() { input } else { &output };
            let came = way.receive(PATIENCE, |came| came == expected.bytes)?;
            assert!(came.is_some(), "{} did not come out as {expected:?}", hex(frame));
        }
    }
    Ok(dropped)
}

/// Who is sent what: backends, and the protocol number of what the outer header carries.
fn ways(frames: &[(Vec<u8>, Outcome)]) -> BTreeSet<(IpAddr, u8)> {
    let sent = frames.iter().filter(|(_, outcome)| outcome.verdict == Verdict::Transmit);
    let carried = |bytes: &[u8]| bytes[ETHERNET + if bytes[12..14] == [8, 0] { 9 } else { 6 }];
    sent.filter_map(|(_, outcome)| Some((outcome.backend?, carried(&outcome.bytes)))).collect()
}

fn balance(interfaces: &[&str], arm: &str) -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (wire, mut gateway) = (Wire::new()?, Gateway::new()?);
    let Some(frames) = asked(&gateway)? else {
        println!("SKIP: python3 is not installed");
        return Ok(());
    };
    // Each of eight nodes got IPv4 (4) and IPv6 (41), and each of four UDP (17) with either.
    assert_eq!(ways(&frames).len(), 20, "{:?}", ways(&frames));
    gateway.configure(interfaces, &wire::config(&wire::world())?)?;
    gateway.start(&wire.gateway)?;
    let dropped = exchange(&wire, arm, &frames)?;
    let mut counted = gateway.reasons()?;
    counted.retain(|_, packets| *packets > 0);
    assert_eq!(counted, dropped);
    let services = gateway.ask(&["services"])?;
    let packets = services.as_array().into_iter().flatten().filter_map(|service| service["packets"].as_u64());
    let sent_on = |outcome: &Outcome| outcome.verdict == Verdict::Transmit && outcome.reason.is_none();
    let sent = frames.iter().filter(|(_, outcome)| sent_on(outcome)).count();
    assert_eq!(packets.sum::<u64>(), sent as u64);
    Ok(())
}

#[test]
fn frames_come_out_exactly_as_the_oracle_says() -> Result<()> {
    balance(&["eth0"], "eth0")
}

#[test]
fn frames_that_come_by_another_interface_leave_by_the_routes() -> Result<()> {
    balance(&["eth0", "eth1"], "eth1")
}
