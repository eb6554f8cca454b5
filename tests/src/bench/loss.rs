//! What the loss of a gateway breaks, if gateways share nothing: a pool under churn, whose connections all come to another
//! gateway at one moment, and are lost unless their node is the row's current owner or one of those that are asked.
//!
//! Tables are built and earlier owners kept by the agent's own code. Connections are not drawn but weighed: their
//! lives are exponential, so of those that are there at a moment the share that began in an interval is known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use anyhow::Result;
use lb_common::row::{Mode, Row};
use lb_userspace::compile::earlier::Earlier;
use lb_userspace::compile::node::Member;
use lb_userspace::compile::{hrw, maglev};
use serde::Serialize;
use serde_json::Value;

use super::control::address;
use crate::fixture::chance::Chance;

const ROWS: u32 = 16_384;
/// Nodes in the file, of whom so many drain at the beginning.
const NODES: u16 = 110;
const DRAINING: u16 = 10;
/// Mean life of a connection, and mean time between two changes, in seconds.
const LIFE: f64 = 60.0;
const PERIOD: f64 = 20.0;
/// Changes before the first loss, for rows to have a past, and losses, which come so many seconds one after another.
const CHANGES: usize = 100;
const LOSSES: u32 = 200;
const BETWEEN: f64 = 7.0;
const SEEDS: u64 = 8;
/// A share of the connections that does not count.
const NEGLIGIBLE: f64 = 1e-9;

type Table = fn(&[Member], u32) -> Vec<u16>;

/// What the gateway that is left knows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Knows {
    name: &'static str,
    /// Earlier owners of a row that it finds.
    owners: usize,
    /// Seconds that it is late with each change.
    late: f64,
    /// Last changes that it has missed.
    missed: usize,
}

const KNOWN: [Knows; 6] = [
    Knows { name: "the current owner", owners: 0, late: 0.0, missed: 0 },
    Knows { name: "and one earlier owner", owners: 1, late: 0.0, missed: 0 },
    Knows { name: "and two, as Spillway does", owners: 2, late: 0.0, missed: 0 },
    Knows { name: "and two, 1 s late with each change", owners: 2, late: 1.0, missed: 0 },
    Knows { name: "and two, 5 s late with each change", owners: 2, late: 5.0, missed: 0 },
    Knows { name: "and two, the last change missed", owners: 2, late: 0.0, missed: 1 },
];

/// Connections that are lost, in percent of all that are there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    mean: f64,
    /// At the worst moment of all.
    worst: f64,
}

/// What is lost with what is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    known: &'static str,
    maglev: Share,
    hrw: Share,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// One object.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38} {:>10} {:>10} {:>10} {:>10}", "lost, %", "maglev", "worst", "hrw", "worst")?;
        for Line { known, maglev: one, hrw: other } in &self.lines {
            let [a, b, c, d] = [one.mean, one.worst, other.mean, other.worst];
            writeln!(f, "{known:<38} {a:>10.5} {b:>10.5} {c:>10.5} {d:>10.5}")?;
        }
        Ok(())
    }
}

/// Computes; the same on every machine.
pub fn measure() -> Report {
    let [maglev, hrw] = [maglev::table as Table, hrw::table].map(|table| shares(table, SEEDS));
    let lines = KNOWN.iter().zip(maglev.into_iter().zip(hrw));
    Report { lines: lines.map(|(known, (maglev, hrw))| Line { known: known.name, maglev, hrw }).collect() }
}

fn shares(table: Table, seeds: u64) -> Vec<Share> {
    let churns: Vec<_> = (1..=seeds).map(|seed| Churn::new(seed, table)).collect();
    let share = |knows: &Knows| {
        let lost = churns.iter().flat_map(|churn| churn.losses().map(|at| churn.lost(at, *knows)));
        let lost: Vec<f64> = lost.collect();
        let count = f64::from(u32::try_from(lost.len()).unwrap_or(u32::MAX));
        Share { mean: lost.iter().sum::<f64>() / count, worst: lost.iter().copied().fold(0.0, f64::max) }
    };
    KNOWN.iter().map(share).collect()
}

/// The tables of a pool, one after another.
struct Churn {
    generations: Vec<Generation>,
    /// When the first gateway is lost, in seconds.
    begin: f64,
    /// What was counted already, by two generations.
    unknown: RefCell<BTreeMap<(usize, usize), [u32; 3]>>,
}

struct Generation {
    /// When it began, in seconds.
    since: f64,
    owners: Arc<[Row]>,
    earlier: Option<Earlier>,
}

impl Churn {
    fn new(seed: u64, table: Table) -> Self {
        let mut chance = Chance::new(seed);
        let mut pool = Pool::new();
        let first = Generation { since: 0.0, owners: pool.owners(table), earlier: None };
        let (mut generations, mut now, mut begin) = (vec![first], 0.0, 0.0);
        while generations.len() <= CHANGES || now < begin + BETWEEN * f64::from(LOSSES) {
            if generations.len() == CHANGES {
                begin = now;
            }
            now += exponential(PERIOD, &mut chance);
            pool.change(&mut chance);
            let last = &generations[generations.len() - 1];
            let owners = pool.owners(table);
            let earlier = Earlier::follow(&last.owners, last.earlier.as_ref(), &owners);
            generations.push(Generation { since: now, owners, earlier });
        }
        Self { generations, begin, unknown: RefCell::default() }
    }

    fn losses(&self) -> impl Iterator<Item = f64> + '_ {
        (0..LOSSES).map(|number| self.begin + BETWEEN * f64::from(number))
    }

    /// Index of the generation at a time.
    fn at(&self, time: f64) -> usize {
        self.generations.partition_point(|generation| generation.since <= time) - 1
    }

    /// Connections that are lost at a time, in percent.
    fn lost(&self, time: f64, knows: Knows) -> f64 {
        let left = self.at(time - knows.late) - knows.missed;
        let (mut until, mut lost) = (time, 0.0);
        for number in (0..=self.at(time)).rev() {
            // Of connections that live on at `time`: those that began while this generation was in force.
            let since = self.generations[number].since;
            let share = survival(time - until) - survival(time - since);
            lost += share * f64::from(self.unknown(number, left)[knows.owners]) / f64::from(ROWS);
            until = since;
            if survival(time - until) < NEGLIGIBLE {
                break;
            }
        }
        100.0 * lost
    }

    /// Rows whose owner in one generation another does not find, with its current owner alone, with one more, with two.
    fn unknown(&self, of: usize, by: usize) -> [u32; 3] {
        let count = || self.generations[of].unknown(&self.generations[by]);
        *self.unknown.borrow_mut().entry((of, by)).or_insert_with(count)
    }
}

impl Generation {
    fn unknown(&self, by: &Self) -> [u32; 3] {
        let mut unknown = [0; 3];
        for (number, row) in
            self.owners.iter().enumerate().filter(|(number, row)| by.owners[*number] != **row)
        {
            let mut earlier = by.earlier.iter().flat_map(Earlier::rows);
            let found = earlier.position(|rows| rows[number] == *row).map_or(3, |at| at + 1);
            unknown[..found].iter_mut().for_each(|count| *count += 1);
        }
        unknown
    }
}

fn survival(age: f64) -> f64 {
    (-age / LIFE).exp()
}

fn exponential(mean: f64, chance: &mut Chance) -> f64 {
    let steps = 1 << 30;
    let uniform = (f64::from(u32::try_from(chance.below(steps)).unwrap_or(0)) + 1.0) / f64::from(1_u32 << 30);
    -mean * uniform.ln()
}

/// Who takes new connections, and who drains.
struct Pool {
    active: Vec<u16>,
    draining: Vec<u16>,
}

impl Pool {
    fn new() -> Self {
        Self { active: (DRAINING..NODES).collect(), draining: (0..DRAINING).collect() }
    }

    /// One drains, or one that did comes back: any of those in the file.
    fn change(&mut self, chance: &mut Chance) {
        let drains =
            self.draining.is_empty() || self.draining.len() < 2 * usize::from(DRAINING) && chance.one_in(2);
        let (from, to) = if drains {
            (&mut self.active, &mut self.draining)
        } else {
            (&mut self.draining, &mut self.active)
        };
        to.push(from.swap_remove(chance.below(from.len())));
    }

    fn owners(&self, table: Table) -> Arc<[Row]> {
        let member = |node: &u16| Member { address: address(1, *node).into(), port: 0, weight: 1 };
        let members: Vec<_> = self.active.iter().map(member).collect();
        let rows = table(&members, ROWS).into_iter();
        rows.map(|owner| Row::new(self.active[usize::from(owner)], Mode::Clean)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_more_loses_less() {
        let means: Vec<_> = shares(maglev::table, 1).iter().map(|share| share.mean).collect();
        let [current, one, two, _, _, missed] = means[..] else { panic!("six lines") };
        assert!(0.0 < two && two < one && one < current && current < 100.0, "{means:?}");
        assert!(two < missed && missed < current, "{means:?}");
    }
}
