//! Decisions that depend on the ones before.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::model::Failback;
use crate::policy::failover::WEIGHT_OF_A_ROW;
use lb_common::flow::CLUSTER_ROWS;

/// A world that goes on: what was decided last, and when.
struct Story {
    config: Config,
    observed: Observed,
    memory: Memory,
    now: u64,
    last: Option<Decision>,
}

impl Story {
    /// eu first, us stands by, four endpoints each; failback in steps of 25 %, a second apart.
    fn new() -> Self {
        let (mut config, observed) = in_order();
        let hold_down = Duration::from_secs(1);
        config.failover_policies[0].failback = Some(Failback::Auto { hold_down, step: 25 });
        let mut story = Self { config, observed, memory: Memory::default(), now: 1_000_000, last: None };
        story.decide();
        story
    }

    fn decide(&mut self) -> [u32; 2] {
        let decision = decide_after(&self.memory, &self.config, &self.observed, self.now);
        self.memory = decision.memory.clone();
        let shares = &decision.desired.services[0].shares;
        let weights = [shares[0].weight, shares[1].weight];
        self.last = Some(decision);
        in_percent(weights)
    }

    /// The first `count` endpoints of eu (1) or us (2) are down, and the others up.
    fn lose(&mut self, number: u8, count: u8) -> [u32; 2] {
        let pool = if number == 1 { "eu" } else { "us" };
        for last in 1..=4 {
            let verdict = if last <= count { Verdict::Down } else { Verdict::Up };
            tell(&mut self.observed, pool, &format!("10.{number}.0.{last}"), verdict);
        }
        self.decide()
    }

    fn due(&self) -> Option<u64> {
        self.last.as_ref().and_then(|last| last.due)
    }

    /// Waits for when time alone leads to another decision, and makes it.
    fn wait(&mut self) -> Option<[u32; 2]> {
        self.now = self.due()?;
        Some(self.decide())
    }

    fn hold(&self, pool: usize) -> Option<desired::Hold> {
        self.last.as_ref().and_then(|last| last.desired.services[0].shares[pool].hold)
    }
}

#[test]
fn a_cluster_that_was_lost_comes_back_in_steps() {
    let mut story = Story::new();
    assert_eq!(story.lose(1, 0), [100, 0], "at the first start there is nothing to come back from");
    assert_eq!(story.lose(1, 4), [0, 100]);
    assert_eq!(story.due(), None);
    let began = story.now;
    assert_eq!(story.lose(1, 0), [0, 100]);
    assert_eq!(story.hold(0), Some(desired::Hold { health: 100, perceived: 0, until: Some(began + 1000) }));
    assert_eq!(story.hold(1), None);
    let shares: Vec<_> = std::iter::from_fn(|| story.wait()).collect();
    assert_eq!(shares, [[25, 75], [50, 50], [75, 25], [100, 0]]);
    assert_eq!((story.now, story.due(), story.hold(0)), (began + 4000, None, None));
}

#[test]
fn what_is_held_comes_back_at_once_when_it_is_needed() {
    let mut story = Story::new();
    story.lose(1, 4);
    story.lose(1, 0);
    assert_eq!(story.lose(2, 4), [100, 0], "the others are dead");
    assert_eq!(story.lose(2, 2), [100, 0], "these come back in steps too");
    assert_eq!(story.lose(2, 0), [100, 0]);
    // Both are taken in together: what the second is proven to take it takes from the first, until that is proven too.
    let shares: Vec<_> = std::iter::from_fn(|| story.wait()).collect();
    assert_eq!(shares, [[75, 25], [50, 50], [75, 25], [100, 0]]);
}

#[test]
fn an_agent_that_begins_goes_on_with_what_was_published() {
    let mut story = Story::new();
    story.lose(1, 4);
    story.lose(1, 0);
    assert_eq!(story.wait(), Some([25, 75]));
    let text = serde_json::to_string(&story.memory).unwrap();
    let since = story.now;
    assert_eq!(
        text,
        format!(
            r#"{{"failback":{{"near":{{"eu":{{"percent":25,"since":{since}}},"us":{{"percent":100}}}}}}}}"#
        )
    );
    story.memory = serde_json::from_str(&text).unwrap();
    // Nobody is probed yet: unknown counts as up, and changes nothing in what is held.
    story.observed.health.clear();
    story.now += 400;
    assert_eq!(story.decide(), [25, 75]);
    assert_eq!(story.due(), Some(since + 1000));
    // An agent that was away for long has not seen what happened meanwhile.
    story.now += 60_000;
    assert_eq!(story.decide(), [50, 50]);
    assert_eq!(serde_json::from_str::<Memory>("{}").unwrap(), Memory::default());
}

#[test]
fn an_operator_can_let_it_come_back_at_once_and_sometimes_must() {
    let mut story = Story::new();
    story.config.failover_policies[0].failback = Some(Failback::Manual);
    story.lose(1, 2);
    story.now += 1_000_000;
    assert_eq!(story.lose(1, 0), [70, 30], "what was left stays");
    assert_eq!(story.due(), None);
    assert!(!story.memory.release(|pool| pool == "us"));
    assert_eq!(story.decide(), [70, 30]);
    assert!(story.memory.release(|pool| pool == "eu"));
    assert_eq!(story.decide(), [100, 0]);
    assert!(!story.memory.release(|pool| pool == "eu"), "it is no more");
}

#[test]
fn what_is_not_configured_is_forgotten_and_what_is_new_was_never_lost() {
    let mut story = Story::new();
    story.lose(1, 4);
    story.lose(1, 0);
    let failback = story.config.failover_policies[0].failback.take();
    assert_eq!(story.decide(), [100, 0]);
    assert_eq!(story.memory, Memory::default());
    story.config.failover_policies[0].failback = failback;
    assert_eq!(story.decide(), [100, 0]);
    // A pool of another name.
    story.lose(1, 4);
    story.config.pools[0].name = "eu-2".into();
    story.config.services[0].pools[0] = "eu-2".into();
    assert_eq!(story.decide(), [100, 0]);
}

#[test]
fn a_cluster_that_nobody_could_reach_yet_has_nothing_to_come_back_from() {
    let (config, observed) = in_order();
    let ways = observed.next_hops.clone();
    let mut story = Story::new();
    (story.config.pools, story.memory) = (config.pools, Memory::default());
    story.observed.next_hops.retain(|address, _| !address.to_string().starts_with("10.1."));
    assert_eq!(story.decide(), [0, 100]);
    story.observed.next_hops = ways;
    assert_eq!(story.decide(), [100, 0]);
}

/// How many of eu and of us are down, and how much later.
fn any_events() -> impl Strategy<Value = Vec<(u8, u8, u64)>> {
    prop::collection::vec((0_u8..=4, 0_u8..=4, 0_u64..5000), 1..20)
}

proptest! {
    #[test]
    fn a_constant_world_comes_to_rest_and_rows_always_add_up(events in any_events(), manual: bool) {
        let mut story = Story::new();
        if manual {
            story.config.failover_policies[0].failback = Some(Failback::Manual);
        }
        let sum = |story: &Story| {
            let shares = &story.last.as_ref().unwrap().desired.services[0].shares;
            shares.iter().map(|share| u32::from(share.weight)).sum::<u32>()
        };
        for (eu, us, later) in events {
            story.now += later;
            story.lose(1, eu);
            prop_assert_eq!(sum(&story), CLUSTER_ROWS * WEIGHT_OF_A_ROW);
            story.lose(2, us);
            prop_assert_eq!(sum(&story), CLUSTER_ROWS * WEIGHT_OF_A_ROW);
        }
        // Four steps of each pool at most.
        let steps = std::iter::from_fn(|| { story.wait()?; Some(sum(&story)) });
        let steps: Vec<_> = steps.take(100).collect();
        prop_assert!(steps.len() <= 8, "{steps:?}");
        prop_assert!(steps.iter().all(|sum| *sum == CLUSTER_ROWS * WEIGHT_OF_A_ROW));
        let (rest, memory) = (story.decide(), story.memory.clone());
        story.now += 1_000_000;
        prop_assert_eq!((story.decide(), &story.memory), (rest, &memory));
        if !manual {
            prop_assert_eq!(rest, percents(&story.config, &story.observed), "what it is without a memory");
        }
    }

    #[test]
    fn of_a_healthier_world_no_less_is_taken_in(events in any_events(), better in 0_u8..=4, later in 0_u64..5000) {
        let mut story = Story::new();
        for (eu, us, later) in &events {
            story.now += later;
            story.lose(1, *eu);
            story.lose(2, *us);
        }
        let (before, worse) = (story.memory.clone(), events.last().unwrap().0);
        story.now += later;
        let taken = |story: &Story| story.memory.failback["near"].get("eu").map_or(0, |eu| eu.percent);
        story.decide();
        let (less, shares) = (taken(&story), story.last.clone());
        story.memory = before;
        story.lose(1, worse.saturating_sub(better));
        prop_assert!(taken(&story) >= less, "{shares:?}");
    }
}

#[test]
fn an_endpoint_that_comes_up_starts_slowly_and_a_pool_at_the_first_start_does_not() {
    let mut story = Story::new();
    story.config.pools[0].slow_start = Duration::from_secs(9);
    let tenths = |story: &Story| {
        let pools = &story.last.as_ref().unwrap().desired.pools;
        pools[0].members.iter().map(|member| member.tenths).collect::<Vec<_>>()
    };
    story.lose(1, 1);
    assert_eq!((tenths(&story), story.due()), (vec![10; 4], None));
    story.lose(1, 0);
    assert_eq!((tenths(&story), story.due()), (vec![1, 10, 10, 10], Some(story.now + 1000)));
    story.wait();
    assert_eq!(tenths(&story), [2, 10, 10, 10]);
    // Another agent goes on.
    story.memory = serde_json::from_str(&serde_json::to_string(&story.memory).unwrap()).unwrap();
    story.now += 3_000;
    story.decide();
    assert_eq!(tenths(&story), [5, 10, 10, 10]);
    assert_eq!(std::iter::from_fn(|| story.wait()).count(), 5);
    assert_eq!(tenths(&story), [10; 4]);
    story.config.pools[0].slow_start = Duration::ZERO;
    story.decide();
    assert!(story.memory.slow_start.is_empty());
}
