//! What operators say.

use super::super::verbs::Verb;
use super::{MINUTE, World, rollout, usual};
use crate::config::model::Step;

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
