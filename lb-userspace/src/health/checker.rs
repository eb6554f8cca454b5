//! Which endpoints are probed: one task for each endpoint of each pool that has a check.

use super::judge::Verdict;
use super::probe::Prober;
use super::worker::{HealthEvent, Worker};
use crate::config::model::{CheckKind, Config, HealthCheck, ProbeVia};
use crate::config::probed;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};

/// What is judged: a node as one pool sees it. A node of two pools has two verdicts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The pool's name.
    pub pool: String,
    /// The node's own address.
    pub address: IpAddr,
}

/// What one node is asked, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The check of its pool.
    pub check: Arc<HealthCheck>,
    /// What a probe connects to: an address of the node's own, or a VIP. Port 0: the check has none.
    pub to: SocketAddr,
}

impl Plan {
    /// Whether another plan asks the same, perhaps more or less often.
    pub(super) fn asks_as(&self, other: &Self) -> bool {
        self.to == other.to && self.check.kind == other.check.kind && self.check.via == other.check.via
    }
}

/// How a [`Checker`] behaves as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Probes under way at the same time, each a socket; the others wait, and their timeouts with them.
    pub concurrency: usize,
    /// The same of those that run a program, which count by themselves.
    pub programs: usize,
    /// Any number that differs between gateways, so that they do not probe in step.
    pub salt: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 1024, programs: 64, salt: 0 }
    }
}

/// What all workers use.
pub(super) struct Shared<P> {
    pub(super) prober: P,
    sockets: Semaphore,
    programs: Semaphore,
    pub(super) events: mpsc::Sender<HealthEvent>,
    pub(super) salt: u64,
}

impl<P> Shared<P> {
    /// What a probe must have a permit of.
    pub(super) fn permits(&self, kind: &CheckKind) -> &Semaphore {
        if matches!(kind, CheckKind::Exec(_)) { &self.programs } else { &self.sockets }
    }
}

/// Probes the endpoints of a configuration and tells of verdicts that change. Dropping it ends all probes.
pub struct Checker<P> {
    shared: Arc<Shared<P>>,
    /// What each worker is told; it ends, and gives up its probe, when its sender is dropped.
    plans: HashMap<Target, watch::Sender<Plan>>,
    /// Verdicts of targets that are not probed yet.
    known: HashMap<Target, Verdict>,
}

impl<P: Prober> Checker<P> {
    /// A checker that probes nothing yet. While `events` is full, the probes that have news wait.
    pub fn start(prober: P, options: Options, events: mpsc::Sender<HealthEvent>) -> Self {
        let permits = |most: usize| Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS));
        let (sockets, programs) = (permits(options.concurrency), permits(options.programs));
        let shared = Arc::new(Shared { prober, sockets, programs, events, salt: options.salt });
        Self { shared, plans: HashMap::new(), known: HashMap::new() }
    }

    /// The same that goes on with verdicts of the checker before: a target that was down stays so until `rise` probes pass.
    #[must_use]
    pub fn resuming(self, known: HashMap<Target, Verdict>) -> Self {
        Self { known, ..self }
    }

    /// Makes the probes those of `config`, and returns the targets that are probed no longer, sorted:
    /// their verdicts are to be forgotten. Events of theirs may still be in the channel.
    ///
    /// - A target that stays, with the same kind, way and port, keeps its verdict, whatever else of its check
    ///   has changed.
    /// - If one of these changed it is unknown again, and an event says so.
    /// - A pool without a check is not probed: its nodes are always up, and there is no event for them.
    ///
    /// # Panics
    /// If called outside a Tokio runtime with time and I/O enabled.
    pub fn apply(&mut self, config: &Config) -> Vec<Target> {
        let wanted = wanted(config);
        let gone = self.plans.extract_if(|target, _| !wanted.contains_key(target));
        let mut stopped: Vec<_> = gone.map(|(target, _)| target).collect();
        stopped.sort();
        for (target, plan) in wanted {
            self.check(target, plan);
        }
        self.known.clear();
        stopped
    }

    /// The targets that are probed, in no order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.plans.keys()
    }

    fn check(&mut self, target: Target, plan: Plan) {
        if let Some(known) = self.plans.get(&target) {
            let replace = |old: &mut Plan| std::mem::replace(old, plan.clone()) != plan;
            known.send_if_modified(replace);
            return;
        }
        let (plan, receiver) = watch::channel(plan);
        let verdict = self.known.remove(&target).unwrap_or_default();
        let worker = Worker::new(target.clone(), self.shared.clone(), receiver, verdict);
        tokio::spawn(worker.run());
        self.plans.insert(target, plan);
    }
}

fn wanted(config: &Config) -> HashMap<Target, Plan> {
    let checks = config.health_checks.iter().map(|check| (check.name.as_str(), Arc::new(check.clone())));
    let checks: HashMap<_, _> = checks.collect();
    let services = probed::services(config);
    let mut wanted = HashMap::new();
    for pool in &config.pools {
        let Some(check) = pool.health.as_deref().and_then(|name| checks.get(name)) else { continue };
        for endpoint in &pool.endpoints {
            let address = endpoint.address;
            // Validation has seen to it that there is a port where one is needed, and through the tunnel a VIP.
            let to = match check.via {
                ProbeVia::Direct => Some(SocketAddr::new(address, check.port.unwrap_or(0))),
                ProbeVia::Tunnel => {
                    services.get(pool.name.as_str()).and_then(|service| probed::vip(service, check, address))
                }
            };
            let plan = to.map(|to| Plan { check: check.clone(), to });
            wanted.extend(plan.map(|plan| (Target { pool: pool.name.clone(), address }, plan)));
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
