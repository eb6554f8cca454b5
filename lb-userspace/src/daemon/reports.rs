//! What nodes report: kept, and published for commands. No table is made for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use crate::config::model::ClusterReport;
use crate::datapath::clock::monotonic;
use crate::observe::published::{self, Refusing};
use crate::policy::observed::{NodeReport, VipPort};
use crate::report::{Heard, growth, nodes, of_pools};

/// What is heard within this time is published at once.
const GATHER: Duration = Duration::from_secs(1);
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
    due: Option<Instant>,
    published: Option<published::Reports>,
}

impl Reports {
    /// When what was heard is to be published.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
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

    fn reported(&mut self, node: IpAddr, report: NodeReport) {
        if self.reports.silent.remove(&node).is_some() {
            info!(event = "report", %node, "reports again");
        }
        let before = self.observed.reports.get(&node);
        let grown = before.map_or_else(Vec::new, |before| growth(&self.config, node, before, &report));
        self.reports.grown.insert(node, grown);
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
