//! The agent is killed and started again under load: nobody but the agent notices.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use etherparse::PacketBuilder;
use lb_tests::lab::{FrameSocket, is_root};

use crate::gateway::Gateway;
use crate::wire::{self, Wire};

/// Time between two packets.
const PACE: Duration = Duration::from_millis(1);
/// How long each state is watched.
const WATCHED: Duration = Duration::from_millis(500);
/// After this long nothing more comes out.
const QUIET: Duration = Duration::from_millis(300);
/// What begins the payload of ours.
const MARK: &[u8] = b"spillway-restart";

/// A UDP packet with a number, to the service whose nodes have IPv6 addresses.
fn numbered(number: u32) -> Vec<u8> {
    let client = [203, 0, number.to_be_bytes()[2], number.to_be_bytes()[3]];
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(client, [198, 51, 100, 53], 64);
    let mut frame = Vec::new();
    builder.udp(40_000, 53).write(&mut frame, &[MARK, &number.to_be_bytes()].concat()).unwrap();
    frame
}

/// The number in an encapsulated packet; `None`: it is something else, or what we sent ourselves.
fn number(frame: &[u8]) -> Option<u32> {
    const OUTER_V6: usize = 14 + 40;
    let payload = frame.get(OUTER_V6 + 20 + 8..)?;
    (frame[12..14] == [0x86, 0xdd]).then_some(())?;
    Some(u32::from_be_bytes(payload.strip_prefix(MARK)?.try_into().ok()?))
}

/// Sends until told to stop; how many.
fn send(socket: &FrameSocket, stop: &AtomicBool) -> Result<u32> {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        socket.send(&numbered(sent))?;
        sent += 1;
        thread::sleep(PACE);
    }
    Ok(sent)
}

/// Listens until it is quiet after the stop; the numbers that came out.
fn listen(socket: &FrameSocket, stop: &AtomicBool) -> Result<BTreeSet<u32>> {
    let mut came = BTreeSet::new();
    loop {
        match socket.receive(QUIET, |frame| number(frame).is_some())? {
            Some(frame) => came.extend(number(&frame)),
            None if stop.load(Ordering::Relaxed) => return Ok(came),
            None => {}
        }
    }
}

/// Kills the agent, looks at what is left, starts another.
fn restart(gateway: &mut Gateway, wire: &Wire) -> Result<()> {
    let (before, tables) = (gateway.ask(&["status"])?, gateway.tables()?);
    assert_eq!(before["adopted"], false);
    gateway.kill()?;
    let orphaned = gateway.ask(&["status"])?;
    assert_eq!(orphaned["agent"]["running"], false, "{orphaned}");
    assert_eq!(orphaned["interfaces"], before["interfaces"]);
    thread::sleep(WATCHED);
    gateway.start(&wire.gateway)?;
    let after = gateway.ask(&["status"])?;
    assert_eq!((&after["adopted"], &after["agent"]["running"]), (&true.into(), &true.into()), "{after}");
    assert_eq!(after["generation"], before["generation"]);
    assert_ne!(after["interfaces"], before["interfaces"], "the same program as before");
    for (name, words) in gateway.tables()? {
        assert!(words == tables[name], "map {name} has changed");
    }
    thread::sleep(WATCHED);
    Ok(())
}

#[test]
fn no_packet_is_lost_when_the_agent_is_killed_and_another_takes_over() -> Result<()> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return Ok(());
    }
    let (wire, mut gateway) = (Wire::new()?, Gateway::new()?);
    gateway.configure(&["eth0"], &wire::config(&wire::world())?)?;
    gateway.start(&wire.gateway)?;
    let sockets = (FrameSocket::open(&wire.peer, "eth0")?, FrameSocket::open(&wire.peer, "eth0")?);
    let stop = AtomicBool::new(false);
    let (sent, came) = thread::scope(|scope| -> Result<_> {
        let sender = scope.spawn(|| send(&sockets.0, &stop));
        let listener = scope.spawn(|| listen(&sockets.1, &stop));
        thread::sleep(WATCHED);
        let restarted = restart(&mut gateway, &wire);
        stop.store(true, Ordering::Relaxed);
        let (sent, came) = (sender.join(), listener.join());
        restarted?;
        Ok((sent.ok().context("the sender")??, came.ok().context("the listener")??))
    })?;
    let lost: Vec<u32> = (0..sent).filter(|number| !came.contains(number)).collect();
    println!("{sent} packets sent, {} lost", lost.len());
    assert!(sent > 500, "only {sent} packets were sent");
    assert!(lost.is_empty(), "{} of {sent} packets lost: {lost:?}", lost.len());
    Ok(())
}
