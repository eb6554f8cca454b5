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
    /// Why a node did not answer when it was last asked.
    silent: BTreeMap<IpAddr, String>,
    /// What a node refused between its last two reports.
    grown: BTreeMap<IpAddr, Vec<(VipPort, u64)>>,
    /// Pools that a node has said it had connections for: it knows of them. A node on whose own interface a VIP lies, for
    /// one, takes it for an address of its own, of which it tells nothing.
    known: BTreeMap<IpAddr, BTreeSet<String>>,
    /// Pools that have no connections at a node, and since when, by [`monotonic`].
    idle: BTreeMap<IpAddr, (u64, BTreeSet<String>)>,
    /// When tables changed last, by the same.
    changed: u64,
    due: Option<Instant>,
    published: Option<published::Reports>,
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
        let knows = self.known.get(&node).is_some_and(|pools| pools.contains(pool));
        let idle = |(since, pools): &(u64, BTreeSet<String>)| *since >= settled && pools.contains(pool);
        knows && self.idle.get(&node).is_some_and(idle)
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
        self.reports.silent.retain(|node, _| asked.contains_key(node));
        self.reports.grown.retain(|node, _| asked.contains_key(node));
        self.reports.idle.retain(|node, _| asked.contains_key(node));
        self.reports.known.retain(|node, _| asked.contains_key(node));
        self.reports.asked = asked;
        self.sum_up();
        &self.reports.asked
    }

    /// Takes in what a node said; true: tables are to be made, for rows forgot somebody.
    pub(super) fn heard(&mut self, heard: Heard) -> bool {
        let Heard { node, report } = heard;
        let Some(asked) = self.reports.asked.get(&node).copied() else { return false };
        self.reports.due.get_or_insert_with(|| Instant::now() + GATHER);
        match report {
            Ok(report) => {
                self.reported(node, report);
                self.overlook()
            }
            Err(reason) => {
                self.is_silent(node, reason, asked.interval);
                false
            }
        }
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
        if self.reports.silent.remove(&node).is_some() {
            info!(event = "report", %node, "reports again");
        }
        let before = self.observed.reports.get(&node);
        let grown = before.map_or_else(Vec::new, |before| growth(&self.config, node, before, &report));
        let idle = before.map(|before| (before.taken_ms, idle(&self.config, node, before, &report)));
        self.reports.known.entry(node).or_default().extend(busy(&self.config, node, &report));
        self.reports.grown.insert(node, grown);
        self.reports.idle.insert(node, idle.unwrap_or_default());
        self.observed.reports.insert(node, report);
    }

    fn is_silent(&mut self, node: IpAddr, reason: String, interval: Duration) {
        let too_old = u64::try_from((interval * INTERVALS).as_millis()).unwrap_or(u64::MAX);
        let now = monotonic();
        if self
            .observed
            .reports
            .get(&node)
            .is_some_and(|report| now.saturating_sub(report.taken_ms) > too_old)
        {
            self.observed.reports.remove(&node);
            self.reports.grown.remove(&node);
            self.reports.idle.remove(&node);
        }
        if !self.reports.silent.contains_key(&node) {
            warn!(event = "report", %node, reason, "does not report");
        }
        self.reports.silent.insert(node, reason);
    }

    /// Publishes what was heard.
    pub(super) fn tell_reports(&mut self) {
        self.reports.due = None;
        self.sum_up();
        self.publish_or_say();
    }

    fn sum_up(&mut self) {
        let Reports { asked, silent, grown, .. } = &self.reports;
        let refusing = grown.iter().flat_map(|(node, ports)| ports.iter().map(move |port| (node, port)));
        let refusing = refusing.map(|(node, (at, refused))| Refusing {
            node: *node,
            port: at.to_string(),
            refused: *refused,
        });
        let published = || published::Reports {
            asked: asked.len(),
            reporting: self.observed.reports.len(),
            silent: silent.iter().take(MOST).map(|(node, reason)| (*node, reason.clone())).collect(),
            backends: of_pools(&self.config, &self.observed.reports),
            refusing: refusing.take(MOST).collect(),
        };
        self.reports.published = (!asked.is_empty()).then(published);
    }
}
