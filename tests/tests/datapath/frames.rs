use anyhow::{Context as _, Result};
use lb_ebpf::verdict::Action;
use lb_tests::fixture::{Effort, Frames, Host, INTERFACE, Ran, Verdict, World, cases, hex};
use lb_tests::lab::is_root;
use lb_userspace::datapath::packet_log::PacketLog;

use crate::program::{Counters, Program};

/// Runs a frame through both; what they make of it must be the same.
fn compare(program: &mut Program, host: &Host, frame: &[u8]) -> Result<Ran> {
    let ran = host.run(frame);
    let (action, bytes, counted) = program.run(frame)?;
    assert_eq!((action, hex(&bytes)), (ran.action, hex(&ran.bytes)), "{}", hex(frame));
    assert_eq!(counted, Counters::of(&ran.counts), "{}", hex(frame));
    Ok(ran)
}

#[test]
fn what_logs_packets_does_with_them_as_the_oracle_says() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let world = World::load()?;
    every_case(&mut Program::load(&world, INTERFACE, PacketLog::On)?, &Host::new(&world, INTERFACE)?)
}

/// One program for both: to verify it takes an emulated machine longer than all frames.
#[test]
fn every_frame_of_the_fixtures_and_every_generated_one_comes_out_alike() -> Result<()> {
    if !is_root() {
        println!("SKIP: not root");
        return Ok(());
    }
    let world = World::load()?;
    let (mut program, host) =
        (Program::load(&world, INTERFACE, PacketLog::Off)?, Host::new(&world, INTERFACE)?);
    every_case(&mut program, &host)?;
    every_generated(&mut program, &host, &world)
}

/// Every frame of the fixtures.
fn every_case(program: &mut Program, host: &Host) -> Result<()> {
    let mut ran = 0;
    for case in cases()?.iter().filter(|case| case.input.len() >= Program::SHORTEST) {
        let (action, bytes, counted) = program.run(&case.input).with_context(|| case.about.clone())?;
        let verdict = match action {
            Action::Pass => Verdict::Pass,
            Action::Drop => Verdict::Drop,
            Action::Transmit | Action::Redirect(_) => Verdict::Transmit,
        };
        let expected = &case.expected;
        assert_eq!((verdict, hex(&bytes)), (expected.verdict, hex(&expected.bytes)), "{}", case.about);
        // That these are the counts the oracle wants is the host tier's business.
        assert_eq!(counted, Counters::of(&host.run(&case.input).counts), "{}", case.about);
        ran += 1;
    }
    assert!(ran > 100, "{ran} frames");
    Ok(())
}

/// Frames of the generator through both.
fn every_generated(program: &mut Program, host: &Host, world: &World) -> Result<()> {
    let effort = Effort::from_env(Effort::USUAL)?;
    let mut sent = 0;
    let frames = Frames::new(effort.seed, world)?.filter(|frame| frame.len() >= Program::SHORTEST);
    for frame in frames.take(effort.frames) {
        let ran = compare(program, host, &frame).with_context(|| hex(&frame))?;
        sent += usize::from(ran.action == Action::Transmit);
    }
    println!("{sent} of {} sent", effort.frames);
    // Some 54 in a hundred are. Of a few hundred frames, fewer than a half may well be by chance; fewer
    // than a third, never.
    assert!(sent * 3 > effort.frames, "{sent} of {} sent", effort.frames);
    Ok(())
}
