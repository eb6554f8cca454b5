use proptest::prelude::*;

use super::load::{Level, Tally, levels};
use super::order::{Labels, priority};
use super::*;
use crate::config::model::{FailoverPolicy, Order};

const FACTOR: u32 = FailoverPolicy::OVERPROVISIONING;
const THRESHOLD: u32 = FailoverPolicy::PANIC_THRESHOLD;

fn tallies(pairs: &[(u32, u32)]) -> Vec<Tally> {
    pairs.iter().map(|&(healthy, total)| Tally::new(healthy, total)).collect()
}

/// Loads, and which priorities are in panic.
fn loads(pairs: &[(u32, u32)], threshold: u32) -> (Vec<u32>, Vec<bool>) {
    let levels = levels(&tallies(pairs), FACTOR, threshold);
    levels.iter().map(|Level { load, panic }| (*load, *panic)).unzip()
}

#[test]
fn loads_are_those_of_the_formulas() {
    let cases: [(&[(u32, u32)], _, _); 11] = [
        (&[(72, 100), (100, 100)], vec![100, 0], vec![false; 2]),
        (&[(71, 100), (100, 100)], vec![99, 1], vec![false; 2]),
        (&[(50, 100), (60, 100)], vec![70, 30], vec![false; 2]),
        (&[(25, 100), (100, 100)], vec![35, 65], vec![false; 2]),
        (&[(5, 100), (65, 100)], vec![8, 92], vec![true, false]),
        (&[(25, 100), (25, 100)], vec![50, 50], vec![true; 2]),
        (&[(25, 100), (25, 100), (20, 100)], vec![34, 33, 33], vec![true; 3]),
        (&[(2, 3), (3, 3)], vec![93, 7], vec![false; 2]),
        (&[(1, 3), (3, 3)], vec![46, 54], vec![false; 2]),
        (&[(0, 10), (0, 2)], vec![84, 16], vec![true; 2]),
        // No endpoints at all, and none in the first priority.
        (&[(0, 0), (0, 0)], vec![100, 0], vec![true; 2]),
    ];
    for (pairs, wanted, panic) in cases {
        assert_eq!(loads(pairs, THRESHOLD), (wanted, panic), "{pairs:?}");
    }
    assert_eq!(loads(&[(0, 0), (9, 10)], THRESHOLD).0, [0, 100]);
}

#[test]
fn without_a_threshold_there_is_no_panic_and_at_worst_nobody() {
    assert_eq!(loads(&[(1, 100), (0, 100)], 0), (vec![100, 0], vec![false; 2]));
    assert_eq!(loads(&[(0, 100), (0, 100)], 0), (vec![0, 0], vec![false; 2]));
    let contender = Contender { priority: 0, weight: 1, tally: Tally::new(0, 3) };
    assert_eq!(divide(&[contender], FACTOR, 0), [Part::default()]);
}

fn contender(priority: usize, weight: u16, healthy: u32, total: u32) -> Contender {
    Contender { priority, weight: weight.into(), tally: Tally::new(healthy, total) }
}

/// Rows of each pool.
fn rows(contenders: &[Contender]) -> Vec<u32> {
    let parts = divide(contenders, FACTOR, THRESHOLD);
    parts.iter().map(|part| u32::from(part.weight) / WEIGHT_OF_A_ROW).collect()
}

#[test]
fn percentages_are_exact_to_the_row() {
    // 99 % of 4,096 are 4,055.04.
    assert_eq!(rows(&[contender(0, 7, 71, 100), contender(1, 7, 100, 100)]), [4055, 41]);
    // 2 of 3 in the first: 93 % and 7 %.
    assert_eq!(rows(&[contender(0, 1, 2, 3), contender(1, 1, 3, 3)]), [3809, 287]);
}

#[test]
fn within_a_priority_a_pool_counts_by_weight_and_health() {
    // 5 of 10 count 70 of 100, 8 of 10 all: the losses of a third within the factor move nothing.
    assert_eq!(rows(&[contender(0, 1, 5, 10), contender(0, 1, 10, 10)]), [1687, 2409]);
    assert_eq!(rows(&[contender(0, 1, 8, 10), contender(0, 1, 10, 10)]), [2048, 2048]);
    assert_eq!(rows(&[contender(0, 3, 10, 10), contender(0, 1, 10, 10)]), [3072, 1024]);
    assert_eq!(rows(&[contender(0, 0, 10, 10), contender(0, 1, 10, 10)]), [0, 4096]);
}

#[test]
fn what_happens_within_a_priority_changes_no_others_number_of_rows() {
    // Half of the first are up in both: 70 %.
    let others = |one: u32| [contender(0, 1, one, 10), contender(0, 1, 10 - one, 10), contender(1, 1, 9, 9)];
    let (before, after) = (rows(&others(5)), rows(&others(6)));
    assert_eq!((before[2], after[2]), (1229, 1229));
    assert!(before[0].abs_diff(before[1]) <= 1 && after[0] > before[0], "{before:?} {after:?}");
}

#[test]
fn in_panic_health_counts_for_nothing() {
    let contenders = [contender(0, 1, 0, 5), contender(0, 1, 2, 5), contender(1, 1, 1, 10)];
    let parts = divide(&contenders, FACTOR, THRESHOLD);
    assert!(parts.iter().all(|part| part.panic), "{parts:?}");
    assert_eq!(rows(&contenders), [1024, 1024, 2048]);
}

#[test]
fn in_panic_nobody_gets_what_cannot_be_sent() {
    let unreached = |one: Contender| Contender { tally: Tally { reachable: 0, ..one.tally }, ..one };
    // Within a priority, and between two.
    assert_eq!(rows(&[unreached(contender(0, 1, 0, 4)), contender(0, 1, 3, 4)]), [0, 4096]);
    assert_eq!(rows(&[unreached(contender(0, 1, 0, 4)), contender(1, 1, 1, 4)]), [0, 4096]);
}

#[test]
fn whom_an_operator_drains_puts_nobody_into_panic() {
    let tally = Tally { draining: 3, ..Tally::new(1, 4) };
    let level = |tally| levels(&[tally, Tally::new(0, 4)], FACTOR, THRESHOLD)[0];
    assert_eq!(level(tally), Level { load: 100, panic: false });
    assert!(level(Tally::new(1, 4)).panic);
}

#[test]
fn groups_are_priorities_in_their_order() {
    let groups = [vec!["eu-1".to_owned()], vec!["us-1".to_owned(), "us-2".to_owned()]];
    let order = Order::Groups(groups.into());
    let of = |cluster| priority(&order, cluster, &Labels::new(), &Labels::new());
    assert_eq!(["eu-1", "us-1", "us-2", "ap-1"].map(of), [0, 1, 1, 2]);
}

#[test]
fn labels_are_priorities_by_how_many_are_alike_from_the_first_on() {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    let order = Order::Labels(["region", "zone", "rack"].map(str::to_owned).into());
    let own = labels(&[("region", "eu"), ("zone", "a")]);
    let of = |pairs: &[(&str, &str)]| priority(&order, "x", &labels(pairs), &own);
    // The rack of neither is known.
    assert_eq!(of(&[("region", "eu"), ("zone", "a")]), 1);
    assert_eq!(of(&[("region", "eu"), ("zone", "b")]), 2);
    assert_eq!(of(&[("region", "us"), ("zone", "a")]), 3, "a zone's name says nothing in another region");
    assert_eq!(of(&[]), 3);
}

fn any_tally() -> impl Strategy<Value = Tally> {
    let counts = (0_u32..200, 0_u32..200, 0_u32..200, 0_u32..200);
    (counts, prop::option::of(0_u32..100)).prop_map(|((total, reachable, healthy, draining), most)| {
        let reachable = reachable.min(total);
        let healthy = healthy.min(reachable);
        let tally =
            Tally { draining: draining.min(total - healthy), reachable, ..Tally::new(healthy, total) };
        most.map_or(tally, |most| tally.held_at(most, FACTOR))
    })
}

fn any_contenders() -> impl Strategy<Value = Vec<Contender>> {
    let one = (0_usize..4, any::<u16>(), any_tally());
    prop::collection::vec(
        one.prop_map(|(priority, weight, tally)| Contender { priority, weight: weight.into(), tally }),
        1..8,
    )
}

proptest! {
    #[test]
    fn loads_add_up(
        tallies in prop::collection::vec(any_tally(), 1..6), factor in 100_u32..400, threshold in 0_u32..=100,
    ) {
        let levels = levels(&tallies, factor, threshold);
        let sum: u32 = levels.iter().map(|level| level.load).sum();
        let nobody = threshold == 0 && tallies.iter().all(|tally| tally.health(factor) == 0);
        prop_assert_eq!(sum, if nobody { 0 } else { 100 });
        for (level, tally) in levels.iter().zip(&tallies) {
            prop_assert!(level.load == 0 || level.panic || tally.healthy > 0);
        }
    }

    #[test]
    fn weights_add_up_and_go_to_those_who_have_any(
        contenders in any_contenders(), factor in 100_u32..400, threshold in 0_u32..=100,
    ) {
        let parts = divide(&contenders, factor, threshold);
        prop_assert_eq!(parts.len(), contenders.len());
        let sum: u32 = parts.iter().map(|part| u32::from(part.weight)).sum();
        prop_assert!(sum == 0 || sum == CLUSTER_ROWS * WEIGHT_OF_A_ROW, "{}", sum);
        let able = |one: &&Contender| one.weight > 0;
        let of = |priority| contenders.iter().filter(able).filter(move |one| one.priority == priority);
        // Of few among many nothing is left when it is rounded.
        let health = |priority: usize| of(priority).map(|one| one.tally).sum::<Tally>().health(factor);
        prop_assert!(sum > 0 || (0..4).all(|priority| health(priority) == 0));
        for (part, one) in parts.iter().zip(&contenders) {
            let has_some = if part.panic { one.tally.reachable > 0 } else { one.tally.healthy > 0 };
            prop_assert!(part.weight == 0 || one.weight > 0 && has_some);
        }
        prop_assert_eq!(&divide(&contenders, factor, threshold), &parts, "a constant input moves nothing");
    }

    #[test]
    fn more_healthy_endpoints_never_get_a_priority_less(
        tallies in prop::collection::vec(any_tally(), 1..5), which in any::<prop::sample::Index>(),
        factor in 100_u32..400,
    ) {
        let position = which.index(tallies.len());
        let mut better = tallies.clone();
        better[position].healthy = (better[position].healthy + 1).min(better[position].total);
        // With a threshold, the end of a panic is another matter: health counts again, for all at once.
        let (before, after) = (levels(&tallies, factor, 0), levels(&better, factor, 0));
        prop_assert!(after[position].load >= before[position].load);
    }
}

/// A pool of which no more than `most` percent are taken in.
fn held(priority: usize, healthy: u32, total: u32, most: u32) -> Contender {
    let one = contender(priority, 1, healthy, total);
    Contender { tally: one.tally.held_at(most, FACTOR), ..one }
}

#[test]
fn a_priority_gets_what_is_taken_in_of_its_health() {
    // 25 % of 4,096 are 1,024.
    assert_eq!(rows(&[held(0, 4, 4, 0), contender(1, 1, 4, 4)]), [0, 4096]);
    assert_eq!(rows(&[held(0, 4, 4, 25), contender(1, 1, 4, 4)]), [1024, 3072]);
    // One of two pools of the first: 100 and 20 of it, which are 80 of 100 of the priority by the factor of 140.
    assert_eq!(rows(&[contender(0, 1, 4, 4), held(0, 4, 4, 20), contender(1, 1, 4, 4)]), [2731, 546, 819]);
}

#[test]
fn what_nobody_else_can_take_is_not_held_back() {
    assert_eq!(rows(&[held(0, 4, 4, 25), contender(1, 1, 0, 4)]), [4096, 0]);
    assert_eq!(rows(&[held(0, 4, 4, 0), contender(1, 1, 0, 4)]), [4096, 0]);
    // The other takes 70 of 100, so this one 30, though only 20 are taken in.
    assert_eq!(rows(&[held(0, 4, 4, 20), contender(1, 1, 2, 4)]), [1229, 2867]);
    // Nobody is proven: the first comes first, and within a priority they share.
    assert_eq!(rows(&[held(0, 4, 4, 0), held(1, 4, 4, 0)]), [4096, 0]);
    assert_eq!(rows(&[held(0, 4, 4, 0), held(0, 4, 4, 0)]), [2048, 2048]);
    // Within a priority as well: the other takes it all, or 35 of 100.
    assert_eq!(rows(&[held(0, 4, 4, 0), contender(0, 1, 4, 4)]), [0, 4096]);
    assert_eq!(rows(&[held(0, 4, 4, 0), contender(0, 1, 1, 4)]), [2662, 1434]);
    // But not where another priority has taken the rest: this one has 35 · 4 / 8 to take.
    assert_eq!(rows(&[held(0, 4, 4, 0), contender(0, 1, 1, 4), contender(1, 1, 4, 4)]), [0, 696, 3400]);
}

#[test]
fn panic_is_judged_by_health_as_it_is() {
    let parts = divide(&[held(0, 4, 4, 0), contender(1, 1, 1, 4)], FACTOR, THRESHOLD);
    assert!(parts.iter().all(|part| !part.panic), "{parts:?}");
    let parts = divide(&[held(0, 1, 4, 0), contender(1, 1, 1, 4)], FACTOR, THRESHOLD);
    assert!(parts.iter().all(|part| part.panic), "{parts:?}");
}

proptest! {
    #[test]
    fn relief_is_as_much_as_is_wanted_or_as_there_is(
        healths in prop::collection::vec((0_u32..=100, 0_u32..=100), 1..6), wanted in 0_u32..=100,
    ) {
        let real: Vec<_> = healths.iter().map(|(one, other)| *one.max(other)).collect();
        let taken: Vec<_> = healths.iter().map(|(one, other)| *one.min(other)).collect();
        let relieved = relieve(&taken, &real, wanted);
        for ((relieved, taken), real) in relieved.iter().zip(&taken).zip(&real) {
            prop_assert!((taken..=real).contains(&relieved));
        }
        let sum = |healths: &[u32]| healths.iter().sum::<u32>();
        prop_assert!(sum(&relieved) >= wanted.min(sum(&real)));
        prop_assert!(sum(&relieved) < wanted.max(sum(&taken)) + u32::try_from(healths.len()).unwrap());
    }
}
