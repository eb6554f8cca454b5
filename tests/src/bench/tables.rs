//! What a change of a pool moves under each algorithm, how even its load is, and what a table costs.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hint::black_box;
use std::time::Duration;

use anyhow::Result;
use lb_userspace::compile::node::Member;
use lb_userspace::compile::{hrw, maglev};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::Value;

use super::control::{ROWS, address};
use super::machine::{self, Machine};

/// Pools of other addresses that each figure is taken from.
const DRAWS: u8 = 8;
const BUILDS: usize = 5;

type Table = fn(&[Member], u32) -> Vec<u16>;
/// A node's address.
type Node = [u8; 16];

/// A figure of each algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Both {
    maglev: f64,
    hrw: f64,
}

/// What a change of a pool moves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    name: &'static str,
    /// Rows that must move, in percent.
    least: f64,
    /// Rows that move, in percent: the mean of the draws.
    moved: Both,
}

/// How even the load of a pool is: a node's rows, divided by its share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    pool: &'static str,
    /// The most of any node in any draw.
    most: Both,
    /// The least.
    least: Both,
}

/// What it costs to build a table, in milliseconds of processor time: the median.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Build {
    pool: &'static str,
    milliseconds: Both,
}

/// The tables' figures, all of tables of 65,536 rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    machine: Machine,
    changes: Vec<Change>,
    loads: Vec<Load>,
    builds: Vec<Build>,
}

impl Report {
    /// One object.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<38} {:>8} {:>8} {:>8}", "rows moved, %", "least", "maglev", "hrw")?;
        for Change { name, least, moved } in &self.changes {
            writeln!(f, "{name:<38} {least:>8.3} {:>8.3} {:>8.3}", moved.maglev, moved.hrw)?;
        }
        writeln!(f, "{:<38} {:>8} {:>8} {:>8} {:>8}", "rows / share", "maglev", "", "hrw", "")?;
        for Load { pool, most, least } in &self.loads {
            let [a, b, c, d] = [least.maglev, most.maglev, least.hrw, most.hrw];
            writeln!(f, "{pool:<38} {a:>8.3} {b:>8.3} {c:>8.3} {d:>8.3}")?;
        }
        writeln!(f, "{:<38} {:>8} {:>8}", "to build, ms", "maglev", "hrw")?;
        for Build { pool, milliseconds } in &self.builds {
            writeln!(f, "{pool:<38} {:>8.2} {:>8.2}", milliseconds.maglev, milliseconds.hrw)?;
        }
        Ok(())
    }
}

/// Measures.
///
/// Fails without a clock of the thread's own time.
pub fn measure() -> Result<Report> {
    Ok(Report { machine: machine::describe(), changes: changes(), loads: loads(), builds: builds()? })
}

fn both(figure: impl Fn(Table) -> f64) -> Both {
    Both { maglev: figure(maglev::table), hrw: figure(hrw::table) }
}

/// The first `count` nodes of a draw.
fn pool(draw: u8, count: u16, weight: impl Fn(u16) -> u32) -> Vec<Member> {
    let node = |number| Member { address: address(draw, number).into(), port: 0, weight: weight(number) };
    (0..count).map(node).collect()
}

fn changes() -> Vec<Change> {
    let without = |draw: u8, count: u16, gone: std::ops::Range<usize>| {
        let before = pool(draw, count, |_| 1);
        let mut after = before.clone();
        after.drain(gone);
        (before, after)
    };
    let halved = |draw| (pool(draw, 1000, |_| 2), pool(draw, 1000, |node| if node == 400 { 1 } else { 2 }));
    let graded = |draw| {
        let before = pool(draw, 10, |node| u32::from(node) + 1);
        let mut after = before.clone();
        after.remove(4);
        (before, after)
    };
    vec![
        change("1 of 100 removed", |draw| without(draw, 100, 40..41)),
        change("1 added to 100", |draw| {
            let (before, after) = without(draw, 101, 40..41);
            (after, before)
        }),
        change("1 of 1,000 to half its weight", halved),
        change("10 of 1,000 removed", |draw| without(draw, 1000, 400..410)),
        change("1 of 10 removed, weight 5 of 1 to 10", graded),
    ]
}

fn change(name: &'static str, pools: impl Fn(u8) -> (Vec<Member>, Vec<Member>)) -> Change {
    let (before, after) = pools(0);
    let moved = |table: Table| {
        let moved = |draw| {
            let (before, after) = pools(draw);
            percent_moved(&owners(&before, table), &owners(&after, table))
        };
        (0..DRAWS).map(moved).sum::<f64>() / f64::from(DRAWS)
    };
    Change { name, least: least(&before, &after), moved: both(moved) }
}

fn owners(members: &[Member], table: Table) -> Vec<Node> {
    table(members, ROWS).into_iter().map(|owner| members[usize::from(owner)].address.bytes()).collect()
}

fn percent_moved(before: &[Node], after: &[Node]) -> f64 {
    let moved = before.iter().zip(after).map(|(before, after)| u32::from(before != after)).sum::<u32>();
    100.0 * f64::from(moved) / f64::from(ROWS)
}

/// What all members that lose a part of the rows lose together, in percent.
fn least(before: &[Member], after: &[Member]) -> f64 {
    let (before, after) = (shares(before), shares(after));
    let lost = |(node, share): (&Node, &f64)| (share - after.get(node).unwrap_or(&0.0)).max(0.0);
    100.0 * before.iter().map(lost).sum::<f64>()
}

fn shares(members: &[Member]) -> HashMap<Node, f64> {
    let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
    members.iter().map(|member| (member.address.bytes(), f64::from(member.weight) / total)).collect()
}

fn loads() -> Vec<Load> {
    vec![
        load("100 nodes", |draw| pool(draw, 100, |_| 1)),
        load("1,000 nodes", |draw| pool(draw, 1000, |_| 1)),
        load("10 nodes, weights 1 to 10", |draw| pool(draw, 10, |node| u32::from(node) + 1)),
    ]
}

fn load(pool: &'static str, members: impl Fn(u8) -> Vec<Member>) -> Load {
    let of = |table: Table| (0..DRAWS).flat_map(|draw| relative(&members(draw), table)).collect::<Vec<_>>();
    let most = both(|table| of(table).into_iter().fold(0.0, f64::max));
    Load { pool, most, least: both(|table| of(table).into_iter().fold(f64::INFINITY, f64::min)) }
}

/// Each member's rows, divided by its share.
fn relative(members: &[Member], table: Table) -> Vec<f64> {
    let mut counts = HashMap::new();
    owners(members, table).into_iter().for_each(|owner| *counts.entry(owner).or_insert(0_u32) += 1);
    let held = |node| f64::from(counts.get(node).copied().unwrap_or(0));
    shares(members).iter().map(|(node, share)| held(node) / (share * f64::from(ROWS))).collect()
}

fn builds() -> Result<Vec<Build>> {
    Ok(vec![
        build("100 nodes", &pool(0, 100, |_| 1))?,
        build("1,000 nodes", &pool(0, 1000, |_| 1))?,
        build("1,000 nodes, weights 1 to 10", &pool(0, 1000, |node| u32::from(node % 10) + 1))?,
        build("1,000 nodes, all weights different", &pool(0, 1000, |node| u32::from(node) + 1000))?,
    ])
}

fn build(pool: &'static str, members: &[Member]) -> Result<Build> {
    let (maglev, hrw) = (milliseconds(members, maglev::table)?, milliseconds(members, hrw::table)?);
    Ok(Build { pool, milliseconds: Both { maglev, hrw } })
}

/// The median cost of a table.
fn milliseconds(members: &[Member], table: Table) -> Result<f64> {
    let time = |_| {
        let start = processor_time()?;
        black_box(table(black_box(members), ROWS));
        Ok((processor_time()? - start) * 1e3)
    };
    let mut times = (0..BUILDS).map(time).collect::<Result<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[BUILDS / 2])
}

/// What the thread has used, in seconds: others on the machine do not count.
fn processor_time() -> Result<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).as_secs_f64())
}
