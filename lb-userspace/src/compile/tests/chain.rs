//! What rows remember of their owners, for services that track by chain.

use super::*;
use lb_common::abi::EARLIER;
use lb_common::row::{Mode, Row};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The service of one pool, and one of both, track by chain.
fn chained() -> Desired {
    let mut desired = world();
    for service in &mut desired.services[..2] {
        service.tracking = Tracking::Chain;
    }
    desired.pools.iter_mut().for_each(|pool| pool.encap = EncapKind::Gue { port: 6080, tag: false });
    desired
}

/// `chained`, in which so many of the first pool's members drain.
fn drained(members: usize) -> Desired {
    let mut desired = chained();
    desired.pools[0].members[..members].iter_mut().for_each(|one| one.state = MemberState::Draining);
    desired
}

/// A table's current and earlier owners.
fn regions(image: &MapImage, table: u32) -> (Arc<[Row]>, [Arc<[Row]>; EARLIER]) {
    let table = image.tables[&table];
    (image.slab[&table.current].clone(), table.earlier.map(|base| image.slab[&base].clone()))
}

fn index(bench: &Bench, last: u8) -> u32 {
    bench.ledger.record().pools["eu"].backends[&IpAddr::from([10, 0, 0, last])].index.into()
}

#[test]
fn a_row_that_moved_remembers_who_had_it_for_as_long_as_that_is_a_member() {
    let mut bench = Bench::new();
    let first = bench.compile_at(0, &chained());
    let (table, owners) = pool_table(&first, &bench.ledger, "eu");
    assert!(!first.tables[&table].remembers());
    let image = bench.compile_at(10, &drained(1));
    let (current, [newer, older]) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    let moved = |number: usize| current[number].index() != owners[number];
    assert!((0..owners.len()).any(moved));
    for number in 0..owners.len() {
        assert_eq!(newer[number].index(), owners[number], "row {number}");
        assert_eq!(older[number].index(), current[number].index(), "row {number}");
    }
    // Long after the window.
    bench.compile_at(100_000, &drained(1));
    bench.ledger.settle(100_000, |_, _| false);
    let image = bench.compile_at(100_000, &drained(1));
    let (current, [newer, _]) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    for (row, before) in current.iter().zip(newer.iter()) {
        let marked = if row.index() == before.index() { Mode::Clean } else { Mode::Chained };
        assert_eq!(row.mode(), marked, "packets of all others need not ask");
    }
    // It is no member any more.
    let (mut without, gone) = (drained(1), index(&bench, 1));
    without.pools[0].members.remove(0);
    let image = bench.compile_at(100_001, &without);
    let (_, earlier) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    assert!(earlier.iter().all(|rows| rows.iter().all(|row| row.index() != gone)));
    let (owners, _) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    let mut marks = owners.iter().zip(earlier[0].iter()).filter(|(row, _)| row.mode() == Mode::Chained);
    assert!(marks.all(|(row, before)| row.index() != before.index()), "who is gone leaves no mark");
}

#[test]
fn who_is_removed_while_it_owns_rows_is_not_remembered() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    let gone = index(&bench, 1);
    let mut without = chained();
    without.pools[0].members.remove(0);
    let image = bench.compile_at(10, &without);
    let (_, earlier) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    assert!(earlier.iter().all(|rows| rows.iter().all(|row| row.index() != gone)));
}

#[test]
fn it_remembers_the_last_two_others() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    let one = bench.compile_at(10, &drained(1));
    let (_, owners) = pool_table(&one, &bench.ledger, "eu");
    let image = bench.compile_at(20, &drained(2));
    let (current, [newer, older]) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    let [a, b] = [1, 2].map(|last| index(&bench, last));
    let twice = (0..owners.len()).filter(|row| newer[*row].index() == b && older[*row].index() == a).count();
    assert!(twice > 0, "a row went from one to the other, and on");
    assert!(current.iter().all(|row| row.index() != a && row.index() != b));
}

#[test]
fn rows_that_forget_an_owner_that_serves_are_counted() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    bench.compile_at(10, &drained(1));
    let image = bench.compile_at(20, &drained(2));
    assert_eq!(bench.ledger.take_forgot(), 0, "there is room for two others");
    let (current, [newer, older]) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    let image = bench.compile_at(30, &drained(3));
    let (last, _) = regions(&image, pool_table(&image, &bench.ledger, "eu").0);
    let owners = |row: usize| [&last, &current, &newer, &older].map(|rows| rows[row].index());
    let forgot = (0..last.len()).filter(|row| owners(*row).into_iter().collect::<BTreeSet<_>>().len() == 4);
    let forgot = forgot.count() as u64;
    assert!(forgot > 0, "a row went from the first to the second, to the third, and on");
    assert_eq!([bench.ledger.take_forgot(), bench.ledger.take_forgot()], [forgot, 0]);
}

#[test]
fn who_has_no_connections_is_forgotten_though_it_is_a_member() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    bench.compile_at(10, &drained(2));
    let [a, b] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
    let remembered = |bench: &mut Bench| {
        let image = bench.compile_at(20, &drained(2));
        let table = pool_table(&image, &bench.ledger, "eu").0;
        let (_, earlier) = regions(&image, table);
        let has = |last| earlier.iter().any(|rows| rows.iter().any(|row| row.index() == index(bench, last)));
        (image.tables[&table].remembers(), has(1), has(2))
    };
    assert_eq!(remembered(&mut bench), (true, true, true));
    assert!(!bench.ledger.overlook(|pool, address| pool == "us" && [a, b].contains(address)));
    assert!(bench.ledger.overlook(|pool, address| pool == "eu" && *address == a));
    assert_eq!(remembered(&mut bench), (true, false, true));
    assert!(!bench.ledger.overlook(|_, address| *address == a), "once is enough");
    assert!(bench.ledger.overlook(|_, _| true));
    assert_eq!(remembered(&mut bench), (false, false, false), "and the rows are free that it took");
    // Whoever is current stays so, with connections or without.
    assert!(!bench.ledger.overlook(|_, _| true));
}

#[test]
fn a_pool_without_connections_is_forgotten() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    let mut without = chained();
    without.services[1].shares[0].weight = 0;
    let remembers = |image: &MapImage, bench: &Bench| {
        let select = image.services[&bench.ledger.record().services["a/both"].index].select;
        select.single_pool().is_none() && image.tables[&select.table()].remembers()
    };
    let image = bench.compile_at(10, &without);
    assert!(remembers(&image, &bench));
    let some = |pool: &str, address: &IpAddr| pool == "eu" && *address != IpAddr::from([10, 0, 0, 1]);
    assert!(!bench.ledger.overlook(some), "one of its nodes has some");
    assert!(bench.ledger.overlook(|pool, _| pool == "eu"));
    let image = bench.compile_at(20, &without);
    assert!(!remembers(&image, &bench));
}

#[test]
fn who_is_announced_is_not_forgotten() {
    let mut bench = Bench::new();
    bench.compile_at(0, &rolling(chained()));
    let image = bench.compile_at(10, &rolling(drained(1)));
    assert!(!bench.ledger.overlook(|_, _| true));
    assert_eq!(bench.compile_at(20, &rolling(drained(1))).slab, image.slab);
}

#[test]
fn who_sends_by_transition_remembers_nothing_for_long() {
    let mut bench = Bench::new();
    let transition = |draining: bool| {
        let mut desired = if draining { drained(1) } else { chained() };
        desired.services.iter_mut().for_each(|service| service.tracking = Tracking::Transition);
        desired
    };
    bench.compile_at(0, &transition(false));
    let image = bench.compile_at(10, &transition(true));
    assert!(image.tables.values().all(|table| !table.remembers()));
    assert!(image.backends.values().all(|backend| !backend.route.flags.has(BackendFlags::CHAIN)));
}

#[test]
fn a_cluster_row_remembers_its_pools_and_the_service_keeps_its_table() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    let mut one_sided = chained();
    one_sided.services[1].shares[1].weight = 0;
    bench.compile_at(10, &one_sided);
    // Nothing is MOVING or RESIDUE any more, but connections may still be in the other pool.
    bench.compile_at(10_000, &one_sided);
    bench.ledger.settle(20_000, |_, _| false);
    let image = bench.compile_at(30_000, &one_sided);
    let select = image.services[&bench.ledger.record().services["a/both"].index].select;
    assert_eq!(select.single_pool(), None);
    let (current, [newer, _]) = regions(&image, select.table());
    let [eu, us] = ["eu", "us"].map(|pool| u32::from(bench.ledger.record().pools[pool].index));
    assert!(current.iter().all(|row| row.index() == eu));
    assert_eq!(newer.iter().filter(|row| row.index() == us).count(), 410, "a tenth of 4,096");
}

/// The same, where the next owners are announced for 100 ms.
fn rolling(desired: Desired) -> Desired {
    Desired { roll_delay: 100, ..desired }
}

#[test]
fn next_owners_are_asked_before_they_own_the_rows() {
    let mut bench = Bench::new();
    let (before, desired) = (bench.compile_at(0, &rolling(chained())), rolling(drained(1)));
    let (_, owners) = pool_table(&before, &bench.ledger, "eu");
    let announced = bench.compile_at(10, &desired);
    assert_eq!(bench.ledger.next_roll(100), Some(110));
    let (table, held) = pool_table(&announced, &bench.ledger, "eu");
    assert_eq!(held, owners, "nobody gets new flows yet");
    let (_, [next, _]) = regions(&announced, table);
    // Nothing else happens until it is time.
    let again = bench.compile_at(109, &desired);
    assert_eq!((again.generation, &again.slab), (announced.generation, &announced.slab));
    let rolled = bench.compile_at(110, &desired);
    assert_eq!(bench.ledger.next_roll(100), None);
    let (current, [newer, _]) = regions(&rolled, pool_table(&rolled, &bench.ledger, "eu").0);
    let moved = (0..owners.len()).filter(|row| current[*row].index() != owners[*row]).count();
    assert!(moved > 0);
    for row in 0..owners.len() {
        assert_eq!((current[row].index(), newer[row].index()), (next[row].index(), owners[row]), "row {row}");
    }
}

#[test]
fn a_roll_that_is_taken_back_or_replaced_begins_anew() {
    let mut bench = Bench::new();
    let first = bench.compile_at(0, &rolling(chained()));
    let owners = pool_table(&first, &bench.ledger, "eu").1;
    bench.compile_at(10, &rolling(drained(1)));
    bench.compile_at(50, &rolling(drained(2)));
    assert_eq!(bench.ledger.next_roll(100), Some(150), "the other has its own time");
    let back = bench.compile_at(60, &rolling(chained()));
    assert_eq!(bench.ledger.next_roll(100), None);
    assert_eq!(pool_table(&back, &bench.ledger, "eu").1, owners);
}

#[test]
fn nobody_waits_for_the_dead() {
    let mut bench = Bench::new();
    bench.compile_at(0, &rolling(chained()));
    let mut dead = rolling(chained());
    dead.pools[0].members[0].state = MemberState::Down;
    let (image, gone) = (bench.compile_at(10, &dead), index(&bench, 1));
    assert!(!pool_table(&image, &bench.ledger, "eu").1.contains(&gone));
}

#[test]
fn an_heir_goes_on_with_what_is_announced() {
    let mut bench = Bench::new();
    let (first, desired) = (bench.compile_at(0, &rolling(chained())), rolling(drained(1)));
    let owners = pool_table(&first, &bench.ledger, "eu").1;
    let announced = bench.compile_at(10, &desired);
    let mut maps = MemoryMaps::new(bench.ledger.sizes());
    reconcile(&announced, &mut maps).unwrap();
    let record = bench.ledger.record().clone();
    let ledger = Ledger::adopt(record, Sizes::of(&LIMITS), &maps, 50).unwrap();
    let mut heir = Bench { ledger, cache: Cache::default(), now: 50 };
    assert_eq!(heir.compile(&desired).generation, announced.generation, "it is announced already");
    let rolled = heir.compile_at(110, &desired);
    assert_ne!(pool_table(&rolled, &heir.ledger, "eu").1, owners);
}

#[test]
fn a_second_pool_is_announced_too() {
    let roomy = Sizes::of(&Limits { rows: 65_536, ..LIMITS });
    let mut bench = Bench { ledger: Ledger::new(roomy), ..Bench::new() };
    let (mut alone, both) = (rolling(chained()), rolling(chained()));
    alone.services[1].shares.truncate(1);
    bench.compile_at(0, &alone);
    let [eu, us] = ["eu", "us"].map(|pool| u32::from(bench.ledger.record().pools[pool].index));
    let table = |image: &MapImage, bench: &Bench| {
        let select = image.services[&bench.ledger.record().services["a/both"].index].select;
        assert_eq!(select.single_pool(), None);
        regions(image, select.table())
    };
    let image = bench.compile_at(10, &both);
    let (current, [next, _]) = table(&image, &bench);
    assert!(current.iter().all(|row| row.index() == eu) && next.iter().any(|row| row.index() == us));
    let image = bench.compile_at(110, &both);
    assert!(table(&image, &bench).0.iter().any(|row| row.index() == us));
}

#[test]
fn an_heir_reads_it_in_the_maps() {
    let mut bench = Bench::new();
    bench.compile_at(0, &chained());
    let second = bench.compile_at(10, &drained(1));
    let mut maps = MemoryMaps::new(bench.ledger.sizes());
    reconcile(&second, &mut maps).unwrap();
    let record = bench.ledger.record().clone();
    let ledger = Ledger::adopt(record, Sizes::of(&LIMITS), &maps, 50).unwrap();
    let mut heir = Bench { ledger, cache: Cache::default(), now: 50 };
    let third = heir.compile(&drained(1));
    let table = pool_table(&third, &heir.ledger, "eu").0;
    assert_eq!(regions(&third, table), regions(&second, table));
    assert_eq!(third.generation, second.generation, "nothing changed");
}
