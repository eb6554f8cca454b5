use std::time::Duration;

use proptest::prelude::*;

use super::*;

const fn auto(hold_down: u64, step: u32) -> Failback {
    Failback::Auto { hold_down: Duration::from_millis(hold_down), step }
}

/// What is taken in of healths, each at its time, of a pool whose health was 0.
fn course(failback: Failback, healths: &[(u64, u32)]) -> Vec<u32> {
    let mut before = Some(Perceived { percent: 0, since: None });
    let mut take = |&(now, health): &(u64, u32)| {
        before = perceive(before, health, failback, now);
        before.map_or(0, |perceived| perceived.percent)
    };
    healths.iter().map(&mut take).collect()
}

#[test]
fn a_pool_that_nobody_remembers_has_its_health_at_once() {
    let perceived = perceive(None, 70, auto(1000, 20), 5);
    assert_eq!(perceived, Some(Perceived { percent: 70, since: None }));
    assert_eq!(perceive(None, 0, auto(1000, 20), 5), None, "nobody was ever up");
}

#[test]
fn health_falls_at_once_and_rises_in_steps() {
    let healths = [(0, 100), (999, 100), (1000, 100), (1999, 100), (2000, 100), (2500, 30), (2600, 100)];
    assert_eq!(course(auto(1000, 25), &healths), [0, 0, 25, 25, 50, 30, 30]);
    // No step goes above the health.
    assert_eq!(course(auto(1000, 60), &[(0, 70), (1000, 70), (2000, 70)]), [0, 60, 70]);
}

#[test]
fn a_relapse_begins_the_hold_down_anew() {
    let relapse = [(0, 100), (900, 0), (950, 100), (1900, 100), (1950, 100)];
    assert_eq!(course(auto(1000, 25), &relapse), [0, 0, 0, 0, 25]);
    // One that stays above what is taken in is none.
    assert_eq!(course(auto(1000, 25), &[(0, 100), (900, 10), (1000, 100)]), [0, 0, 25]);
}

#[test]
fn what_nobody_watched_is_not_proven() {
    assert_eq!(
        course(auto(1000, 25), &[(0, 100), (60_000, 100), (60_500, 100), (61_000, 100)]),
        [0, 25, 25, 50]
    );
}

#[test]
fn what_an_operator_decides_stays_until_told() {
    assert_eq!(course(Failback::Manual, &[(0, 100), (1 << 40, 100)]), [0, 0]);
    let held = Perceived { percent: 0, since: Some(7) };
    assert_eq!(held.hold(100, Failback::Manual), Some(Hold { health: 100, perceived: 0, until: None }));
    assert_eq!(held.hold(100, auto(1000, 25)), Some(Hold { health: 100, perceived: 0, until: Some(1007) }));
}

fn any_failback() -> impl Strategy<Value = Failback> {
    let steps = (1_u64..100_000, 1_u32..=100).prop_map(|(hold_down, step)| auto(hold_down, step));
    prop_oneof![9 => steps, 1 => Just(Failback::Manual)]
}

fn any_perceived() -> impl Strategy<Value = Option<Perceived>> {
    let perceived = (0_u32..=100, prop::option::of(0_u64..100_000));
    prop::option::of(perceived.prop_map(|(percent, since)| Perceived { percent, since }))
}

proptest! {
    #[test]
    fn a_constant_health_is_taken_in_after_the_steps_and_the_time_of_the_formula(
        hold_down in 1_u64..100_000, step in 1_u32..=100, health in 1_u32..=100, began in 0_u64..1 << 40,
    ) {
        let failback = auto(hold_down, step);
        let mut perceived = perceive(Some(Perceived { percent: 0, since: None }), health, failback, began);
        let (mut now, mut steps) = (began, 0);
        while let Some(hold) = perceived.and_then(|perceived| perceived.hold(health, failback)) {
            let until = hold.until.unwrap();
            prop_assert_eq!(perceive(perceived, health, failback, until - 1), perceived, "not before it is due");
            now = until;
            perceived = perceive(perceived, health, failback, now);
            steps += 1;
        }
        prop_assert_eq!(steps, u64::from(health.div_ceil(step)));
        prop_assert_eq!(now, began + steps * hold_down);
        let whole = Some(Perceived { percent: health, since: None });
        prop_assert_eq!(perceived, whole);
        prop_assert_eq!(perceive(perceived, health, failback, now + hold_down), whole, "nothing moves any more");
    }

    #[test]
    fn never_more_than_the_health_is_taken_in(
        before in any_perceived(), failback in any_failback(), healths in prop::collection::vec((0_u64..100_000, 0_u32..=100), 1..20),
    ) {
        let (mut perceived, mut now) = (before, 0);
        for (later, health) in healths {
            now += later;
            perceived = perceive(perceived, health, failback, now);
            let percent = perceived.map_or(0, |perceived| perceived.percent);
            prop_assert!(percent <= health);
            prop_assert_eq!(perceived.is_some_and(Perceived::is_held), percent < health);
        }
    }

    #[test]
    fn of_a_healthier_pool_no_less_is_taken_in(
        before in any_perceived(), failback in any_failback(), one in 0_u32..=100, other in 0_u32..=100, now in 0_u64..200_000,
    ) {
        let percent = |health| perceive(before, health, failback, now).map_or(0, |perceived| perceived.percent);
        prop_assert!(percent(one.min(other)) <= percent(one.max(other)));
    }
}
