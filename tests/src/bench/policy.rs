//! What a change between clusters moves: rows of a service's cluster table, beside those that must.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;
use lb_common::flow::CLUSTER_ROWS;
use lb_userspace::compile::rendezvous::{self, Rendezvous};
use lb_userspace::config::model::FailoverPolicy;
use lb_userspace::policy::failover::load::Tally;
use lb_userspace::policy::failover::{Contender, divide};
use serde::Serialize;
use serde_json::Value;

/// Clusters of other names that each figure is taken from.
const DRAWS: u8 = 32;

/// What a change moves, in percent of the rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    name: &'static str,
    /// Shares of the pools.
    before: Vec<f64>,
    after: Vec<f64>,
    /// Rows that must move: by how much the shares of those that win grow.
    least: f64,
    /// Rows that move: the mean of the draws, and the most of any.
    moved: f64,
    most: f64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    changes: Vec<Change>,
}

impl Report {
    /// One object.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<48} {:>14} {:>14} {:>7} {:>7} {:>7}",
            "rows moved, %", "before", "after", "least", "mean", "most"
        )?;
        for Change { name, before, after, least, moved, most } in &self.changes {
            let [before, after] = [before, after].map(|shares| {
                let rounded: Vec<_> = shares.iter().map(|share| format!("{share:.0}")).collect();
                rounded.join("/")
            });
            writeln!(f, "{name:<48} {before:>14} {after:>14} {least:>7.2} {moved:>7.2} {most:>7.2}")?;
        }
        Ok(())
    }
}

/// Computes them: the same on every machine.
pub fn measure() -> Report {
    // Endpoints that are up, of ten in each cluster.
    let standby = |up| [pool(0, 1, up), pool(1, 1, 10)];
    let active = |up| [pool(0, 1, up), pool(0, 1, 10)];
    let three = |up| [pool(0, 1, up), pool(0, 1, 10), pool(0, 1, 10)];
    let mixed = |up| [pool(0, 1, up), pool(0, 1, 10), pool(1, 1, 10)];
    let weights = |near, far| [pool(0, near, 10), pool(0, far, 10)];
    let changes = vec![
        change("active-standby: 2 of 10 down", &standby(10), &standby(8)),
        change("active-standby: 5 of 10 down", &standby(10), &standby(5)),
        change("active-standby: one more down", &standby(5), &standby(4)),
        change("active-standby: all down", &standby(10), &standby(0)),
        change("two active: 5 of 10 of one down", &active(10), &active(5)),
        change("three active: 5 of 10 of one down", &three(10), &three(5)),
        change("three active: one lost", &three(10), &three(0)),
        change("two active and a standby: 6 of 20 down", &mixed(10), &mixed(4)),
        change("two active and a standby: one lost", &mixed(10), &mixed(0)),
        change("weights from 90 and 10 to 80 and 20", &weights(90, 10), &weights(80, 20)),
        change("weights from 99 and 1 to 1 and 99", &weights(99, 1), &weights(1, 99)),
    ];
    Report { changes }
}

fn pool(priority: usize, weight: u16, up: u32) -> Contender {
    Contender { priority, weight: weight.into(), tally: Tally::new(up, 10) }
}

fn change(name: &'static str, before: &[Contender], after: &[Contender]) -> Change {
    let tables: Vec<_> =
        (0..DRAWS).map(|draw| [before, after].map(|contenders| table(draw, contenders))).collect();
    let moved: Vec<_> = tables.iter().map(|[old, new]| percent(differing(old, new))).collect();
    let [old, new] = [0, 1].map(|side| shares(&tables[0][side], before.len()));
    let least = old.iter().zip(&new).map(|(old, new)| (new - old).max(0.0)).sum();
    Change {
        name,
        least,
        moved: moved.iter().sum::<f64>() / f64::from(DRAWS),
        most: moved.iter().copied().fold(0.0, f64::max),
        before: old,
        after: new,
    }
}

/// The cluster table, of clusters whose names no other draw has.
fn table(draw: u8, contenders: &[Contender]) -> Vec<u16> {
    let parts = divide(contenders, FailoverPolicy::OVERPROVISIONING, FailoverPolicy::PANIC_THRESHOLD);
    let names: Vec<_> = (0..contenders.len()).map(|number| format!("cluster-{draw}-{number}")).collect();
    let rival = |(name, weight)| rendezvous::Contender { cluster: name, pool: name, weight };
    let weights = parts.iter().map(|part| part.weight);
    let rivals: Vec<_> = names.iter().map(String::as_str).zip(weights).map(rival).collect();
    Rendezvous::default().table(&rivals)
}

fn differing(old: &[u16], new: &[u16]) -> usize {
    old.iter().zip(new).filter(|(old, new)| old != new).count()
}

fn shares(table: &[u16], pools: usize) -> Vec<f64> {
    let owned = |pool: usize| table.iter().filter(|owner| usize::from(**owner) == pool).count();
    (0..pools).map(|pool| percent(owned(pool))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "4,096 rows at most")]
fn percent(rows: usize) -> f64 {
    rows as f64 * 100.0 / f64::from(CLUSTER_ROWS)
}

#[cfg(test)]
mod tests {
    use super::measure;

    #[test]
    fn a_change_moves_little_more_than_it_must_and_a_wobble_nothing() {
        let report = measure();
        for change in &report.changes {
            assert!(change.moved + 1e-9 >= change.least, "{change:?}");
            assert!(change.moved <= change.least * 1.2 && change.most <= change.least * 1.3, "{change:?}");
        }
        assert_eq!((report.changes[0].least, report.changes[0].most), (0.0, 0.0));
    }
}
