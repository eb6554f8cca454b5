//! What becomes of rows over several generations.

use super::*;
use crate::reconcile::{Op, perform, plan};
use lb_common::row::{Mode, Row};

const WINDOW: u64 = 1000;

impl Bench {
    /// Compiles at another time.
    pub(super) fn compile_at(&mut self, now: u64, desired: &Desired) -> MapImage {
        self.now = now;
        let image = self.compile(desired);
        self.ledger.release_tables(image.generation);
        image
    }
}

/// Only pool `eu` has a weight.
fn drained() -> Desired {
    let mut desired = world();
    for service in &mut desired.services {
        service.shares.iter_mut().filter(|share| share.pool == "us").for_each(|share| share.weight = 0);
    }
    desired
}

fn cluster_rows(image: &MapImage, bench: &Bench, service: &str) -> Option<(Vec<Row>, Vec<Row>)> {
    let select = image.services[&bench.ledger.record().services[service].index].select;
    if select.single_pool().is_some() {
        return None;
    }
    let table = &image.tables[&select.table()];
    Some((image.slab[&table.current].to_vec(), image.slab[&table.stable].to_vec()))
}

#[test]
fn a_drained_cluster_keeps_its_rows_as_stable_until_nobody_needs_them() {
    let mut bench = Bench::new();
    bench.compile_at(0, &world());
    let image = bench.compile_at(10, &drained());
    let [eu, us] = ["eu", "us"].map(|pool| u32::from(bench.ledger.record().pools[pool].index));
    let (rows, stable) = cluster_rows(&image, &bench, "a/both").expect("one pool, but not at once");
    assert!(rows.iter().all(|row| row.index() == eu));
    let moving: Vec<_> = rows.iter().zip(&stable).filter(|(row, _)| row.mode() == Mode::Moving).collect();
    assert_eq!(moving.len(), 410, "a tenth of 4,096");
    assert!(moving.iter().all(|(_, stable)| stable.index() == us));

    let image = bench.compile_at(10 + WINDOW, &drained());
    let (rows, _) = cluster_rows(&image, &bench, "a/both").expect("somebody may need it");
    assert_eq!(rows.iter().filter(|row| row.mode() == Mode::Residue).count(), 410);
    bench.ledger.settle(10 + WINDOW, |_, row| row == 0);
    bench.ledger.settle(10 + WINDOW, |_, _| false);
    assert_eq!(cluster_rows(&bench.compile_at(2 * WINDOW, &drained()), &bench, "a/both"), None);
}

#[test]
fn a_service_that_gets_another_pool_remembers_the_one_it_had() {
    let mut bench = Bench::new();
    bench.compile_at(0, &world());
    let mut desired = world();
    desired.services[0].shares = vec![Share::fixed("us", "us", 1)];
    let image = bench.compile_at(5, &desired);
    let (rows, stable) = cluster_rows(&image, &bench, "a/one").expect("it moved");
    let eu = u32::from(bench.ledger.record().pools["eu"].index);
    assert!(rows.iter().all(|row| row.mode() == Mode::Moving) && stable.iter().all(|row| row.index() == eu));
    desired.services[0].tracking = Tracking::None;
    assert_eq!(cluster_rows(&bench.compile_at(6, &desired), &bench, "a/one"), None, "nothing is to be kept");
}

#[test]
fn services_that_go_the_same_way_share_their_tables() {
    let mut bench = Bench::new();
    bench.compile_at(0, &world());
    let mut desired = world();
    for service in &mut desired.services {
        service.shares.iter_mut().filter(|share| share.pool == "us").for_each(|share| share.weight *= 2);
    }
    let image = bench.compile_at(10, &desired);
    let select = |name: &str| image.services[&bench.ledger.record().services[name].index].select;
    assert_eq!(select("a/both"), select("b/both"));
    assert_eq!(image.tables.len(), 3);
}

#[test]
fn a_backend_that_could_not_be_reached_returns_to_rows_that_are_looked_up() {
    let mut bench = Bench::new();
    let mut desired = world();
    desired.pools[0].members[0].reach = Reach::Unresolved;
    bench.compile_at(0, &desired);
    let image = bench.compile_at(10, &world());
    let table = &image.tables[&pool_table(&image, &bench.ledger, "eu").0];
    let rows = &image.slab[&table.current];
    for row in rows.iter() {
        assert_eq!(row.mode() == Mode::Residue, row.index() == 0, "{row:?}");
    }
}

#[test]
fn an_heir_goes_on_from_the_tables_that_the_maps_name() {
    let mut bench = Bench::new();
    let first = bench.compile_at(0, &world());
    let mut maps = MemoryMaps::new(bench.ledger.sizes());
    reconcile(&first, &mut maps).unwrap();
    // The record of the next generation is written, and a few of its rows; then the agent dies.
    let mut desired = world();
    desired.pools[0].members[1].state = MemberState::Draining;
    let second = bench.compile(&desired);
    let ops = plan(&second, &maps);
    let rows = ops.iter().position(|op| matches!(op, Op::Store { map: "slab", .. })).expect("a new table");
    ops[..=rows].iter().for_each(|op| perform(op, &mut maps));
    let record = bench.ledger.record().clone();
    let ledger = Ledger::adopt(record, Sizes::of(&LIMITS), &maps, 50).unwrap();
    bench = Bench { ledger, cache: Cache::default(), now: 50 };
    let held = pool_table(&first, &bench.ledger, "eu").0;
    assert_eq!(bench.ledger.record().pools["eu"].table, held);
    let third = bench.compile(&desired);
    let table = &third.tables[&pool_table(&third, &bench.ledger, "eu").0];
    let drained = u32::from(bench.ledger.record().pools["eu"].backends[&IpAddr::from([10, 0, 0, 2])].index);
    let pairs = third.slab[&table.current].iter().zip(third.slab[&table.stable].iter());
    let moving: Vec<_> = pairs.filter(|(row, _)| row.mode() == Mode::Moving).collect();
    assert!(!moving.is_empty());
    assert!(moving.iter().any(|(_, stable)| stable.index() == drained));
    let was = first.slab[&first.tables[&held].current].iter().filter(|row| row.index() == drained).count();
    assert_eq!(moving.iter().filter(|(_, stable)| stable.index() == drained).count(), was);
}

#[test]
fn a_pool_of_fewer_rows_has_the_finer_table_until_it_is_clean() {
    let mut bench = Bench::new();
    let mut desired = world();
    desired.pools[0].rows = 1024;
    bench.compile_at(0, &desired);
    let rows = |image: &MapImage, bench: &Bench| {
        1 << image.tables[&pool_table(image, &bench.ledger, "eu").0].log2_rows
    };
    let image = bench.compile_at(10, &world());
    assert_eq!(rows(&image, &bench), 1024);
    assert_eq!(rows(&bench.compile_at(10 + WINDOW, &world()), &bench), 1024);
    bench.ledger.settle(10 + WINDOW, |_, _| false);
    let image = bench.compile_at(2 * WINDOW, &world());
    assert_eq!(rows(&image, &bench), 256);
    assert!(image.slab.values().flat_map(|rows| rows.iter()).all(|row| row.is_clean()), "the same owners");
}

#[test]
fn a_dead_pool_serves_only_if_a_service_sends_to_it() {
    let mut bench = Bench::new();
    let mut desired = drained();
    for member in &mut desired.pools[1].members {
        member.state = MemberState::Down;
    }
    let serving = |image: &MapImage, bench: &Bench| {
        let backends = bench.ledger.record().pools["us"].backends.values();
        let entries = backends.map(|backend| image.backends[&backend.index.into()]);
        entries.filter(|entry| entry.route.flags.has(BackendFlags::SERVES)).count()
    };
    assert_eq!(serving(&bench.compile_at(0, &desired), &bench), 0, "connections are recorded anew elsewhere");
    desired.services[1].shares[1].weight = 1;
    assert_eq!(serving(&bench.compile_at(1, &desired), &bench), 4);
}

#[test]
fn another_algorithm_is_another_table_and_moves_rows() {
    let (mut bench, mut desired) = (Bench::new(), world());
    let first = bench.compile(&desired);
    let maglev = pool_table(&first, &bench.ledger, "eu");
    desired.pools[0].algorithm = Algorithm::Hrw;
    let second = bench.compile(&desired);
    let hrw = pool_table(&second, &bench.ledger, "eu");
    assert!(second.generation > first.generation && hrw.0 != maglev.0 && hrw.1 != maglev.1);
    assert!(!bench.ledger.histories()[&hrw.0].is_clean(), "connections on rows that moved are kept");
    desired.pools[0].algorithm = Algorithm::Maglev;
    let third = bench.compile(&desired);
    assert_eq!(pool_table(&third, &bench.ledger, "eu").1, maglev.1);
}
