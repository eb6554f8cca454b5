use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1000;

/// A pool, and what its endpoints have come to.
struct World {
    rules: Outlier,
    outliers: Outliers,
    evidence: BTreeMap<IpAddr, Evidence>,
    now: u64,
}

fn host(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

impl World {
    fn new(hosts: u8, rules: Outlier) -> Self {
        let evidence = (1..=hosts).map(|number| (host(number), Evidence::default())).collect();
        let mut world = Self { rules, outliers: Outliers::default(), evidence, now: 0 };
        world.after(0);
        world
    }

    /// Handshakes of an endpoint: first those that fail.
    fn sees(&mut self, number: u8, failed: u64, completed: u64) {
        let evidence = self.evidence.get_mut(&host(number)).unwrap();
        evidence.retried += failed;
        evidence.completed += completed;
        evidence.in_a_row = if completed > 0 { 0 } else { evidence.in_a_row + failed };
    }

    /// Who was ejected, and who came back, when it is looked at so many seconds later.
    fn after(&mut self, seconds: u64) -> (Vec<IpAddr>, Vec<IpAddr>) {
        self.now += seconds * SECOND;
        let changes = self.outliers.look(&self.rules, &self.evidence, self.now);
        (changes.ejected.into_iter().map(|(address, _)| address).collect(), changes.returned)
    }

    fn is_ejected(&self, number: u8) -> bool {
        self.outliers.ejected().any(|(address, _)| address == host(number))
    }
}

#[test]
fn failures_in_a_row_eject_at_once_and_one_less_does_not() {
    let mut world = World::new(3, Outlier::default());
    world.sees(1, 4, 0);
    assert_eq!(world.after(1), (vec![], vec![]));
    world.sees(1, 1, 0);
    assert_eq!(world.after(1), (vec![host(1)], vec![]));
    let (_, ejection) = world.outliers.ejected().next().unwrap();
    assert_eq!((ejection.until, ejection.reason.as_str()), (32 * SECOND, "5 handshakes in a row failed"));
}

#[test]
fn what_failed_before_the_first_look_or_the_return_is_forgiven() {
    let mut world = World { outliers: Outliers::default(), ..World::new(3, Outlier::default()) };
    world.sees(1, 50, 0);
    assert_eq!(world.after(1).0, Vec::<IpAddr>::new());
    world.sees(1, 5, 0);
    assert_eq!(world.after(1).0, [host(1)]);
    assert_eq!(world.after(30), (vec![], vec![host(1)]), "and not at once ejected again");
    world.sees(1, 5, 0);
    assert_eq!(world.after(1).0, [host(1)]);
}

#[test]
fn each_ejection_in_a_row_is_longer_up_to_the_most_and_good_intervals_take_that_back() {
    let rules = Outlier { max_ejection: Duration::from_secs(70), ..Outlier::default() };
    let mut world = World::new(3, rules);
    for seconds in [30, 60, 70, 70] {
        world.sees(1, 5, 0);
        assert_eq!(world.after(1).0, [host(1)]);
        assert_eq!(world.after(seconds - 1).1, Vec::<IpAddr>::new());
        assert_eq!(world.after(1).1, [host(1)]);
    }
    // Four in a row; ten intervals without one.
    (0..10).for_each(|_| assert_eq!(world.after(10), (vec![], vec![])));
    world.sees(1, 5, 0);
    world.after(1);
    assert_eq!(world.outliers.ejected().next().unwrap().1.until, world.now + 30 * SECOND);
}

#[test]
fn a_share_of_failures_ejects_at_the_end_of_an_interval_where_enough_hosts_are_busy() {
    let rules = Outlier { consecutive_failures: 0, max_ejection_percent: 50, ..Outlier::default() };
    let mut world = World::new(6, rules);
    let mut interval = |busy: u8, failed, completed| {
        (1..=busy).for_each(|number| world.sees(number, 0, 50));
        world.sees(6, failed, completed);
        assert_eq!(world.after(9).0, Vec::<IpAddr>::new(), "not within it");
        world.after(1).0
    };
    assert_eq!(interval(5, 84, 16), Vec::<IpAddr>::new());
    assert_eq!(interval(3, 85, 15), Vec::<IpAddr>::new(), "four are too few to compare");
    assert_eq!(interval(5, 42, 7), Vec::<IpAddr>::new(), "49 are too few to say anything");
    assert_eq!(interval(5, 85, 15), [host(6)]);
}

#[test]
fn no_more_than_a_part_is_ejected_but_one_always_may_be() {
    for (hosts, percent, most) in [(3, 10, 1), (3, 0, 1), (10, 30, 3), (4, 100, 4)] {
        let mut world = World::new(hosts, Outlier { max_ejection_percent: percent, ..Outlier::default() });
        (1..=hosts).for_each(|number| world.sees(number, 5, 0));
        assert_eq!(world.after(1).0.len(), most, "{percent} % of {hosts}");
    }
}

#[test]
fn a_check_that_passes_ends_it() {
    let mut world = World::new(3, Outlier { min_hosts: 1, min_volume: 5, ..Outlier::default() });
    world.sees(2, 5, 0);
    world.after(1);
    assert!(!world.outliers.passes(host(1)));
    assert!(world.outliers.passes(host(2)));
    assert!(!world.is_ejected(2));
    assert_eq!(world.after(1), (vec![], vec![]), "what failed is forgiven");
    assert_eq!(world.after(10), (vec![], vec![]), "at the end of the interval, too");
}

#[test]
fn an_endpoint_that_is_gone_is_forgotten() {
    let mut world = World::new(3, Outlier::default());
    world.sees(1, 5, 0);
    world.after(1);
    let gone = world.evidence.remove(&host(1)).unwrap();
    assert_eq!(world.after(1), (vec![], vec![]));
    assert!(!world.is_ejected(1));
    world.evidence.insert(host(1), gone);
    assert_eq!(world.after(1), (vec![], vec![]));
}

#[test]
fn the_next_agent_goes_on() {
    let mut world = World::new(3, Outlier::default());
    world.sees(1, 5, 0);
    world.after(1);
    world.outliers = Outliers::of(&world.outliers.kept());
    assert_eq!(world.after(29), (vec![], vec![]));
    assert_eq!(world.after(1).1, [host(1)]);
    world.sees(1, 5, 0);
    world.after(1);
    assert_eq!(
        world.outliers.ejected().next().unwrap().1.until,
        world.now + 60 * SECOND,
        "the second in a row"
    );
}

proptest! {
    /// Whatever is seen, no more are ejected than may be, none for longer than the longest, and once nothing fails any more
    /// all come back and nothing changes again.
    #[test]
    fn ejections_are_bounded_and_end(
        hosts in 1u8..12, percent in 0u8..=100, steps in prop::collection::vec((1u8..12, 0u64..8, 0u64..3, 0u64..20), 0..80)
    ) {
        let mut world = World::new(hosts, Outlier { max_ejection_percent: percent, ..Outlier::default() });
        let most = (usize::from(hosts) * usize::from(percent) / 100).max(1);
        for (number, failed, completed, seconds) in steps {
            world.sees((number - 1) % hosts + 1, failed, completed);
            world.after(seconds);
            prop_assert!(world.outliers.ejected().count() <= most);
            prop_assert!(world.outliers.ejected().all(|(_, one)| one.until <= world.now + 300 * SECOND));
        }
        world.after(301);
        world.after(1);
        prop_assert_eq!(world.outliers.ejected().count(), 0);
        (0..40).for_each(|_| drop(world.after(10)));
        prop_assert_eq!(world.outliers.kept(), BTreeMap::new());
    }
}
