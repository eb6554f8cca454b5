use super::*;

const WINDOW: u64 = 100;

fn owners(indices: &[u16]) -> Vec<Row> {
    indices.iter().map(|index| Row::new(*index, Mode::Clean)).collect()
}

fn history(indices: &[u16]) -> History {
    History::clean(owners(indices).into())
}

fn modes(history: &History) -> Vec<(u32, Mode)> {
    history.rows().iter().map(|row| (row.index(), row.mode())).collect()
}

fn stable(history: &History) -> Vec<u32> {
    history.stable().map(|rows| rows.iter().map(|row| row.index()).collect()).unwrap_or_default()
}

#[test]
fn a_row_that_changes_its_owner_moves() {
    let moved = history(&[1, 2]).advance(&owners(&[1, 3]), 10);
    assert_eq!(modes(&moved), [(1, Mode::Clean), (3, Mode::Moving)]);
    assert_eq!(stable(&moved)[1], 2);
    assert_eq!(moved.next_expiry(WINDOW), Some(110));
}

#[test]
fn a_row_that_moves_again_keeps_its_stable_owner_and_its_time() {
    let again = history(&[1]).advance(&owners(&[2]), 10).advance(&owners(&[3]), 50);
    assert_eq!(modes(&again), [(3, Mode::Moving)]);
    assert_eq!(stable(&again), [1]);
    assert_eq!(again.next_expiry(WINDOW), Some(110));
    let back = again.advance(&owners(&[1]), 60);
    assert_eq!(modes(&back), [(1, Mode::Moving)], "flows of 2 and 3 are recorded");
}

#[test]
fn the_window_ends_in_residue_and_a_sweep_in_clean() {
    let mut moved = history(&[1, 2]).advance(&owners(&[3, 4]), 10);
    moved.expire(109, WINDOW);
    assert_eq!(modes(&moved)[0].1, Mode::Moving);
    moved.expire(110, WINDOW);
    assert_eq!(modes(&moved), [(3, Mode::Residue), (4, Mode::Residue)]);
    assert_eq!(moved.stable(), None);
    moved.settle(109, |_, _| false);
    assert_eq!(modes(&moved)[0].1, Mode::Residue, "a sweep from before tells nothing");
    moved.settle(110, |number, row| number == 0 && row.index() == 3);
    assert_eq!(modes(&moved), [(3, Mode::Residue), (4, Mode::Clean)]);
    moved.settle(110, |_, _| false);
    assert!(moved.is_clean() && !moved.is_settled_on(3));
}

#[test]
fn residue_moves_from_the_owner_it_has() {
    let mut moved = history(&[1]).advance(&owners(&[2]), 0);
    moved.expire(WINDOW, WINDOW);
    let again = moved.advance(&owners(&[3]), 500);
    assert_eq!((modes(&again), stable(&again)), (vec![(3, Mode::Moving)], vec![2]));
    assert_eq!(again.next_expiry(WINDOW), Some(600));
}

#[test]
fn a_backend_that_returns_makes_its_rows_residue() {
    let mut rows = history(&[1, 2, 1]);
    rows.rouse(9, 5);
    assert!(rows.is_clean());
    rows.rouse(1, 5);
    assert_eq!(modes(&rows), [(1, Mode::Residue), (2, Mode::Clean), (1, Mode::Residue)]);
    rows.settle(6, |_, _| false);
    rows.rouse(1, 7);
    rows.rouse(1, 9);
    rows.settle(8, |_, _| false);
    assert_eq!(modes(&rows)[0].1, Mode::Residue, "it went away and came back meanwhile");
}

#[test]
fn what_is_gone_is_nobodys_stable_owner() {
    let mut moved = history(&[1, 2]).advance(&owners(&[3, 3]), 10);
    moved.forget(|index| index == 1);
    assert_eq!(stable(&moved), [3, 2]);
    assert_eq!(modes(&moved)[0].1, Mode::Moving);
}

#[test]
fn tables_of_two_lengths_meet_at_the_longer() {
    let longer = history(&[1, 2]).advance(&owners(&[1, 3, 2, 2]), 10);
    assert_eq!(modes(&longer)[1], (3, Mode::Moving));
    assert_eq!(stable(&longer), [1, 1, 2, 2]);
    let shorter = history(&[1, 2, 3, 4]).advance(&owners(&[1, 4]), 10);
    let expected = [(1, Mode::Clean), (1, Mode::Moving), (4, Mode::Moving), (4, Mode::Clean)];
    assert_eq!(modes(&shorter), expected);
    assert!(shorter.is_owned_by(&owners(&[1, 4]).into()) && !shorter.is_owned_by(&owners(&[1, 3]).into()));
}

#[test]
fn an_heir_counts_from_its_own_beginning() {
    let moved = history(&[1, 2]).advance(&owners(&[1, 3]), 10);
    let heir = History::adopt(moved.rows(), moved.stable().unwrap().clone(), 1000);
    assert_eq!((modes(&heir), heir.next_expiry(WINDOW)), (modes(&moved), Some(1100)));
    let clean = history(&[1, 2]);
    assert!(History::adopt(clean.rows(), clean.rows().clone(), 7).is_clean());
}
