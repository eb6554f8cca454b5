//! The same under `tracking: chain`: two gateways, receivers, frames between them.

use anyhow::Result;
use lb_tests::fixture::Effort;
use lb_tests::model::chain::{Counts, Fault, run};

use super::in_parallel;

/// Histories that a run tries unless told otherwise.
const USUAL: usize = 200;
/// Histories within which a fault must show.
const ENOUGH: u64 = 200;

#[test]
fn whoever_has_a_connection_gets_its_packets() -> Result<()> {
    let effort = Effort::histories_from_env(USUAL)?;
    let outcomes = in_parallel(effort, |seed| {
        let outcome = run(seed, Fault::None);
        (outcome.counts, outcome.broken)
    });
    let mut counts = Counts::default();
    outcomes.0.iter().for_each(|one| counts.add(one));
    println!("{counts:?}");
    assert_eq!(outcomes.1, None);
    let histories = effort.frames as u64;
    assert!(counts.asked > histories * 10, "a history in which nobody is asked proves nothing");
    Ok(())
}

/// Whether a fault shows: a history breaks that else does not.
fn shows(fault: Fault) -> bool {
    let breaks = |seed, fault| run(seed, fault).broken.is_some();
    (1..=ENOUGH).any(|seed| breaks(seed, fault) && !breaks(seed, Fault::None))
}

#[test]
fn rows_that_remember_one_owner_break_connections() {
    assert!(shows(Fault::Forgetful));
}

#[test]
fn rows_that_remember_nobody_break_connections() {
    assert!(shows(Fault::Silent));
}

#[test]
fn rows_that_take_the_older_owner_for_the_newer_break_connections() {
    assert!(shows(Fault::Swapped));
}

#[test]
fn a_gateway_without_the_others_past_breaks_connections() {
    assert!(shows(Fault::Fresh));
}

#[test]
fn receivers_that_do_not_ask_their_sockets_break_connections() {
    assert!(shows(Fault::Deaf));
}
