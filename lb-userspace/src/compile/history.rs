//! What a table's rows have been through: their owners, modes, stable owners, and since when.
//!
//! - An owner changes: a CLEAN or RESIDUE row becomes MOVING, and its stable owner is the one before. A row
//!   that is MOVING already keeps its stable owner and its time: who came in between took new flows only, and
//!   they are recorded.
//! - A row has been MOVING for the window: RESIDUE. Every flow that was there before has sent a packet since,
//!   and is recorded, or is over.
//! - No recorded connection on a RESIDUE row goes elsewhere than the row says: CLEAN.
//! - A backend that did not serve begins to: its CLEAN rows become RESIDUE, for flows are recorded with those
//!   that stood in for it.
//!
//! Times are milliseconds of a clock that only goes forward.

use super::earlier::Earlier;
use lb_common::abi::EARLIER;
use lb_common::row::{Mode, Row};
use std::sync::Arc;

/// The rows of one table, and their past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    rows: Arc<[Row]>,
    /// `None`: every row is clean.
    moved: Option<Moved>,
    /// `None`: no row remembers another owner.
    earlier: Option<Earlier>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Moved {
    /// Who owned each row when it was last clean, in mode CLEAN; means something in MOVING rows only.
    stable: Arc<[Row]>,
    /// When each row got its mode; means nothing in CLEAN rows.
    since: Vec<u64>,
}

impl History {
    /// Rows without a past.
    pub fn clean(owners: Arc<[Row]>) -> Self {
        Self { rows: owners, moved: None, earlier: None }
    }

    /// One owner for all rows, without a past.
    pub fn uniform(owner: u16, rows: usize) -> Self {
        Self::clean(vec![Row::new(owner, Mode::Clean); rows].into())
    }

    /// Rows as another agent left them. What is not clean counts as so from now on: to look a connection up
    /// for longer than needed is never wrong.
    pub fn adopt(rows: &[Row], stable: Arc<[Row]>, now: u64) -> Self {
        let since = vec![now; rows.len()];
        let own = |row: &Row| if row.mode() == Mode::Chained { row.in_mode(Mode::Clean) } else { *row };
        let rows = rows.iter().map(own).collect();
        Self { rows, moved: Some(Moved { stable, since }), earlier: None }.tidy()
    }

    /// With the earlier owners that another agent left.
    #[must_use]
    pub fn adopt_earlier(self, rows: [Arc<[Row]>; EARLIER]) -> Self {
        Self { earlier: Earlier::adopt(rows, &self.rows), ..self }
    }

    /// With the earlier owners that rows have which came after those of `past`.
    #[must_use]
    pub fn remember(self, past: &Self) -> Self {
        Self { earlier: Earlier::follow(&past.rows, past.earlier.as_ref(), &self.rows), ..self }
    }

    /// The same rows, of which each that will soon have another of these owners, as many, has it among its others.
    #[must_use]
    pub fn announce(&self, next: &[Row]) -> Self {
        let earlier = Earlier::announce(&self.rows, self.earlier.as_ref(), next);
        Self { earlier, ..self.clone() }
    }

    /// The same past of the same owners, as they lie in other memory. To be asked of clean rows.
    #[must_use]
    pub fn of_owners(self, owners: Arc<[Row]>) -> Self {
        Self { rows: owners, ..self }
    }

    /// The earlier owners, if a row has one.
    pub fn earlier(&self) -> Option<&Earlier> {
        self.earlier.as_ref()
    }

    /// Owners and modes; of clean rows not whether they remember others.
    pub fn rows(&self) -> &Arc<[Row]> {
        &self.rows
    }

    /// Owners and modes, as the slab holds them: clean rows that remember others are CHAINED there, so that packets on all
    /// others need not ask.
    pub fn marked(&self) -> Arc<[Row]> {
        let Some(earlier) = &self.earlier else { return self.rows.clone() };
        let mark = |(row, moved): (&Row, bool)| {
            if row.is_clean() && moved { row.in_mode(Mode::Chained) } else { *row }
        };
        self.rows.iter().zip(earlier.moved(&self.rows)).map(mark).collect()
    }

    /// The stable owners, if a row is MOVING.
    pub fn stable(&self) -> Option<&Arc<[Row]>> {
        let moved = self.moved.as_ref()?;
        self.rows.iter().any(|row| row.mode() == Mode::Moving).then_some(&moved.stable)
    }

    /// Whether a row is not clean, or remembers another owner.
    pub fn has_past(&self) -> bool {
        self.moved.is_some() || self.earlier.is_some()
    }

    /// Whether every row is clean.
    pub fn is_clean(&self) -> bool {
        self.moved.is_none()
    }

    /// Whether the owners are these, each of them for as many rows as there are to one of theirs.
    pub fn is_owned_by(&self, owners: &Arc<[Row]>) -> bool {
        if Arc::ptr_eq(&self.rows, owners) {
            return true;
        }
        let each = self.rows.len() / owners.len().max(1);
        owners.len() * each == self.rows.len()
            && self.rows.iter().enumerate().all(|(row, held)| held.index() == owners[row / each].index())
    }

    /// Whether one owner has all rows and no row has a past.
    pub fn is_settled_on(&self, owner: u16) -> bool {
        !self.has_past() && self.rows.iter().all(|row| row.index() == u32::from(owner))
    }

    /// The same rows with other owners. If the two differ in number, there are as many as in the longer: a row
    /// of the shorter stands for several, for rows are ranges of the hash.
    #[must_use]
    pub fn advance(&self, owners: &[Row], now: u64) -> Self {
        let length = self.rows.len().max(owners.len());
        let (old, new) = (length / self.rows.len().max(1), length / owners.len().max(1));
        let (mut rows, mut stable, mut since) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..length {
            let (held, owner) = (number / old, owners[number / new]);
            let (row, before, time) = step(self.rows[held], self.past(held), owner, now);
            rows.push(row);
            stable.push(before);
            since.push(time);
        }
        Self { rows: rows.into(), moved: Some(Moved { stable: stable.into(), since }), earlier: None }.tidy()
    }

    fn past(&self, row: usize) -> (Row, u64) {
        self.moved.as_ref().map_or((self.rows[row], 0), |moved| (moved.stable[row], moved.since[row]))
    }

    /// Rows that have been MOVING for `window` become RESIDUE.
    pub fn expire(&mut self, now: u64, window: u64) {
        let over = |row: Row, since: u64| row.mode() == Mode::Moving && since.saturating_add(window) <= now;
        self.turn(now, Mode::Residue, |_, row, since| over(row, since));
    }

    /// RESIDUE rows that have been so since `before` and that `holds` says nothing of become CLEAN.
    pub fn settle(&mut self, before: u64, holds: impl Fn(u32, Row) -> bool) {
        let free =
            |number, row: Row, since| row.mode() == Mode::Residue && since <= before && !holds(number, row);
        self.turn(before, Mode::Clean, free);
        if self.rows.iter().all(|row| row.is_clean()) {
            self.moved = None;
        }
    }

    /// A backend begins to serve again: flows may be recorded with others on every row that it owns.
    pub fn rouse(&mut self, owner: u16, now: u64) {
        let is_its = |row: Row| row.index() == u32::from(owner) && row.mode() != Mode::Moving;
        if self.rows.iter().any(|row| is_its(*row)) {
            let (stable, length) = (self.rows.clone(), self.rows.len());
            self.moved.get_or_insert_with(|| Moved { stable, since: vec![now; length] });
            self.turn(now, Mode::Residue, |_, row, _| is_its(row));
        }
    }

    /// Whether a row remembers one of these owners as another than its own.
    pub fn remembers(&self, is_one: impl Fn(u32) -> bool) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| earlier.remembers(&self.rows, is_one))
    }

    /// How many of these rows, which came after those of `past`, forgot one of the owners that those knew, and that
    /// `serves`: its connections are led to others.
    pub fn forgot(&self, past: &Self, serves: impl Fn(u32) -> bool) -> usize {
        let each = self.rows.len().checked_div(past.rows.len()).unwrap_or(0);
        let forgot = |number: &usize| {
            let now = self.known(*number);
            let before = number.checked_div(each).map(|number| past.known(number)).into_iter().flatten();
            before.into_iter().any(|owner| serves(owner) && !now.contains(&owner))
        };
        (0..self.rows.len()).filter(forgot).count()
    }

    /// The owners that a row has and remembers.
    fn known(&self, number: usize) -> [u32; EARLIER + 1] {
        let row = self.rows[number];
        let [newer, older] = self.earlier.as_ref().map_or([row; EARLIER], |earlier| earlier.of(number));
        [row, newer, older].map(Row::index)
    }

    /// Earlier owners of whom nobody is to be asked any more make way for the current ones.
    pub fn overlook(&mut self, is_one: impl Fn(u32) -> bool) {
        self.earlier = self.earlier.take().and_then(|earlier| earlier.forget(&self.rows, is_one));
    }

    /// Stable and earlier owners that are no more make way for the current ones: their index may come to mean another.
    pub fn forget(&mut self, is_gone: impl Fn(u32) -> bool) {
        self.overlook(&is_gone);
        let Some(moved) = &mut self.moved else { return };
        if moved.stable.iter().any(|row| is_gone(row.index())) {
            let pairs = Arc::make_mut(&mut moved.stable).iter_mut().zip(self.rows.iter());
            pairs
                .filter(|(stable, _)| is_gone(stable.index()))
                .for_each(|(stable, row)| *stable = row.in_mode(Mode::Clean));
        }
    }

    /// When the next row stops MOVING, after a `window`.
    pub fn next_expiry(&self, window: u64) -> Option<u64> {
        let moved = self.moved.as_ref()?;
        let moving = self.rows.iter().zip(&moved.since).filter(|(row, _)| row.mode() == Mode::Moving);
        moving.map(|(_, since)| since.saturating_add(window)).min()
    }

    /// Gives rows another mode.
    fn turn(&mut self, now: u64, mode: Mode, turns: impl Fn(u32, Row, u64) -> bool) {
        let Some(moved) = &mut self.moved else { return };
        let rows = (0..).zip(self.rows.iter()).zip(&moved.since);
        let turned: Vec<_> = rows
            .filter(|((number, row), since)| turns(*number, **row, **since))
            .map(|((n, _), _)| n)
            .collect();
        if turned.is_empty() {
            return;
        }
        let rows = Arc::make_mut(&mut self.rows);
        for number in turned.into_iter().map(|number| number as usize) {
            rows[number] = rows[number].in_mode(mode);
            moved.since[number] = now;
        }
    }

    fn tidy(self) -> Self {
        let clean = self.rows.iter().all(|row| row.is_clean());
        Self { moved: self.moved.filter(|_| !clean), ..self }
    }
}

/// A row's next state: row, stable owner, time.
fn step(held: Row, (stable, since): (Row, u64), owner: Row, now: u64) -> (Row, Row, u64) {
    if held.index() == owner.index() {
        return (held, stable, since);
    }
    let moving = owner.in_mode(Mode::Moving);
    match held.mode() {
        Mode::Moving => (moving, stable, since),
        Mode::Clean | Mode::Chained | Mode::Residue => (moving, held.in_mode(Mode::Clean), now),
    }
}

#[cfg(test)]
mod tests;
