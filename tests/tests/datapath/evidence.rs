//! What the loaded program notes of flows that it follows.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use etherparse::PacketBuilder;
use lb_common::abi::{Evidence, Features};
use lb_ebpf::evidence::SOONEST;
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{INTERFACE, World};
use lb_tests::lab::{WorkDir, is_root};
use lb_userspace::compile::{Cache, Ledger, compile};
use lb_userspace::datapath::load::Loaded;
use lb_userspace::datapath::packet_log::PacketLog;
use lb_userspace::datapath::pins::Pins;
use lb_userspace::evidence::Reading;
use lb_userspace::policy::desired::Desired;
use lb_userspace::reconcile;

use crate::program::test_run;

/// The program over a world in which so many flows are followed.
struct Program {
    loaded: Loaded,
    // Dropped last: the pins are in it.
    _work: WorkDir,
}

impl Program {
    fn load(features: Features, one_in: Option<u32>) -> Result<Self> {
        let work = WorkDir::new()?;
        let sizes = World::sizes();
        let mut loaded = Loaded::load(&Pins::new(&work.bpf()), &sizes, PacketLog::Off, features)?;
        let desired = Desired { evidence: one_in, ..World::load()?.desired(INTERFACE)? };
        let image = compile(&desired, &mut Ledger::new(sizes), &mut Cache::default(), 0)?;
        reconcile::reconcile(&image, &mut loaded.maps)?;
        Ok(Self { loaded, _work: work })
    }

    fn send(&mut self, port: u16, kind: Kind) -> Result<()> {
        if matches!(kind, Kind::SynAgain) {
            sleep(Duration::from_nanos(1 << SOONEST));
        }
        assert_eq!(test_run(&mut self.loaded, &frame(port, kind))?.0, Action::Transmit);
        Ok(())
    }

    /// Of all backends.
    fn evidence(&self) -> Evidence {
        let of = |index| Reading::from(self.loaded.maps.evidence(index));
        (0..World::sizes().backends).map(of).sum::<Reading>().evidence
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Syn,
    /// Late enough to be sent by a client that has waited.
    SynAgain,
    Ack,
    Rst,
}

fn frame(port: u16, kind: Kind) -> Vec<u8> {
    let client = Ipv4Addr::new(192, 0, 2, 77).octets();
    let packet = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(client, [198, 51, 100, 10], 64);
    let packet = packet.tcp(port, 443, 1, 1024);
    let packet = match kind {
        Kind::Syn | Kind::SynAgain => packet.syn(),
        Kind::Ack => packet.ack(1),
        Kind::Rst => packet.rst(),
    };
    let mut frame = Vec::new();
    packet.write(&mut frame, &[]).expect("a vector takes it");
    frame
}

#[test]
fn handshakes_are_followed_in_the_kernel() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let mut program = Program::load(Features::EVIDENCE, Some(1))?;
    for (port, kinds) in [
        (40_000, [Kind::Syn, Kind::Ack, Kind::Ack]),
        (40_001, [Kind::Syn, Kind::SynAgain, Kind::SynAgain]),
        (40_002, [Kind::Syn, Kind::SynAgain, Kind::Ack]),
        (40_005, [Kind::Syn, Kind::Syn, Kind::Ack]),
        (40_003, [Kind::Syn, Kind::Ack, Kind::Rst]),
        (40_004, [Kind::Syn, Kind::Rst, Kind::Rst]),
    ] {
        kinds.into_iter().try_for_each(|kind| program.send(port, kind))?;
    }
    let Evidence { begun, completed, retried, recovered, abandoned, resets, active, times, .. } =
        program.evidence();
    assert_eq!((begun, active), (6, 6));
    assert_eq!((completed, retried, recovered, abandoned), (3, 2, 1, 1));
    // The second RST of the last one is of a flow that has ended.
    assert_eq!((resets, times.iter().sum::<u64>()), (2, 4));
    Ok(())
}

#[test]
fn as_many_are_followed_as_is_asked_and_none_where_nobody_asks() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let begun = |features, one_in| -> Result<u64> {
        let mut program = Program::load(features, one_in)?;
        (30_000..32_000).try_for_each(|port| program.send(port, Kind::Syn))?;
        Ok(program.evidence().begun)
    };
    let eighth = begun(Features::EVIDENCE, Some(8))?;
    assert!((180..=320).contains(&eighth), "{eighth} of 2,000");
    assert_eq!(begun(Features::EVIDENCE, None)?, 0, "the program could, and nobody asks");
    assert_eq!(begun(Features::default(), Some(1))?, 0, "the program cannot");
    Ok(())
}
