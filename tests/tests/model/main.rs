//! Random histories of change against flows that must not notice; no privilege, no kernel.

mod chain;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;
use lb_tests::fixture::Effort;
use lb_tests::model::{Break, Outcome, Rules, run, sizes};
use lb_userspace::reconcile::MemoryMaps;

/// Histories that a run tries unless told otherwise.
const USUAL: usize = 1000;
/// Histories within which a broken rule must show.
const ENOUGH: usize = 600;

fn play(seed: u64, rules: Rules) -> Outcome {
    run(seed, rules, &mut MemoryMaps::new(&sizes()))
}

/// Plays the histories of an effort, two at a time, until one breaks: what they came to, and the one that broke.
fn in_parallel<T: Send>(
    effort: Effort,
    play: impl Fn(u64) -> (T, Option<Break>) + Sync,
) -> (Vec<T>, Option<Break>) {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut all = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= effort.frames as u64 {
                return (all, None);
            }
            let (outcome, broken) = play(effort.seed.wrapping_add(number));
            all.push(outcome);
            if broken.is_some() {
                return (all, broken);
            }
        }
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        let [first, second] = workers.map(|worker| worker.join().expect("it does not panic"));
        ([first.0, second.0].into_iter().flatten().collect(), first.1.or(second.1))
    })
}

#[test]
fn no_established_connection_is_led_away() -> Result<()> {
    let effort = Effort::histories_from_env(USUAL)?;
    let (counts, broken) = in_parallel(effort, |seed| {
        let outcome = play(seed, Rules::default());
        ((outcome.packets, outcome.established), outcome.broken)
    });
    let packets: u64 = counts.iter().map(|(packets, _)| packets).sum();
    let established: u64 = counts.iter().map(|(_, established)| established).sum();
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
