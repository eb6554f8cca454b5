//! The loop: notices and targets in, next-hop events out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, sleep_until};

use super::decide::{Answer, decide};
use super::netlink::{Lost, Netlink, StartError};
use super::schedule::{Pace, Schedule};
use super::view::{NeighbourKey, Touched, View};
use super::{NextHopEvent, Resolution};

/// Events the consumer may be behind before the resolver waits for it.
const EVENT_BACKLOG: usize = 1024;

/// Pause before the sockets are opened anew; bounds the work when every session is overrun.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// After a round of questions, rest this many times as long as it took: a fifth of one core at most.
const REST_FACTOR: u32 = 4;

/// Longest such rest.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// How fast and how often next hops are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long notifications are gathered before they are acted upon.
    pub settle: Duration,
    /// Everything is read again this often, whatever was notified.
    pub resync: Duration,
    /// Neighbours in use are confirmed this often, since XDP traffic does not refresh their entries.
    pub keep_alive: Duration,
    /// First pause after asking for an unknown neighbour; doubles up to `longest_retry`.
    pub retry: Duration,
    /// Longest pause between two attempts to resolve an unknown neighbour.
    pub longest_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(50),
            resync: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(30),
        }
    }
}

/// Keeps the next hops of a set of addresses known. Dropping it ends its task.
#[derive(Debug)]
pub struct Resolver {
    targets: watch::Sender<BTreeSet<IpAddr>>,
    links: Arc<Notify>,
}

impl Resolver {
    /// Starts a task on the current tokio runtime that watches the network namespace of the calling
    /// thread, and returns where its events arrive. Starts with no targets.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when the netlink sockets cannot be opened. Later trouble with them
    /// is logged and mended by opening them again.
    pub fn start(timing: Timing) -> Result<(Self, mpsc::Receiver<NextHopEvent>), StartError> {
        let netlink = Netlink::open()?;
        let (targets, changes) = watch::channel(BTreeSet::new());
        let (events, received) = mpsc::channel(EVENT_BACKLOG);
        let task = Task::new(timing, changes, events);
        let links = Arc::clone(&task.links);
        tokio::spawn(task.run(netlink));
        Ok((Self { targets, links }, received))
    }

    /// Waits until an interface came, went or changed since this last returned. Cancel safe. A change may go
    /// unsaid when notifications were lost.
    pub async fn links_changed(&self) {
        self.links.notified().await;
    }

    /// Replaces the set of addresses to resolve. A new one is reported soon, even if unresolved; one
    /// that is gone is not reported any more.
    pub fn set_targets(&self, targets: BTreeSet<IpAddr>) {
        self.targets.send_replace(targets);
    }
}

/// Why a session with the kernel ended.
enum End {
    /// Nobody is interested any more.
    Stopped,
    Lost(Lost),
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

struct Task {
    timing: Timing,
    targets: watch::Receiver<BTreeSet<IpAddr>>,
    events: mpsc::Sender<NextHopEvent>,
    links: Arc<Notify>,
    view: View,
    /// The kernel's last answer about each target that was asked about.
    answers: BTreeMap<IpAddr, Answer>,
    /// Targets to ask about again.
    stale: BTreeSet<IpAddr>,
    /// When to decide anew; `None` while nothing changed.
    decide_at: Option<Instant>,
    /// Not to ask again before this.
    rest_until: Instant,
    resync_at: Instant,
    reported: BTreeMap<IpAddr, Resolution>,
    schedule: Schedule,
    /// A target behind each neighbour in use.
    behind: BTreeMap<NeighbourKey, IpAddr>,
}

impl Task {
    fn new(
        timing: Timing,
        targets: watch::Receiver<BTreeSet<IpAddr>>,
        events: mpsc::Sender<NextHopEvent>,
    ) -> Self {
        let Timing { keep_alive, retry, longest_retry, .. } = timing;
        let now = Instant::now();
        Self {
            timing,
            targets,
            events,
            links: Arc::default(),
            view: View::default(),
            answers: BTreeMap::new(),
            stale: BTreeSet::new(),
            decide_at: None,
            rest_until: now,
            resync_at: now,
            reported: BTreeMap::new(),
            schedule: Schedule::new(Pace { keep_alive, retry, longest_retry }),
            behind: BTreeMap::new(),
        }
    }

    /// Works until nobody listens; opens the sockets again whenever they are lost.
    async fn run(mut self, mut netlink: Netlink) {
        loop {
            match self.session(netlink).await {
                End::Stopped => return,
                End::Lost(reason) => tracing::warn!(%reason, "opening the netlink sockets again"),
            }
            netlink = loop {
                sleep(REOPEN_PAUSE).await;
                match Netlink::open() {
                    Ok(netlink) => break netlink,
                    Err(error) => tracing::warn!(%error, "next hops are not watched"),
                }
                if self.events.is_closed() {
                    return;
                }
            };
        }
    }

    async fn session(&mut self, mut netlink: Netlink) -> End {
        self.resync_at = Instant::now();
        loop {
            if let Err(end) = self.step(&mut netlink).await {
                return end;
            }
        }
    }

    /// Takes in one thing that happened, or does what is due.
    async fn step(&mut self, netlink: &mut Netlink) -> Result<(), End> {
        let wake = self.next_wake();
        tokio::select! {
            changed = self.targets.changed() => {
                changed.map_err(|_| End::Stopped)?;
                self.take_targets();
            }
            () = self.events.closed() => return Err(End::Stopped),
            notice = netlink.notice() => {
                let touched = self.view.apply(notice?);
                self.take_touched(touched);
            }
            () = sleep_until(wake.into()) => self.work(netlink).await?,
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let times = [self.decide_at, self.schedule.next()];
        times.into_iter().flatten().fold(self.resync_at, Instant::min)
    }

    fn take_targets(&mut self) {
        let targets = self.targets.borrow_and_update().clone();
        self.answers.retain(|address, _| targets.contains(address));
        self.reported.retain(|address, _| targets.contains(address));
        self.stale.retain(|address| targets.contains(address));
        self.stale.extend(targets.into_iter().filter(|address| !self.answers.contains_key(address)));
        self.decide_soon();
    }

    fn take_touched(&mut self, touched: Touched) {
        match touched {
            Touched::Nothing => return,
            Touched::Decisions => {}
            Touched::Routes(prefix) => {
                let before = self.stale.len();
                self.stale.extend(self.answers.keys().filter(|target| prefix.contains(**target)));
                if self.stale.len() == before {
                    return;
                }
            }
            Touched::AllRoutes => self.stale.extend(self.answers.keys()),
            Touched::Links => {
                self.links.notify_one();
                self.stale.extend(self.answers.keys());
            }
        }
        self.decide_soon();
    }

    /// The first change sets the time, so a storm delays nothing and is still taken as one.
    fn decide_soon(&mut self) {
        let at = Instant::now() + self.timing.settle;
        self.decide_at = Some(self.decide_at.map_or(at, |earlier| earlier.min(at)));
    }

    async fn work(&mut self, netlink: &Netlink) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.resync_at {
            self.view = netlink.dump().await?;
            self.stale.extend(self.answers.keys());
            self.resync_at = now + self.timing.resync;
            self.decide_at = Some(now);
        }
        if self.decide_at.is_some_and(|at| now >= at) {
            self.ask(netlink).await?;
            self.decide_at = (!self.stale.is_empty()).then_some(self.rest_until);
            self.report().await?;
        }
        self.provoke(netlink).await;
        Ok(())
    }

    /// Asks for the neighbours that are due; a table that is full would refuse hundreds, which is one
    /// line in the log.
    async fn provoke(&mut self, netlink: &Netlink) {
        let mut refusals = Vec::new();
        for neighbour in self.schedule.due(Instant::now()) {
            let Some(target) = self.behind.get(&neighbour) else { continue };
            refusals.extend(netlink.provoke(neighbour, *target).await.err());
        }
        if let Some(reason) = refusals.first() {
            let count = refusals.len();
            tracing::warn!(count, %reason, "neighbours not asked for; sent a datagram to each instead");
        }
    }

    /// Asks about every stale target, unless it is time to rest from that: many targets and an endless
    /// storm must not take a whole core, and a neighbour's answer must not wait for it.
    async fn ask(&mut self, netlink: &Netlink) -> Result<(), Lost> {
        let start = Instant::now();
        if start < self.rest_until {
            return Ok(());
        }
        while let Some(target) = self.stale.first().copied() {
            let answer = netlink.route(target).await?;
            self.answers.insert(target, answer);
            self.stale.remove(&target);
        }
        self.rest_until = Instant::now() + (start.elapsed() * REST_FACTOR).min(LONGEST_REST);
        Ok(())
    }

    /// Decides every target, reports those that changed, and notes the neighbours they depend on.
    async fn report(&mut self) -> Result<(), End> {
        let mut wanted = BTreeMap::new();
        self.behind.clear();
        for (address, answer) in &self.answers {
            let decision = decide(&self.view, *address, answer);
            if let Some(want) = decision.wants {
                wanted.insert(want.neighbour, want.known);
                self.behind.entry(want.neighbour).or_insert(*address);
            }
            if self.reported.get(address) != Some(&decision.resolution) {
                let resolution = decision.resolution;
                self.reported.insert(*address, resolution.clone());
                let event = NextHopEvent { address: *address, resolution };
                self.events.send(event).await.map_err(|_| End::Stopped)?;
            }
        }
        self.schedule.want(&wanted, Instant::now());
        Ok(())
    }
}
