//! What measurements lead to.

use super::super::analysis::{Measurement, Outcome, Run};
use super::super::progress::{Cause, Phase, Progress};
use super::super::verbs::Verb;
use super::{MINUTE, World, analysis, measurement, usual};
use crate::config::model::Analysis;
use crate::evidence::Metric;

#[test]
fn an_analysis_that_fails_or_cannot_be_made_takes_it_back_at_once() {
    for (outcome, times) in [(Outcome::Failed, 1), (Outcome::Error, 5)] {
        let mut world = World::new(usual());
        world.say(Verb::Start, 0).unwrap();
        world.advance(10 * MINUTE);
        let at = (0..times).map(|_| world.measure(outcome, 11 * MINUTE)).collect::<Vec<_>>();
        assert_eq!(at.last(), Some(&(2, Some(0), "aborted")));
        assert!(at[..times - 1].iter().all(|at| *at == (2, Some(10), "analysing")));
        assert!(world.progress.rehearsed && world.progress.reason.contains("hs-ok"));
    }
}

#[test]
fn what_says_nothing_waits_for_somebody_who_judges() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    world.advance(10 * MINUTE);
    assert_eq!(world.measure(Outcome::Inconclusive, 11 * MINUTE), (2, Some(10), "paused"));
    assert_eq!(world.progress.phase, Phase::Paused(Cause::Inconclusive));
    assert_eq!(world.advance(1000 * MINUTE), (2, Some(10), "paused"));
    assert_eq!(world.say(Verb::Resume, 1000 * MINUTE).unwrap(), (2, Some(10), "analysing"), "asked anew");
    world.measure(Outcome::Inconclusive, 1001 * MINUTE);
    assert_eq!(world.say(Verb::Promote, 1002 * MINUTE).unwrap(), (4, Some(50), "paused"), "judged good");
}

#[test]
fn measurements_are_counted_as_argo_does() {
    use Outcome::{Error as E, Failed as F, Inconclusive as I, Successful as S};
    let rules = |failure_limit, consecutive_error_limit, inconclusive_limit| Analysis {
        failure_limit,
        consecutive_error_limit,
        inconclusive_limit,
        ..analysis()
    };
    // What is measured, and what comes of it at the last one.
    let vectors: [(Analysis, &[Outcome], Option<Outcome>); 12] = [
        (rules(0, 4, 0), &[S, S], None),
        (rules(0, 4, 0), &[S, S, S], Some(S)),
        (rules(0, 4, 0), &[F], Some(F)),
        (rules(1, 4, 0), &[F, S], None),
        (rules(1, 4, 0), &[F, S, S], Some(S)),
        (rules(1, 4, 0), &[S, F, F], Some(F)),
        (rules(0, 4, 0), &[S, I], Some(I)),
        (rules(0, 4, 1), &[I, S, S], Some(S)),
        (rules(0, 0, 0), &[E], Some(E)),
        (rules(0, 1, 0), &[E, S, E, S, E, E], Some(E)),
        // An error is no measurement.
        (rules(0, 2, 0), &[E, E, S, E, E, S], None),
        (rules(0, 2, 0), &[E, E, S, E, E, S, S], Some(S)),
    ];
    for (analysis, measured, expected) in vectors {
        let mut run = Run::begin(&analysis, 0);
        let verdicts: Vec<_> =
            measured.iter().map(|outcome| run.take(measurement(*outcome), &analysis, 0)).collect();
        let (last, before) = verdicts.split_last().unwrap();
        assert_eq!((*last, before.iter().all(Option::is_none)), (expected, true), "{measured:?}");
    }
}

#[test]
fn a_measurement_needs_a_number_and_flows_enough() {
    use lb_common::abi::{BackendCounters, Evidence};
    let success = "< 0.01".parse().unwrap();
    let of = |completed, retried| {
        let evidence = Evidence { completed, retried, ..Evidence::default() };
        let reading = crate::evidence::Reading { counters: BackendCounters::default(), evidence };
        Measurement::of_flows(Metric::FailedHandshakeRatio, &reading, 200, success)
    };
    assert_eq!(of(0, 0).outcome, Outcome::Inconclusive);
    assert_eq!(of(0, 199).outcome, Outcome::Inconclusive, "too few to judge by");
    assert_eq!(of(199, 1).outcome, Outcome::Successful);
    let failed = of(198, 2);
    assert_eq!(failed.outcome, Outcome::Failed);
    assert_eq!(failed.found, "failed_handshake_ratio is 0.01, to be < 0.01, of 200 flows");
    assert_eq!(Measurement::of("x", Some(f64::NAN), success).outcome, Outcome::Inconclusive);
}

#[test]
fn what_is_remembered_is_read_as_it_was_written() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    world.advance(10 * MINUTE);
    world.measure(Outcome::Successful, 11 * MINUTE);
    let text = serde_json::to_string(&world.progress).unwrap();
    assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), world.progress);
}

#[test]
fn what_is_measured_where_nothing_is_analysed_changes_nothing() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    for outcome in [Outcome::Failed, Outcome::Error, Outcome::Inconclusive, Outcome::Successful] {
        let before = world.progress.clone();
        assert_eq!(world.measure(outcome, 1), (1, Some(10), "pausing"), "{outcome:?}");
        assert_eq!(world.progress, before, "{outcome:?}");
    }
}
