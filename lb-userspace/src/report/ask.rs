//! A gateway asks its nodes: one task for each, of which few ask at the same time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{LONGEST, PATH, Report};
use crate::config::model::{ClusterReport, Config};
use crate::datapath::clock::monotonic;
use crate::health::{fetch, first_delay, next_delay, seed};
use crate::policy::observed::NodeReport;

/// Nodes that are asked at the same time; the others wait.
const AT_ONCE: usize = 16;
/// How long one may take, from the connection to the answer's end.
const PATIENCE: Duration = Duration::from_secs(2);
/// So that nodes are not asked in step.
const JITTER_PERCENT: u8 = 5;

/// What a node said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its address.
    pub node: IpAddr,
    /// What it said.
    pub report: Result<NodeReport, String>,
}

/// The nodes that a configuration wants to be asked: each endpoint of a cluster with `report`. One that is in two clusters
/// is asked as the first says.
pub fn nodes(config: &Config) -> BTreeMap<IpAddr, ClusterReport> {
    let mut nodes = BTreeMap::new();
    for cluster in &config.clusters {
        let Some(report) = cluster.report else { continue };
        let pools = config.pools.iter().filter(|pool| pool.cluster == cluster.name);
        for endpoint in pools.flat_map(|pool| &pool.endpoints) {
            nodes.entry(endpoint.address).or_insert(report);
        }
    }
    nodes
}

/// Asks the nodes of a configuration. Dropped, it asks no more.
#[derive(Debug)]
pub struct Asker {
    salt: u64,
    permits: Arc<Semaphore>,
    heard: mpsc::Sender<Heard>,
    /// Each with a task of its own, which ends when it is dropped.
    asked: BTreeMap<IpAddr, (ClusterReport, JoinSet<()>)>,
}

impl Asker {
    /// One that asks nobody yet. `salt`: any number that differs between gateways. While `heard` is full, those with
    /// news wait.
    pub fn start(salt: u64, heard: mpsc::Sender<Heard>) -> Self {
        Self { salt, permits: Arc::new(Semaphore::new(AT_ONCE)), heard, asked: BTreeMap::new() }
    }

    /// Asks these from now on, and nobody else. Who is asked as before is not asked sooner.
    ///
    /// # Panics
    /// If called outside a tokio runtime with time and I/O enabled.
    pub fn apply(&mut self, nodes: &BTreeMap<IpAddr, ClusterReport>) {
        self.asked.retain(|node, (report, _)| nodes.get(node) == Some(report));
        for (node, report) in nodes {
            if !self.asked.contains_key(node) {
                let mut task = JoinSet::new();
                let seed = seed(self.salt, "", *node);
                task.spawn(follow(*node, *report, seed, self.permits.clone(), self.heard.clone()));
                self.asked.insert(*node, (*report, task));
            }
        }
    }
}

/// Asks one node again and again, until nobody listens.
async fn follow(
    node: IpAddr,
    report: ClusterReport,
    seed: u64,
    permits: Arc<Semaphore>,
    heard: mpsc::Sender<Heard>,
) {
    let ClusterReport { port, interval } = report;
    let mut due = Instant::now() + first_delay(seed, interval);
    for count in 1.. {
        sleep_until(due).await;
        // Nothing closes the semaphore.
        let permit = permits.acquire().await;
        let started = Instant::now();
        let report = ask(SocketAddr::new(node, port)).await;
        drop(permit);
        if heard.send(Heard { node, report }).await.is_err() {
            return;
        }
        due = started + next_delay(seed, count, interval, JITTER_PERCENT);
    }
}

async fn ask(node: SocketAddr) -> Result<NodeReport, String> {
    let text = fetch(node, PATH, PATIENCE, LONGEST).await.map_err(|failure| failure.to_string())?;
    Report::read(&text, monotonic()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Clients, listen, serve};
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use time::OffsetDateTime;
    use tokio::sync::watch;

    const NODE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_node_is_asked_again_and_again_until_it_is_to_be_asked_no_more() {
        let listener = listen(0).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (_clients, told) = watch::channel(Clients(Vec::new()));
        let report = Report::of(OffsetDateTime::UNIX_EPOCH, &BTreeMap::new());
        let text = serde_json::to_vec(&report).unwrap();
        tokio::spawn(serve(listener, told, Arc::new(move || Ok(text.clone()))));
        let (sender, mut heard) = mpsc::channel(8);
        let mut asker = Asker::start(7, sender);
        let interval = Duration::from_millis(20);
        asker.apply(&[(NODE, ClusterReport { port, interval })].into());
        for _ in 0..3 {
            let Heard { node, report } = heard.recv().await.unwrap();
            assert!(node == NODE && report.unwrap().complete);
        }
        asker.apply(&BTreeMap::new());
        while heard.try_recv().is_ok() {}
        assert!(tokio::time::timeout(interval * 5, heard.recv()).await.is_err(), "nobody is asked");
    }

    #[tokio::test]
    async fn who_does_not_answer_is_told_with_the_reason() {
        let port = listen(0).unwrap().local_addr().unwrap().port();
        let (sender, mut heard) = mpsc::channel(8);
        let mut asker = Asker::start(7, sender);
        asker.apply(&[(NODE, ClusterReport { port, interval: Duration::from_millis(20) })].into());
        assert_eq!(heard.recv().await.unwrap().report, Err("connection refused".to_owned()));
    }
}
