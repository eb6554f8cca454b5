//! The owners that rows had before the current one, for services that track by chain: their backends are asked in
//! turn whose a connection is. A row remembers its last two others, for as long as they are members, however long
//! that is: a connection may live for days.

use lb_common::abi::EARLIER;
use lb_common::row::{Mode, Row};
use std::sync::Arc;

/// Earlier owners of a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The newer first, in mode CLEAN. A row that had none has its current owner there.
    rows: [Arc<[Row]>; EARLIER],
}

impl Earlier {
    /// As the slab holds them beside the current owners. `None`: no row had another owner.
    pub fn adopt(rows: [Arc<[Row]>; EARLIER], owners: &[Row]) -> Option<Self> {
        let earlier = Self { rows };
        let known = earlier.moved(owners).any(|moved| moved);
        known.then_some(earlier)
    }

    /// For each row of these owners, whether it had another.
    pub fn moved(&self, owners: &[Row]) -> impl Iterator<Item = bool> {
        self.rows[0].iter().zip(owners).map(|(newer, owner)| newer.index() != owner.index())
    }

    /// Of rows that belonged to `held`, who remembered `before`, and now belong to `owners`. If `held` are fewer, each
    /// stands for several of the others; if they are more, nothing is known.
    pub fn follow(held: &[Row], before: Option<&Self>, owners: &[Row]) -> Option<Self> {
        let each = owners.len().checked_div(held.len()).filter(|each| *each > 0)?;
        Self::of_rows(owners, |number| {
            let number = number / each;
            let [newer, older] = before.map_or([held[number]; EARLIER], |before| before.of(number));
            [held[number], newer, older]
        })
    }

    /// Of rows that still belong to `held`, who remember `before`, and will soon belong to `next`, as many: that owner is
    /// the first of the others.
    pub fn announce(held: &[Row], before: Option<&Self>, next: &[Row]) -> Option<Self> {
        Self::of_rows(held, |number| {
            let [newer, older] = before.map_or([held[number]; EARLIER], |before| before.of(number));
            [next[number], newer, older]
        })
    }

    /// Whether one of these is remembered by a row of another owner.
    pub fn remembers(&self, owners: &[Row], is_one: impl Fn(u32) -> bool) -> bool {
        let mut pairs = self.rows.iter().flat_map(|rows| rows.iter().zip(owners));
        pairs.any(|(row, owner)| row.index() != owner.index() && is_one(row.index()))
    }

    /// Without owners that are no more, whose index may come to mean another, or that have no connections.
    #[must_use]
    pub fn forget(self, owners: &[Row], is_gone: impl Fn(u32) -> bool) -> Option<Self> {
        let gone = |row: &Row| is_gone(row.index());
        if !self.remembers(owners, &is_gone) {
            return Some(self);
        }
        Self::of_rows(owners, |number| {
            let [newer, older] = self.of(number).map(|row| if gone(&row) { owners[number] } else { row });
            [newer, older, older]
        })
    }

    /// As the slab holds them: the newer owners, then the older.
    pub fn rows(&self) -> &[Arc<[Row]>; EARLIER] {
        &self.rows
    }

    /// Of a row.
    pub fn of(&self, number: usize) -> [Row; EARLIER] {
        self.rows.each_ref().map(|rows| rows[number])
    }

    fn of_rows(owners: &[Row], known: impl Fn(usize) -> [Row; EARLIER + 1]) -> Option<Self> {
        let others = owners.iter().enumerate().map(|(number, owner)| others(*owner, known(number)));
        let (newer, older): (Vec<_>, Vec<_>) = others.map(|[newer, older]| (newer, older)).unzip();
        Self::adopt([newer.into(), older.into()], owners)
    }
}

/// The first two of the known owners that are not the current one, nor each other; it stands for who is not there.
fn others(owner: Row, known: [Row; EARLIER + 1]) -> [Row; EARLIER] {
    let owner = owner.in_mode(Mode::Clean);
    let mut found = [owner; EARLIER];
    let mut count = 0;
    for row in known.map(|row| row.in_mode(Mode::Clean)) {
        if count < EARLIER && row != owner && !found[..count].contains(&row) {
            found[count] = row;
            count += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(owners: &[u16]) -> Vec<Row> {
        owners.iter().map(|owner| Row::new(*owner, Mode::Clean)).collect()
    }

    fn known(earlier: Option<&Earlier>) -> Vec<[u32; EARLIER]> {
        let earlier = earlier.expect("a row had another owner");
        (0..earlier.rows[0].len()).map(|number| earlier.of(number).map(Row::index)).collect()
    }

    /// Rows of one owner after another, and whom they remember at the end.
    fn after(owners: &[&[u16]]) -> Option<Earlier> {
        let steps = owners.windows(2);
        steps.fold(None, |earlier, step| Earlier::follow(&rows(step[0]), earlier.as_ref(), &rows(step[1])))
    }

    #[test]
    fn a_row_remembers_its_last_two_other_owners() {
        assert_eq!(after(&[&[1, 2]]), None);
        assert_eq!(after(&[&[1, 2], &[1, 2]]), None);
        assert_eq!(known(after(&[&[1, 2], &[3, 2]]).as_ref()), [[1, 3], [2, 2]]);
        assert_eq!(known(after(&[&[1], &[2], &[3]]).as_ref()), [[2, 1]]);
        assert_eq!(known(after(&[&[1], &[2], &[3], &[4]]).as_ref()), [[3, 2]]);
    }

    #[test]
    fn who_comes_back_is_no_earlier_owner_of_itself() {
        assert_eq!(known(after(&[&[1], &[2], &[1]]).as_ref()), [[2, 1]]);
        assert_eq!(known(after(&[&[1], &[2], &[3], &[2]]).as_ref()), [[3, 1]]);
        assert_eq!(known(after(&[&[1], &[2], &[1], &[2], &[1]]).as_ref()), [[2, 1]]);
    }

    #[test]
    fn a_next_owner_is_asked_first_and_once_it_owns_the_row_the_others_follow() {
        let before = after(&[&[1, 2], &[3, 2]]);
        let announced = Earlier::announce(&rows(&[3, 2]), before.as_ref(), &rows(&[4, 2]));
        assert_eq!(known(announced.as_ref()), [[4, 1], [2, 2]]);
        let rolled = Earlier::follow(&rows(&[3, 2]), announced.as_ref(), &rows(&[4, 2]));
        assert_eq!(known(rolled.as_ref()), [[3, 1], [2, 2]]);
    }

    #[test]
    fn a_row_of_a_small_table_stands_for_several() {
        let before = after(&[&[1, 2], &[3, 2]]);
        let earlier = Earlier::follow(&rows(&[3, 2]), before.as_ref(), &rows(&[3, 4, 2, 4]));
        assert_eq!(known(earlier.as_ref()), [[1, 3], [3, 1], [2, 2], [2, 4]]);
    }

    #[test]
    fn who_is_gone_makes_way() {
        let earlier = || after(&[&[1], &[2], &[3]]).expect("it had others");
        let owners = rows(&[3]);
        assert_eq!(known(earlier().forget(&owners, |owner| owner == 2).as_ref()), [[1, 3]]);
        assert_eq!(known(earlier().forget(&owners, |owner| owner == 1).as_ref()), [[2, 3]]);
        assert_eq!(known(earlier().forget(&owners, |_| false).as_ref()), [[2, 1]]);
        assert_eq!(earlier().forget(&owners, |owner| owner < 3), None);
    }
}
