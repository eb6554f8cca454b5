use std::io;
use std::time::Duration;

use lb_common::abi::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::{error, info};

use super::admin::Ask;
use super::agent::Agent;
use super::file_watch::FileWatch;
use super::protocol::Reply;
use super::reload::Reload;
use super::start::Sources;
use crate::datapath::events::Events;
use crate::report::Heard;

/// Events that come this close together lead to one table.
pub(super) const COALESCE: Duration = Duration::from_millis(5);
/// How often the tables are compared with the kernel's, and the files with those that were read, whether or
/// not anything happened.
pub(super) const RESYNC: Duration = Duration::from_secs(30);

/// The signals that an agent heeds.
pub(super) struct Signals {
    pub(super) interrupt: Signal,
    pub(super) terminate: Signal,
    pub(super) hangup: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// What happened outside the agent.
enum Happened {
    /// Something that the next tables take in.
    News,
    /// The files may have changed; true: somebody says so.
    Files(bool),
    /// An interface came, went or changed.
    Links,
    /// The program told of something.
    Told(io::Result<Event>),
    /// A node reported, or did not.
    Heard(Heard),
    /// Time to look at what clients' packets say.
    Evidence,
    /// Time to look at what clients ask for.
    Demand,
    /// What nodes reported is to be published.
    Reports,
    /// Time to compare everything.
    Resync,
    /// Time is over for something that was waited for.
    Deadline,
    End,
}

/// An answer that is given once the tables say so.
type Owed = (oneshot::Sender<Reply>, Reply);

/// Follows the world until told to end.
pub(super) async fn watch(agent: Agent, sources: Sources, reload: Reload, signals: Signals) {
    let mut resync = interval(RESYNC);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let owed = Vec::new();
    let mut watch = Watch { agent, sources, reload, files: FileWatch::new(), resync, signals, owed };
    watch.files.watch(&watch.reload.files());
    // What changed since the start.
    watch.look(false);
    while watch.turn().await {}
    info!(event = "ended", "the agent ends; packets are forwarded by the tables as they are");
}

struct Watch {
    agent: Agent,
    sources: Sources,
    reload: Reload,
    files: FileWatch,
    resync: Interval,
    signals: Signals,
    owed: Vec<Owed>,
}

impl Watch {
    /// Takes in what happens next and brings the tables up to date; false: it is time to end.
    async fn turn(&mut self) -> bool {
        match self.next().await {
            Happened::End => return false,
            Happened::Files(asked) => self.look(asked),
            Happened::Links => {
                // The ways through it have news of their own.
                self.agent.follow_interfaces();
                return true;
            }
            Happened::Told(told) => {
                self.tell(told);
                return true;
            }
            Happened::Heard(heard) => {
                self.agent.heard(heard);
                return true;
            }
            Happened::Reports => {
                if !self.agent.tell_reports() {
                    return true;
                }
            }
            Happened::Evidence => {
                if !self.agent.look_at_evidence() {
                    return true;
                }
            }
            Happened::Demand => {
                if !self.agent.look_at_demand() {
                    return true;
                }
            }
            Happened::Resync => {
                self.agent.refresh_addresses();
                self.agent.follow_interfaces();
                self.look(false);
            }
            Happened::News | Happened::Deadline => {}
        }
        sleep(COALESCE).await;
        self.drain();
        self.reload.proceed(&mut self.agent, &mut self.sources);
        self.agent.roll();
        let followed = self.agent.follow();
        self.agent.tend();
        self.settle_debts(&followed);
        true
    }

    async fn next(&mut self) -> Happened {
        let (deadline, due) = (self.reload.deadline(), self.agent.tracking.deadline());
        let gathered = self.agent.reports.deadline();
        let look = self.agent.evidence_deadline();
        let asked = self.agent.asked.deadline();
        let decided = self.agent.deadline();
        let rolled = self.agent.rolling.deadline(&self.agent.config);
        tokio::select! {
            Some(event) = self.sources.health.recv() => self.agent.health(event),
            Some(event) = self.sources.next_hops.recv() => self.agent.next_hop(event),
            Some(ask) = self.sources.asks.recv() => self.take(ask),
            Some(heard) = self.sources.reports.recv() => return Happened::Heard(heard),
            () = until(look) => return Happened::Evidence,
            () = until(asked) => return Happened::Demand,
            () = until(gathered) => return Happened::Reports,
            told = Events::next(&mut self.sources.told) => return Happened::Told(told),
            () = self.sources.resolver.links_changed() => return Happened::Links,
            () = self.files.changed() => return Happened::Files(false),
            _ = self.signals.hangup.recv() => return Happened::Files(true),
            _ = self.resync.tick() => return Happened::Resync,
            () = until(deadline) => return Happened::Deadline,
            () = until(due) => return Happened::Deadline,
            () = until(decided) => return Happened::Deadline,
            () = until(rolled) => return Happened::Deadline,
            found = self.agent.tracking.found() => self.agent.swept(found),
            answered = self.agent.rolling.answered() => self.agent.answered(answered),
            _ = self.signals.interrupt.recv() => return Happened::End,
            _ = self.signals.terminate.recv() => return Happened::End,
        }
        Happened::News
    }

    fn tell(&mut self, told: io::Result<Event>) {
        match told {
            Ok(event) => self.agent.tell(&event),
            Err(reason) => error!(event = "datapath", %reason, "the program's events cannot be read"),
        }
    }

    fn look(&mut self, asked: bool) {
        self.reload.look(&mut self.agent, &self.sources, asked);
        self.files.watch(&self.reload.files());
    }

    fn take(&mut self, ask: Ask) {
        let reply = self.agent.obey(&ask.request);
        self.owed.push((ask.answer, reply));
    }

    fn drain(&mut self) {
        while let Ok(event) = self.sources.health.try_recv() {
            self.agent.health(event);
        }
        while let Ok(event) = self.sources.next_hops.try_recv() {
            self.agent.next_hop(event);
        }
        while let Ok(ask) = self.sources.asks.try_recv() {
            self.take(ask);
        }
    }

    /// Answers what was asked before the tables were made.
    fn settle_debts(&mut self, followed: &Result<(), String>) {
        for (answer, reply) in self.owed.drain(..) {
            let reply = match (reply, followed) {
                (Reply::Done(_), Err(reason)) => {
                    Reply::Refused(format!("noted, but the tables could not be applied: {reason}"))
                }
                (reply, _) => reply,
            };
            // Who asked may be gone.
            _ = answer.send(reply);
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
