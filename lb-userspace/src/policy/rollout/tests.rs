use std::time::Duration;

use proptest::prelude::*;

use super::analysis::{Measurement, Outcome, Run};
use super::machine::Plan;
use super::progress::{Cause, Phase, Progress};
use super::split::Split;
use super::verbs::Verb;
use crate::config::model::{Analysis, Provider, Rollback, Rollout, Step};
use crate::evidence::Metric;

const MINUTE: u64 = 60_000;

fn rollout(steps: Vec<Step>) -> Rollout {
    Rollout {
        name: "web-to-us".into(),
        service: "shop/web".into(),
        from: "web-eu".into(),
        to: "web-us".into(),
        steps,
        progress_deadline: Duration::from_mins(10),
        rollback: Rollback::default(),
    }
}

/// The steps of the examples: a timed pause, an analysis, somebody's pause.
fn usual() -> Rollout {
    let pause = Step::Pause(Some(Duration::from_mins(10)));
    let analysis = Step::Analysis("hs-ok".into());
    let weight = Step::SetWeight;
    rollout(vec![weight(10), pause, analysis, weight(50), Step::Pause(None), weight(100)])
}

fn analysis() -> Analysis {
    Analysis {
        name: "hs-ok".into(),
        provider: Provider::Dataplane { metric: Metric::FailedHandshakeRatio, min_samples: 200 },
        interval: Duration::from_secs(10),
        count: 3,
        success: "< 0.01".parse().unwrap(),
        failure_limit: 0,
        consecutive_error_limit: 4,
        inconclusive_limit: 0,
    }
}

fn measurement(outcome: Outcome) -> Measurement {
    Measurement { outcome, found: "x".into() }
}

/// A rollout and how far it is.
struct World {
    rollout: Rollout,
    analyses: Vec<Analysis>,
    progress: Progress,
    ready: bool,
}

impl World {
    fn new(rollout: Rollout) -> Self {
        let progress = Progress::new(&rollout);
        Self { rollout, analyses: vec![analysis()], progress, ready: true }
    }

    fn advance(&mut self, now: u64) -> (usize, Option<u8>, &'static str) {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.advance(plan, self.ready, now);
        self.at()
    }

    fn say(&mut self, verb: Verb, now: u64) -> Result<(usize, Option<u8>, &'static str), String> {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.obey(verb, plan, self.ready, now)?;
        Ok(self.at())
    }

    fn measure(&mut self, outcome: Outcome, now: u64) -> (usize, Option<u8>, &'static str) {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.measured(plan, measurement(outcome), now);
        self.advance(now)
    }

    fn due(&self) -> Option<u64> {
        self.progress.due(Plan { rollout: &self.rollout, analyses: &self.analyses })
    }

    fn at(&self) -> (usize, Option<u8>, &'static str) {
        (self.progress.position, self.progress.weight, self.progress.phase.name())
    }
}

#[test]
fn the_pair_divides_what_it_has_and_others_keep_theirs() {
    let weigh = |percent, weights: [u32; 3]| {
        let split = Split { service: "s", from: "a", to: "c", percent };
        split.weigh(["a", "b", "c"].into_iter().zip(weights))
    };
    assert_eq!(weigh(10, [90, 10, 0]), [8100, 1000, 900], "`to` had nothing");
    assert_eq!(weigh(50, [80, 10, 10]), [4500, 1000, 4500]);
    assert_eq!(weigh(0, [80, 10, 10]), [9000, 1000, 0]);
    assert_eq!(weigh(100, [65_535, 65_535, 65_535]), [0, 6_553_500, 13_107_000]);
}

#[test]
fn it_goes_from_step_to_step_to_the_end() {
    let mut world = World::new(usual());
    assert_eq!((world.at(), world.due()), ((0, None, "idle"), None));
    assert_eq!(world.say(Verb::Start, 0).unwrap(), (1, Some(10), "pausing"));
    assert_eq!(world.due(), Some(10 * MINUTE));
    assert_eq!(world.advance(10 * MINUTE - 1), (1, Some(10), "pausing"));
    assert_eq!(world.advance(10 * MINUTE), (2, Some(10), "analysing"));
    assert_eq!(world.due(), Some(10 * MINUTE + 10_000));
    for second in [10, 20] {
        let at = world.measure(Outcome::Successful, 10 * MINUTE + second * 1000);
        assert_eq!(at, (2, Some(10), "analysing"));
    }
    assert_eq!(world.measure(Outcome::Successful, 10 * MINUTE + 30_000), (4, Some(50), "paused"));
    assert_eq!(world.due(), None, "somebody is waited for, for however long");
    assert_eq!(world.advance(1000 * MINUTE), (4, Some(50), "paused"));
    assert_eq!(world.say(Verb::Promote, 1000 * MINUTE).unwrap(), (6, Some(100), "complete"));
    assert_eq!(world.due(), None);
}

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
fn a_step_that_is_not_done_in_time_takes_it_back() {
    let mut world = World::new(usual());
    world.ready = false;
    assert_eq!(world.say(Verb::Start, 0).unwrap(), (0, None, "waiting"));
    assert_eq!(world.due(), Some(10 * MINUTE));
    assert_eq!(world.advance(10 * MINUTE), (0, Some(0), "aborted"));
    assert!(!world.progress.rehearsed, "nothing had gone anywhere");
    world.ready = true;
    world.say(Verb::Start, 20 * MINUTE).unwrap();
    assert_eq!(world.advance(30 * MINUTE), (2, Some(10), "analysing"), "pauses do not count");
    assert_eq!(world.advance(40 * MINUTE - 1), (2, Some(10), "analysing"));
    assert_eq!(world.advance(40 * MINUTE), (2, Some(0), "aborted"));
    assert_eq!(world.progress.reason, "step 3 (analysis: hs-ok) was not done within 600 s");
}

#[test]
fn it_goes_back_to_the_weight_of_the_rollback_and_can_begin_anew() {
    let mut world = World::new(usual());
    world.rollout.rollback.weight = 5;
    world.say(Verb::Start, 0).unwrap();
    assert_eq!(world.say(Verb::Abort, 1).unwrap(), (1, Some(5), "aborted"));
    assert!(world.say(Verb::Rollback, 2).is_err());
    assert_eq!(world.say(Verb::Start, 3).unwrap(), (1, Some(10), "pausing"));
    assert_eq!(world.say(Verb::PromoteFull, 4).unwrap(), (6, Some(100), "complete"));
    assert_eq!(world.say(Verb::Rollback, 5).unwrap(), (6, Some(5), "rolledBack"));
}

#[test]
fn an_operator_stops_it_and_lets_it_go_on() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    assert_eq!(world.say(Verb::Pause, MINUTE).unwrap(), (1, Some(10), "paused"));
    assert_eq!(world.advance(100 * MINUTE), (1, Some(10), "paused"));
    assert_eq!(world.say(Verb::Resume, 100 * MINUTE).unwrap(), (1, Some(10), "pausing"));
    assert_eq!(world.due(), Some(110 * MINUTE), "the step begins anew");
    assert_eq!(world.say(Verb::Promote, 101 * MINUTE).unwrap(), (2, Some(10), "analysing"));
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    use Verb::{Abort, Pause, Promote, PromoteFull, Resume, Rollback, Start};
    let all = [Start, Promote, PromoteFull, Pause, Resume, Abort, Rollback];
    let refused = |world: &mut World, sense: &[Verb]| {
        for verb in all.into_iter().filter(|verb| !sense.contains(verb)) {
            let before = world.progress.clone();
            assert!(world.say(verb, 1).is_err(), "{verb} of {before:?}");
            assert_eq!(world.progress, before, "{verb}");
        }
    };
    let mut world = World::new(usual());
    refused(&mut world, &[Start]);
    world.say(Start, 0).unwrap();
    refused(&mut world, &[Promote, PromoteFull, Pause, Abort, Rollback]);
    world.advance(10 * MINUTE);
    refused(&mut world, &[PromoteFull, Pause, Abort, Rollback]);
    world.say(Pause, 10 * MINUTE).unwrap();
    refused(&mut world, &[Promote, PromoteFull, Resume, Abort, Rollback]);
    world.ready = false;
    refused(&mut world, &[Promote, Resume, Abort, Rollback]);
    world.ready = true;
    world.say(PromoteFull, 10 * MINUTE).unwrap();
    refused(&mut world, &[Rollback]);
    world.say(Rollback, 10 * MINUTE).unwrap();
    refused(&mut world, &[Start]);
}

#[test]
fn a_way_back_that_must_be_rehearsed_is_so_before_a_promotion() {
    let mut world = World::new(rollout(vec![Step::SetWeight(10), Step::Pause(None), Step::SetWeight(100)]));
    world.rollout.rollback.require_rehearsal = true;
    world.say(Verb::Start, 0).unwrap();
    for verb in [Verb::Promote, Verb::PromoteFull] {
        let reason = world.say(verb, 1).unwrap_err();
        assert!(reason.contains("requireRehearsal"), "{reason}");
    }
    world.say(Verb::Rollback, 2).unwrap();
    world.say(Verb::Start, 3).unwrap();
    assert_eq!(world.say(Verb::Promote, 4).unwrap(), (3, Some(100), "complete"));
}

#[test]
fn other_steps_are_taken_in_where_those_up_to_the_present_one_are_the_same() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    world.rollout.steps[3] = Step::SetWeight(30);
    world.progress.adapt(&world.rollout);
    assert_eq!(world.at(), (1, Some(10), "pausing"));
    assert_eq!(world.progress.steps[3], Step::SetWeight(30));
    world.rollout.steps[0] = Step::SetWeight(5);
    world.progress.adapt(&world.rollout);
    assert_eq!(world.at(), (1, Some(10), "paused"), "the weight stays");
    assert!(world.say(Verb::Promote, 1).unwrap_err().contains("other steps"));
    assert_eq!(world.say(Verb::Start, 2).unwrap(), (1, Some(5), "pausing"));
    world.rollout.steps.truncate(1);
    world.progress.adapt(&world.rollout);
    assert_eq!(world.progress.phase, Phase::Paused(Cause::Changed), "the present step is no more");
    world.rollout.steps.clone_from(&world.progress.steps);
    world.progress.adapt(&world.rollout);
    assert_eq!(world.progress.phase, Phase::Paused(Cause::Operator), "the file has it again");
    assert_eq!(world.say(Verb::Resume, 2).unwrap(), (1, Some(5), "pausing"));
}

#[test]
fn what_is_over_stays_so_with_other_steps() {
    let mut world = World::new(usual());
    world.say(Verb::Start, 0).unwrap();
    world.say(Verb::PromoteFull, 0).unwrap();
    world.rollout.steps.truncate(1);
    world.progress.adapt(&world.rollout);
    assert_eq!((world.progress.phase.name(), world.progress.weight), ("complete", Some(100)));
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
