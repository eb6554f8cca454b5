//! What nodes report: kept, and published for commands. Tables change for one thing alone: rows forget earlier owners that
//! have no connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use crate::config::model::ClusterReport;
use crate::datapath::clock::monotonic;
use crate::milliseconds::milliseconds;
use crate::observe::published::{self, Refusing};
use crate::policy::observed::{NodeReport, VipPort};
use crate::report::{Heard, busy, growth, idle, nodes, of_pools};

/// What is heard within this time is published at once.
const GATHER: Duration = Duration::from_secs(1);
/// How long a packet may be on its way to a node, in milliseconds.
const ON_THE_WAY: u64 = 1000;
/// A report that is older than so many intervals is none.
const INTERVALS: u32 = 3;
/// Nodes that do not answer, and ports that are refused, that are published; of the others, how many.
const MOST: usize = 32;

/// What is known beside the reports themselves, which are observed.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Who is asked, and how often.
    asked: BTreeMap<IpAddr, ClusterReport>,
    /// Those of whom something was heard.
    nodes: BTreeMap<IpAddr, Node>,
    /// When tables changed last, by [`monotonic`].
    changed: u64,
    due: Option<Instant>,
    published: Option<published::Reports>,
}

/// What is known of a node.
#[derive(Debug, Default)]
struct Node {
    /// Why it did not answer when it was last asked; `None`: it did.
    silent: Option<String>,
    /// What it refused between its last two reports.
    grown: Vec<(VipPort, u64)>,
    /// Pools that it has said it had connections for: it knows of them. A node on whose own interface a VIP lies, for one,
    /// takes it for an address of its own, of which it tells nothing.
    known: BTreeSet<String>,
    /// Pools for which it has none, and since when, by [`monotonic`].
    idle: (u64, BTreeSet<String>),
}

impl Reports {
    /// When what was heard is to be published.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What packets go by is another since `now`.
    pub(super) fn tables_changed(&mut self, now: u64) {
        self.changed = now;
    }

    /// Whether an endpoint of a pool has had no connections since a `delay` after the last change: none are on their way
    /// to it any more by tables of before.
    fn is_idle(&self, pool: &str, node: IpAddr, delay: u64) -> bool {
        let settled = self.changed.saturating_add(delay);
        self.nodes.get(&node).is_some_and(|Node { known, idle: (since, idle), .. }| {
            *since >= settled && known.contains(pool) && idle.contains(pool)
        })
    }

    /// As it was last published, or is to be with the next record.
    pub(super) fn published(&self) -> Option<published::Reports> {
        self.published.clone()
    }
}

impl Agent {
    /// The nodes that are to be asked from now on; others are forgotten.
    pub(super) fn ask_nodes(&mut self) -> &BTreeMap<IpAddr, ClusterReport> {
        let asked = nodes(&self.config);
        self.observed.reports.retain(|node, _| asked.contains_key(node));
        self.reports.nodes.retain(|node, _| asked.contains_key(node));
        self.reports.asked = asked;
        self.sum_up();
        &self.reports.asked
    }

    /// Takes in what a node said.
    pub(super) fn heard(&mut self, heard: Heard) {
        let Heard { node, report } = heard;
        let Some(asked) = self.reports.asked.get(&node).copied() else { return };
        match report {
            Ok(report) => self.reported(node, report),
            Err(reason) => self.is_silent(node, reason, asked.interval),
        }
        self.reports.due.get_or_insert_with(|| Instant::now() + GATHER);
    }

    /// Rows forget earlier owners that have no connections. Other gateways may follow a change a `rollDelay` later, and
    /// what they sent before is on its way for a moment.
    fn overlook(&mut self) -> bool {
        let delay = self.config.cluster_set.roll_delay_ms() + ON_THE_WAY;
        let reports = &self.reports;
        let forgot = self.ledger.overlook(|pool, node| reports.is_idle(pool, *node, delay));
        if forgot {
            info!(event = "forgotten", "rows remember no more who has no connections");
        }
        forgot
    }

    fn reported(&mut self, node: IpAddr, report: NodeReport) {
        let known = self.reports.nodes.entry(node).or_default();
        if known.silent.take().is_some() {
            info!(event = "report", %node, "reports again");
        }
        let before = self.observed.reports.get(&node);
        known.grown = before.map_or_else(Vec::new, |before| growth(&self.config, node, before, &report));
        let idle = before.map(|before| (before.taken_ms, idle(&self.config, node, before, &report)));
        known.idle = idle.unwrap_or_default();
        known.known.extend(busy(&self.config, node, &report));
        self.observed.reports.insert(node, report);
    }

    fn is_silent(&mut self, node: IpAddr, reason: String, interval: Duration) {
        let too_old = milliseconds(interval * INTERVALS);
        let now = monotonic();
        let known = self.reports.nodes.entry(node).or_default();
        let last = self.observed.reports.get(&node);
        if last.is_some_and(|report| now.saturating_sub(report.taken_ms) > too_old) {
            self.observed.reports.remove(&node);
            (known.grown, known.idle) = Default::default();
        }
        if known.silent.is_none() {
            warn!(event = "report", %node, reason, "does not report");
        }
        known.silent = Some(reason);
    }

    /// Publishes what was heard; true: tables are to be made, for rows forgot somebody.
    pub(super) fn tell_reports(&mut self) -> bool {
        self.reports.due = None;
        self.sum_up();
        self.publish_or_say();
        self.overlook()
    }

    fn sum_up(&mut self) {
        let Reports { asked, nodes, .. } = &self.reports;
        let refusing =
            nodes.iter().flat_map(|(node, known)| known.grown.iter().map(move |port| (node, port)));
        let refusing = refusing.map(|(node, (at, refused))| Refusing {
            node: *node,
            port: at.to_string(),
            refused: *refused,
        });
        let published = || published::Reports {
            asked: asked.len(),
            reporting: self.observed.reports.len(),
            silent: nodes
                .iter()
                .filter_map(|(node, known)| Some((*node, known.silent.clone()?)))
                .take(MOST)
                .collect(),
            backends: of_pools(&self.config, &self.observed.reports),
            refusing: refusing.take(MOST).collect(),
        };
        self.reports.published = (!asked.is_empty()).then(published);
    }
}
