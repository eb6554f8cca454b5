//! When rows that moved become clean again: windows end by the clock, and sweeps over the recorded connections
//! say which rows are still needed. A sweep runs beside the agent, which goes on meanwhile.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::agent::Agent;
use crate::compile::Ledger;
use crate::config::model::{Config, Tracking as Tracked};
use crate::datapath::clock::monotonic;
use crate::datapath::connections::Connections;
use crate::datapath::pins::Pins;
use crate::sweep::{Found, Sweep};

/// Rows whose windows end this close to each other change in one go. MOVING for longer is never wrong.
const TOGETHER: u64 = 100;
/// Sweeps in a window, and the bounds of the time between two, in milliseconds.
const SWEEPS: u64 = 20;
const SHORTEST: u64 = 1000;
const LONGEST: u64 = 15_000;

/// The next times, and the sweep under way. Times are milliseconds of [`monotonic`].
#[derive(Default)]
pub(super) struct Tracking {
    /// When a row stops MOVING, or changes its owner as announced; `None`: none does.
    expiry: Option<u64>,
    /// When to sweep; `None`: there is nothing to sweep for.
    sweep_at: Option<u64>,
    under_way: Option<JoinHandle<Result<Found, String>>>,
    /// Connections that the last sweep left; `None`: there was none since the agent began.
    entries: Option<u64>,
}

/// When it is so many milliseconds of [`monotonic`]; now if it was before.
pub(super) fn instant(at: u64) -> Instant {
    Instant::now() + Duration::from_millis(at.saturating_sub(monotonic()))
}

impl Tracking {
    /// Takes in what was applied.
    pub(super) fn follow(&mut self, ledger: &Ledger, config: &Config) {
        let expiry = ledger.next_expiry(config.cluster_set.change_window_ms());
        let roll = ledger.next_roll(config.cluster_set.roll_delay_ms());
        self.expiry = [expiry.map(|expiry| expiry + TOGETHER), roll].into_iter().flatten().min();
        let records = ledger.records() || config.services.iter().any(|one| one.tracking == Tracked::Full);
        let wanted = records || ledger.has_quarantine() || self.entries != Some(0);
        self.sweep_at = wanted.then(|| self.sweep_at.unwrap_or_else(|| monotonic() + pause(config)));
    }

    /// The tables could not be made: what is due waits until they are looked at again, or it would be tried without end.
    pub(super) fn give_up(&mut self) {
        self.expiry = None;
    }

    /// When there is something to do; `None`: not before something happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sweep = self.sweep_at.filter(|_| self.under_way.is_none());
        let due = [self.expiry, sweep].into_iter().flatten().min()?;
        Some(instant(due))
    }

    /// What the sweep under way found; never returns without one.
    pub(super) async fn found(&mut self) -> Result<Found, String> {
        let Some(sweep) = &mut self.under_way else { return std::future::pending().await };
        let found = sweep.await.unwrap_or_else(|error: JoinError| Err(error.to_string()));
        self.under_way = None;
        found
    }
}

impl Agent {
    /// Begins a sweep if it is time.
    pub(super) fn tend(&mut self) {
        let (now, window) = (monotonic(), self.config.cluster_set.change_window_ms());
        let due = self.tracking.sweep_at.is_some_and(|at| at <= now) && self.tracking.under_way.is_none();
        if let Some(image) = self.image.clone().filter(|_| due) {
            let sweep = Sweep::new(image, self.ledger.record(), now, window);
            let pins = self.pins.clone();
            self.tracking.sweep_at = Some(now + pause(&self.config));
            self.tracking.under_way = Some(spawn_blocking(move || run(&sweep, &pins)));
        }
    }

    /// Takes in what a sweep found. If the tables changed meanwhile it tells of others than are in force, and
    /// the next one decides.
    pub(super) fn swept(&mut self, found: Result<Found, String>) {
        let found = match found {
            Ok(found) => found,
            Err(reason) => return warn!(event = "sweep", reason, "the connections cannot be read"),
        };
        let current = found.generation == self.ledger.record().generation;
        let (entries, over) = (found.entries, found.over.len());
        debug!(event = "sweep", entries, over, rows = found.needed.len(), current, "connections swept");
        self.tracking.entries = Some(entries);
        self.published.swept += over as u64;
        self.ledger.release_names(found.generation);
        if current {
            self.ledger.settle(found.before, |table, row| found.needed.contains(&(table, row)));
        }
    }
}

fn run(sweep: &Sweep, pins: &Pins) -> Result<Found, String> {
    let mut connections = Connections::open(pins).map_err(|error| error.to_string())?;
    let all = connections.all().map_err(|error| error.to_string())?;
    let found = sweep.judge(all.into_iter());
    connections.remove(&found.over).map_err(|error| error.to_string())?;
    Ok(found)
}

fn pause(config: &Config) -> u64 {
    (config.cluster_set.change_window_ms() / SWEEPS).clamp(SHORTEST, LONGEST)
}
