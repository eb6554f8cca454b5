//! What holds whatever happens.

use std::time::Duration;

use proptest::prelude::*;

use super::super::analysis::Outcome;
use super::super::progress::{Cause, Phase, Progress};
use super::super::split::Split;
use super::super::verbs::Verb;
use super::{World, rollout};
use crate::config::model::Step;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..=100).prop_map(Step::SetWeight),
        (1_u64..1000).prop_map(|seconds| Step::Pause(Some(Duration::from_secs(seconds)))),
        Just(Step::Pause(None)),
        Just(Step::Analysis("hs-ok".into())),
    ]
}

/// Something that happens to a rollout.
#[derive(Debug, Clone)]
enum Event {
    Time(u64),
    Ready(bool),
    Said(Verb),
    Measured(Outcome),
    Steps(Vec<Step>),
}

fn event() -> impl Strategy<Value = Event> {
    use Verb::{Abort, Pause, Promote, PromoteFull, Resume, Rollback, Start};
    let verbs = vec![Start, Promote, PromoteFull, Pause, Resume, Abort, Rollback];
    let outcomes = vec![Outcome::Successful, Outcome::Failed, Outcome::Inconclusive, Outcome::Error];
    prop_oneof![
        (0_u64..700_000).prop_map(Event::Time),
        any::<bool>().prop_map(Event::Ready),
        proptest::sample::select(verbs).prop_map(Event::Said),
        proptest::sample::select(outcomes).prop_map(Event::Measured),
        proptest::collection::vec(step(), 1..6).prop_map(Event::Steps),
    ]
}

proptest! {
    /// Weights add up, whatever the percentage.
    #[test]
    fn a_split_takes_nothing_from_others(percent in 0_u8..=100, weights: [u16; 4]) {
        let names = ["a", "b", "c", "d"];
        let split = Split { service: "s", from: "b", to: "d", percent };
        let weighed = split.weigh(names.into_iter().zip(weights.map(u32::from)));
        prop_assert_eq!(weighed.iter().sum::<u32>(), 100 * weights.iter().map(|one| u32::from(*one)).sum::<u32>());
        prop_assert_eq!((weighed[0], weighed[2]), (100 * u32::from(weights[0]), 100 * u32::from(weights[2])));
    }

    /// Whatever happens, in whatever order: only a step, a rollback or a full promotion sets a weight, what went back has
    /// the rollback's, what is complete has its last, and time alone never wakes it again for nothing.
    #[test]
    fn a_rollout_is_always_somewhere(
        steps in proptest::collection::vec(step(), 1..6),
        events in proptest::collection::vec(event(), 0..40),
    ) {
        let mut world = World::new(rollout(steps));
        let mut now = 0;
        for event in events {
            match event {
                Event::Time(passed) => now += passed,
                Event::Ready(ready) => world.ready = ready,
                Event::Said(verb) => _ = world.say(verb, now),
                Event::Measured(outcome) => _ = world.measure(outcome, now),
                Event::Steps(steps) => {
                    world.rollout.steps = steps;
                    world.progress.adapt(&world.rollout);
                }
            }
            world.advance(now);
            let Progress { phase, weight, position, steps, .. } = &world.progress;
            prop_assert!(weight.is_none_or(|weight| weight <= 100));
            prop_assert!(!phase.is_under_way() || *position < steps.len() || *phase == Phase::Paused(Cause::Changed));
            if matches!(phase, Phase::Aborted | Phase::RolledBack) {
                prop_assert_eq!(*weight, Some(0));
            }
            // A measurement may be overdue: it is made then.
            prop_assert!(matches!(phase, Phase::Analysing(_)) || world.due().is_none_or(|due| due > now));
        }
    }
}
