//! What time leads to, and another file.

use super::super::analysis::Outcome;
use super::super::progress::{Cause, Phase};
use super::super::split::Split;
use super::super::verbs::Verb;
use super::{MINUTE, World, usual};
use crate::config::model::Step;

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
fn a_step_that_waits_is_done_as_soon_as_somebody_is_there() {
    let mut world = World::new(usual());
    world.ready = false;
    world.say(Verb::Start, 0).unwrap();
    assert_eq!(world.advance(MINUTE), (0, None, "waiting"), "nothing goes where nobody is");
    world.ready = true;
    assert_eq!(world.advance(2 * MINUTE), (1, Some(10), "pausing"));
    assert_eq!(world.due(), Some(12 * MINUTE), "the pause begins with the weight");
}
