//! The life of one checked endpoint: wait, probe, judge, tell.

use super::checker::{Shared, Target};
use super::judge::{Judge, Outcome, Verdict};
use super::probe::{Failure, Prober};
use super::schedule;
use crate::config::model::HealthCheck;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A node's verdict changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEvent {
    /// The pool whose check this is.
    pub pool: String,
    /// The node.
    pub address: IpAddr,
    /// Its new verdict; unknown if its check now asks something else.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
    /// When it changed.
    pub at: SystemTime,
}

/// Nobody listens to events any more.
type Gone = SendError<HealthEvent>;

/// Probes one endpoint until its plan's sender or the events' receiver is dropped.
pub(super) struct Worker<P> {
    target: Target,
    shared: Arc<Shared<P>>,
    plan: watch::Receiver<Arc<HealthCheck>>,
    check: Arc<HealthCheck>,
    judge: Judge,
    seed: u64,
    probes: u64,
    due: Instant,
    unable: bool,
}

impl<P: Prober> Worker<P> {
    pub(super) fn new(
        target: Target,
        shared: Arc<Shared<P>>,
        mut plan: watch::Receiver<Arc<HealthCheck>>,
    ) -> Self {
        let check = plan.borrow_and_update().clone();
        let seed = schedule::seed(shared.salt, &target.pool, target.address);
        let due = Instant::now() + schedule::first_delay(seed, check.interval);
        let judge = Judge::new(check.rise, check.fall);
        Self { target, shared, plan, check, judge, seed, probes: 0, due, unable: false }
    }

    pub(super) async fn run(mut self) {
        while self.turn().await.is_ok() {}
    }

    /// One probe, or one change of plan. A change gives up the probe under way; the next one is not later
    /// for it.
    async fn turn(&mut self) -> Result<(), Option<Gone>> {
        tokio::select! {
            biased;
            changed = self.plan.changed() => {
                changed.map_err(|_| None)?;
                let check = self.plan.borrow_and_update().clone();
                self.adopt(check).await.map_err(Some)
            }
            (started, result) = self.shared.probe_at(self.due, &self.check, self.target.address) => {
                self.probes += 1;
                let HealthCheck { interval, jitter_percent, .. } = *self.check;
                self.due = started + schedule::next_delay(self.seed, self.probes, interval, jitter_percent);
                self.conclude(result).await.map_err(Some)
            }
        }
    }

    /// A check that asks the same more or less often keeps its verdict; one that asks something else
    /// begins anew, and until its first verdict the node serves.
    async fn adopt(&mut self, check: Arc<HealthCheck>) -> Result<(), Gone> {
        let same_question = check.kind == self.check.kind && check.port == self.check.port;
        self.due = self.due.min(Instant::now() + check.interval);
        self.check = check;
        if same_question {
            self.judge.retune(self.check.rise, self.check.fall);
            return Ok(());
        }
        self.due = Instant::now() + schedule::first_delay(self.seed, self.check.interval);
        let before = std::mem::replace(&mut self.judge, Judge::new(self.check.rise, self.check.fall));
        if before.verdict() == Verdict::Unknown {
            return Ok(());
        }
        self.tell(Verdict::Unknown, "the check changed".to_owned()).await
    }

    async fn conclude(&mut self, result: Result<(), Failure>) -> Result<(), Gone> {
        if let Err(failure) = &result
            && failure.is_local()
        {
            self.note_inability(failure);
            return Ok(());
        }
        self.unable = false;
        let outcome = if result.is_ok() { Outcome::Pass } else { Outcome::Fail };
        let Some(verdict) = self.judge.observe(outcome) else { return Ok(()) };
        let reason = reason(self.judge.run(), result.err());
        self.tell(verdict, reason).await
    }

    /// Says so once per spell: with many nodes it would fill the log just when the machine is busy.
    fn note_inability(&mut self, failure: &Failure) {
        if !std::mem::replace(&mut self.unable, true) {
            let Target { pool, address } = &self.target;
            tracing::warn!(%pool, %address, %failure, "node not probed; its verdict stays");
        }
    }

    async fn tell(&self, verdict: Verdict, reason: String) -> Result<(), Gone> {
        let Target { pool, address } = self.target.clone();
        self.shared.events.send(HealthEvent { pool, address, verdict, reason, at: SystemTime::now() }).await
    }
}

impl<P: Prober> Shared<P> {
    /// Waits until `due` and for a permit, then probes; with the time the probe started.
    async fn probe_at(
        &self,
        due: Instant,
        check: &HealthCheck,
        address: IpAddr,
    ) -> (Instant, Result<(), Failure>) {
        sleep_until(due).await;
        // An error means that the semaphore was closed, which nothing does; probing without is right then.
        let _permit = self.permits.acquire().await;
        let node = SocketAddr::new(address, check.port);
        (Instant::now(), self.prober.probe(&check.kind, node, check.timeout).await)
    }
}

fn reason(run: u32, failure: Option<Failure>) -> String {
    match (failure, run) {
        (None, 1) => "probe passed".to_owned(),
        (None, run) => format!("{run} probes in a row passed"),
        (Some(failure), 1) => format!("probe failed: {failure}"),
        (Some(failure), run) => format!("{run} probes in a row failed, the last: {failure}"),
    }
}
