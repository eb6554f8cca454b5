//! Random histories of change against flows that must not notice; no privilege, no kernel.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;
use lb_tests::fixture::Effort;
use lb_tests::model::{Outcome, Rules, run, sizes};
use lb_userspace::reconcile::MemoryMaps;

/// Histories that a run tries unless told otherwise.
const USUAL: usize = 1000;
/// Histories within which a broken rule must show.
const ENOUGH: usize = 600;

fn play(seed: u64, rules: Rules) -> Outcome {
    run(seed, rules, &mut MemoryMaps::new(&sizes()))
}

#[test]
fn no_established_connection_is_led_away() -> Result<()> {
    let effort = Effort::histories_from_env(USUAL)?;
    let (next, packets, established) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= effort.frames as u64 {
                return None;
            }
            let outcome = play(effort.seed.wrapping_add(number), Rules::default());
            packets.fetch_add(outcome.packets, Ordering::Relaxed);
            established.fetch_add(outcome.established, Ordering::Relaxed);
            if outcome.broken.is_some() {
                return outcome.broken;
            }
        }
    };
    let broken = thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().find_map(|worker| worker.join().expect("it does not panic"))
    });
    let (packets, established) = (packets.into_inner(), established.into_inner());
    println!("{packets} packets, {established} connections established");
    assert_eq!(broken, None);
    assert!(established > effort.frames as u64 * 10, "a history without connections proves nothing");
    Ok(())
}

/// The first of some histories that breaks under these rules.
fn breaks(rules: Rules) -> Option<u64> {
    (1..=ENOUGH as u64).find(|seed| play(*seed, rules).broken.is_some())
}

#[test]
fn sweeps_that_see_nothing_break_connections() {
    assert_ne!(breaks(Rules { blind_sweeps: true, ..Rules::default() }), None);
}

#[test]
fn windows_that_are_too_short_break_connections() {
    assert_ne!(breaks(Rules { half_windows: true, ..Rules::default() }), None);
}
