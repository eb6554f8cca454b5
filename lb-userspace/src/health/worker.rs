//! The life of one checked endpoint: wait, probe, judge, tell.

use super::checker::{Plan, Shared, Target};
use super::judge::{Judge, Outcome, Verdict};
use super::probe::{Failure, Prober};
use super::schedule;
use crate::config::model::HealthCheck;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
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
    plans: watch::Receiver<Plan>,
    plan: Plan,
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
        mut plans: watch::Receiver<Plan>,
        verdict: Verdict,
    ) -> Self {
        let plan = plans.borrow_and_update().clone();
        let check = &plan.check;
        let seed = schedule::seed(shared.salt, &target.pool, target.address);
        let judge = Judge::new(check.rise, check.fall).resuming(verdict);
        let due = Instant::now() + schedule::first_delay(seed, interval(check, &judge));
        Self { target, shared, plans, plan, judge, seed, probes: 0, due, unable: false }
    }

    pub(super) async fn run(mut self) {
        while self.turn().await.is_ok() {}
    }

    /// One probe, or one change of plan. A change gives up the probe under way; the next one is not later
    /// for it.
    async fn turn(&mut self) -> Result<(), Option<Gone>> {
        tokio::select! {
            biased;
            changed = self.plans.changed() => {
                changed.map_err(|_| None)?;
                let plan = self.plans.borrow_and_update().clone();
                self.adopt(plan).await.map_err(Some)
            }
            (started, result) = self.shared.probe_at(self.due, &self.target, &self.plan) => {
                self.probes += 1;
                let news = self.conclude(result);
                let jitter = self.plan.check.jitter_percent;
                self.due = started + schedule::next_delay(self.seed, self.probes, self.interval(), jitter);
                let Some((verdict, reason)) = news else { return Ok(()) };
                self.tell(verdict, reason).await.map_err(Some)
            }
        }
    }

    /// Time between two probes, by the verdict so far.
    fn interval(&self) -> Duration {
        interval(&self.plan.check, &self.judge)
    }

    /// A check that asks the same more or less often keeps its verdict; one that asks something else
    /// begins anew, and until its first verdict the node serves.
    async fn adopt(&mut self, plan: Plan) -> Result<(), Gone> {
        let same_question = plan.asks_as(&self.plan);
        self.plan = plan;
        let HealthCheck { interval, rise, fall, .. } = *self.plan.check;
        if same_question {
            self.due = self.due.min(Instant::now() + self.interval());
            self.judge.retune(rise, fall);
            return Ok(());
        }
        self.due = Instant::now() + schedule::first_delay(self.seed, interval);
        let before = std::mem::replace(&mut self.judge, Judge::new(rise, fall));
        if before.verdict() == Verdict::Unknown {
            return Ok(());
        }
        self.tell(Verdict::Unknown, "the check changed".to_owned()).await
    }

    /// The new verdict, if there is one, and why.
    fn conclude(&mut self, result: Result<(), Failure>) -> Option<(Verdict, String)> {
        if let Err(failure) = &result
            && failure.is_local()
        {
            self.note_inability(failure);
            return None;
        }
        self.unable = false;
        let outcome = if result.is_ok() { Outcome::Pass } else { Outcome::Fail };
        let verdict = self.judge.observe(outcome)?;
        Some((verdict, reason(self.judge.run(), result.err())))
    }

    /// Says so once per spell: with many nodes it would fill the log just when the machine is busy.
    fn note_inability(&mut self, failure: &Failure) {
        // Who knows the ways tells why there is none.
        if !matches!(failure, Failure::NoWay) && !std::mem::replace(&mut self.unable, true) {
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
    async fn probe_at(&self, due: Instant, target: &Target, plan: &Plan) -> (Instant, Result<(), Failure>) {
        sleep_until(due).await;
        // An error means that the semaphore was closed, which nothing does; probing without is right then.
        let _permit = self.permits(&plan.check.kind).acquire().await;
        (Instant::now(), self.prober.probe(target, plan).await)
    }
}

fn interval(check: &HealthCheck, judge: &Judge) -> Duration {
    if judge.verdict() == Verdict::Down { check.unhealthy_interval } else { check.interval }
}

fn reason(run: u32, failure: Option<Failure>) -> String {
    match (failure, run) {
        (None, 1) => "probe passed".to_owned(),
        (None, run) => format!("{run} probes in a row passed"),
        (Some(failure), 1) => format!("probe failed: {failure}"),
        (Some(failure), run) => format!("{run} probes in a row failed, the last: {failure}"),
    }
}
