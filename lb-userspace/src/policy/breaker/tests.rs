use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1000;

/// A pool of two endpoints, and what they have come to.
struct World {
    rules: CircuitBreaker,
    breaker: Breaker,
    evidence: BTreeMap<IpAddr, Evidence>,
    /// Nothing is sent to it.
    idle: bool,
    now: u64,
}

fn host(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

impl World {
    /// One that was looked at once.
    fn new() -> Self {
        let evidence = [1, 2].map(|number| (host(number), Evidence::default())).into();
        let (rules, breaker) = (CircuitBreaker::default(), Breaker::default());
        let mut world = Self { rules, breaker, evidence, idle: false, now: 0 };
        world.after(0);
        world
    }

    /// Handshakes of an endpoint.
    fn sees(&mut self, number: u8, failed: u64, completed: u64) {
        let evidence = self.evidence.get_mut(&host(number)).unwrap();
        evidence.retried += failed;
        evidence.completed += completed;
    }

    /// Of how much it is kept out, looked at each second for so many of them.
    fn after(&mut self, seconds: u64) -> u8 {
        for _ in 0..seconds.max(1) {
            self.now += seconds.min(1) * SECOND;
            self.breaker.look(&self.rules, &self.evidence, self.idle, self.now);
        }
        self.kept_out()
    }

    fn kept_out(&self) -> u8 {
        self.breaker.state().kept_out(&self.rules).map_or(0, |kept_out| kept_out.percent)
    }

    /// One that has opened just now.
    fn open() -> Self {
        let mut world = Self::new();
        world.sees(1, 70, 50);
        assert_eq!(world.after(10), 100);
        world
    }

    /// One that is half-open since the last look, and was looked at once more.
    fn half_open() -> Self {
        let mut world = Self::open();
        assert_eq!(world.after(31), 99);
        world
    }
}

#[test]
fn it_opens_at_the_end_of_an_interval_in_which_enough_failed() {
    let mut world = World::new();
    // Of both endpoints together half.
    world.sees(1, 50, 0);
    world.sees(2, 0, 50);
    assert_eq!(world.after(9), 0);
    assert_eq!(world.after(1), 100);
    let kept_out = world.breaker.state().kept_out(&world.rules).unwrap();
    assert_eq!(kept_out.reason, "its breaker is open: 50 of 100 handshakes failed");
}

#[test]
fn neither_few_handshakes_nor_few_failures_open_it() {
    let mut world = World::new();
    world.sees(1, 99, 0);
    assert_eq!(world.after(10), 0, "99 are too few");
    world.sees(1, 99, 101);
    assert_eq!(world.after(10), 0, "49.5 %");
    world.sees(1, 50, 50);
    assert_eq!(world.after(10), 100, "no second lies between two intervals");
}

#[test]
fn what_failed_before_the_first_look_or_of_an_endpoint_before_it_was_there_does_not_count() {
    let mut world = World::new();
    let mut late = World { breaker: Breaker::default(), ..World::new() };
    late.sees(1, 500, 0);
    assert_eq!(late.after(11), 0);
    let failed = Evidence { retried: 500, ..Evidence::default() };
    world.evidence.insert(host(3), failed);
    assert_eq!(world.after(10), 0);
}

#[test]
fn it_is_open_for_a_while_then_half_open() {
    let mut world = World::open();
    world.sees(1, 0, 5000);
    assert_eq!(world.after(29), 100, "whatever is seen meanwhile");
    assert_eq!(world.after(1), 99);
    let kept_out = world.breaker.state().kept_out(&world.rules).unwrap();
    assert_eq!(kept_out.reason, "its breaker is half-open, after 70 of 120 handshakes failed");
}

#[test]
fn half_open_it_closes_when_enough_complete() {
    let mut world = World::half_open();
    world.sees(2, 2, 4);
    assert_eq!(world.after(9), 99);
    assert_eq!(world.after(1), 0);
    assert_eq!(*world.breaker.state(), State::Closed);
}

#[test]
fn half_open_it_opens_again_when_enough_fail_as_long_as_before() {
    let mut world = World::half_open();
    world.sees(2, 3, 2);
    assert_eq!(world.after(10), 100);
    assert_eq!(world.after(29), 100);
    assert_eq!(world.after(1), 99);
}

#[test]
fn with_too_few_to_judge_by_it_stays_half_open_and_counts_on() {
    let mut world = World::half_open();
    world.sees(1, 0, 4);
    assert_eq!(world.after(3600), 99);
    world.sees(1, 0, 1);
    assert_eq!(world.after(1), 0);
}

#[test]
fn half_open_and_idle_it_closes_after_an_interval_and_no_sooner() {
    let mut world = World::open();
    world.idle = true;
    assert_eq!(world.after(29), 100, "open it is idle by itself");
    let mut world = World::half_open();
    world.idle = true;
    assert_eq!((world.after(9), world.after(1)), (99, 0));
}

#[test]
fn half_open_as_many_are_enough_as_its_part_of_the_volume_has_but_some() {
    let least = |min_volume, half_open_percent| {
        let rules = CircuitBreaker { min_volume, half_open_percent, ..CircuitBreaker::default() };
        Breaker::of(&State::HalfOpen { reason: String::new() }).least(&rules)
    };
    assert_eq!([least(100, 1), least(100, 10), least(100_000, 99)], [FEWEST, 10, 99_000]);
}

/// What `docs/policy.md` says of `examples/circuit-breaker.yaml`: a hundred handshakes a second, of which from one moment on
/// each has failed after a second.
#[test]
fn the_worked_example_goes_as_it_is_told() {
    for before in 0..10 {
        let mut world = World::new();
        for _ in 0..before {
            world.sees(1, 0, 100);
            world.after(1);
        }
        let mut after = 1;
        while world.after(1) == 0 && after < 100 {
            world.sees(1, 100, 0);
            after += 1;
        }
        assert!((6..=15).contains(&after), "{before}: {after}");
        assert_eq!((world.after(29), world.after(1)), (100, 99));
        let mut again = 0;
        while world.after(1) == 99 && again < 100 {
            world.sees(1, 1, 0);
            again += 1;
        }
        assert!((10..=11).contains(&again), "{before}: {again}");
    }
}

#[test]
fn the_next_agent_goes_on() {
    let mut world = World::open();
    let text = serde_json::to_string(world.breaker.state()).unwrap();
    assert_eq!(text, r#"{"open":{"until":40000,"reason":"70 of 120 handshakes failed"}}"#);
    world.breaker = Breaker::of(&serde_json::from_str(&text).unwrap());
    assert_eq!((world.after(29), world.after(1)), (100, 99));
    let text = serde_json::to_string(world.breaker.state()).unwrap();
    assert_eq!(text, r#"{"halfOpen":{"reason":"70 of 120 handshakes failed"}}"#);
    world.breaker = Breaker::of(&serde_json::from_str(&text).unwrap());
    world.sees(1, 5, 0);
    assert_eq!(world.after(11), 99, "what failed before it looked is not its own");
    world.sees(1, 0, 5);
    assert_eq!(world.after(11), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Whatever is seen: once open it stays so for its time, and it takes a whole interval to leave another state.
    #[test]
    fn it_never_turns_faster_than_its_times(seen in prop::collection::vec((0..80_u64, 0..80_u64), 1..300)) {
        let mut world = World::new();
        world.rules.open_for = Duration::from_secs(20);
        let (mut since, mut last) = (0, world.kept_out());
        for (failed, completed) in seen {
            world.sees(1, failed, completed);
            let now = world.after(1);
            if now != last {
                let least = if last == 100 { 20 * SECOND } else { 10 * SECOND };
                prop_assert!(world.now - since >= least, "{last} to {now} after {}", world.now - since);
                prop_assert!(last != 0 || now == 100, "closed opens");
                (since, last) = (world.now, now);
            }
        }
    }

    #[test]
    fn of_two_pools_the_one_of_which_more_fail_is_not_closed_while_the_other_is_open(failed in 0..=200_u64, more in 0..=200_u64) {
        let kept_out = |failed: u64| {
            let mut world = World::new();
            world.sees(1, failed, 400 - failed);
            world.after(10)
        };
        prop_assert!(kept_out(failed) <= kept_out(failed + more));
    }
}
