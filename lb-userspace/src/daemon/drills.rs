//! Drills: begins those that it is time for or that an operator asks for, watches who stands in, and ends them.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use super::protocol::DrillOrder;
use super::tracking::instant;
use crate::config::model::{self, Config, Terms};
use crate::config::unknown;
use crate::datapath::clock::monotonic;
use crate::evidence::Moment;
use crate::milliseconds::milliseconds;
use crate::observe::published::Drills;
use crate::policy::drill::begin::Stage;
use crate::policy::drill::{Drill, Outcome};
use crate::policy::slices::Slices;

/// Time between two looks at one that runs.
const EVERY: Duration = Duration::from_secs(1);

/// The drill that runs or ran last, and when others are due.
#[derive(Default)]
pub(super) struct Drilling {
    drills: Drills,
    /// What was counted when it began, or when this agent did.
    before: Option<Moment>,
    next: Option<Instant>,
}

impl Drilling {
    /// As the agent before left it.
    pub(super) fn of(drills: &Drills) -> Self {
        Self { drills: drills.clone(), ..Self::default() }
    }

    /// What is left to the next agent.
    pub(super) fn kept(&self) -> Drills {
        self.drills.clone()
    }

    /// When to look; `None`: none runs, and none is scheduled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The one that runs.
    fn running(&self) -> Option<&Drill> {
        self.drills.last.as_ref().filter(|drill| drill.runs())
    }

    /// What it keeps pools out of.
    pub(super) fn slices(&self, config: &Config) -> Slices {
        self.running().map(|drill| drill.slices(config)).unwrap_or_default()
    }

    /// When to look again, at `now`: at the one that runs soon, and no later than its end.
    fn plan(&mut self, config: &Config, now: u64) {
        let look = now.saturating_add(milliseconds(EVERY));
        let running = self.running().map(|drill| drill.until().min(look));
        let scheduled = config.drills.iter().filter_map(|drill| self.drills.due(drill));
        self.next = scheduled.chain(running).min().map(instant);
    }
}

impl Agent {
    /// Takes in the configuration: ends a drill that is no longer in it, and counts from now for those that are new.
    pub(super) fn follow_drills(&mut self) {
        let now = monotonic();
        let scheduled = self.config.drills.iter().filter(|drill| drill.every.is_some());
        let names: BTreeSet<_> = scheduled.map(|drill| &drill.name).collect();
        let since = &mut self.drilling.drills.since;
        since.retain(|name, _| names.contains(name));
        for name in names {
            since.entry(name.clone()).or_insert(now);
        }
        if let Some(reason) = self.drilling.running().and_then(|drill| drill.forsaken(&self.config)) {
            self.end_drill(reason, now);
        }
        self.drilling.plan(&self.config, now);
    }

    /// Looks at the one that runs and begins one that is due; whether the tables are to follow.
    pub(super) fn look_at_drills(&mut self) -> bool {
        let now = monotonic();
        self.watch_drill(now);
        let is_due = |drill: &&model::Drill| self.drilling.drills.due(drill).is_some_and(|due| due <= now);
        if let Some(model::Drill { name, terms, .. }) = self.config.drills.iter().find(is_due).cloned() {
            self.drilling.drills.since.insert(name.clone(), now);
            if let Err(reason) = self.begin_drill(Some(&name), &terms, false, now) {
                warn!(event = "drill", drill = name, reason, "was due and is left out");
            }
        }
        self.drilling.plan(&self.config, now);
        self.keep_out()
    }

    fn watch_drill(&mut self, now: u64) {
        let Some(mut drill) = self.drilling.running().cloned() else { return };
        let moment = self.moment();
        let before = self.drilling.before.get_or_insert_with(|| moment.clone());
        let others = drill.others(&self.config);
        let since = moment.since(before).filter(|since| others.contains(since.pool));
        if drill.look(&since.map(|since| since.reading).sum(), now) {
            tell(&drill);
        }
        self.drilling.drills.last = Some(drill);
        // What was found so far is to be seen meanwhile.
        self.publish_or_say();
    }

    /// Does what an operator says, but for the tables.
    pub(super) fn order_drill(&mut self, order: &DrillOrder) -> Result<String, String> {
        let now = monotonic();
        let answer = match order {
            DrillOrder::Run { name, force } => {
                let names = self.config.drills.iter().map(|drill| drill.name.as_str());
                let known = self.config.drills.iter().find(|drill| drill.name == *name);
                let terms = known.ok_or_else(|| unknown("drill", name, names))?.terms.clone();
                let begun = self.begin_drill(Some(name), &terms, *force, now);
                if let Some(since) = self.drilling.drills.since.get_mut(name).filter(|_| begun.is_ok()) {
                    *since = now;
                }
                begun
            }
            DrillOrder::Fail { terms, force } => self.begin_drill(None, terms, *force, now),
            DrillOrder::Stop => self.stop_drill(now),
        }?;
        self.drilling.plan(&self.config, now);
        self.keep_out();
        Ok(answer)
    }

    fn begin_drill(
        &mut self,
        name: Option<&str>,
        terms: &Terms,
        force: bool,
        now: u64,
    ) -> Result<String, String> {
        if let Some(running) = self.drilling.running() {
            return Err(format!("{running} runs; wait for its end, or say `spillway drill stop`"));
        }
        let Self { config, observed, memory, .. } = self;
        let opened: BTreeSet<_> = self.breakers.kept().into_keys().collect();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds);
        let stage = Stage { config, observed, memory, opened: &opened, now, unix };
        let drill = stage.begin(name, terms, force)?;
        let seconds = milliseconds(terms.length) / 1000;
        let answer =
            format!("{drill} keeps {}% of the hash space from {} for {seconds} s", terms.percent, terms.fail);
        info!(
            event = "drill",
            drill = drill.name,
            cluster = terms.fail,
            percent = terms.percent,
            seconds,
            "begins"
        );
        self.drilling.before = Some(self.moment());
        self.drilling.drills.last = Some(drill);
        Ok(answer)
    }

    fn stop_drill(&mut self, now: u64) -> Result<String, String> {
        let running = self.drilling.running().map(ToString::to_string);
        let running = running.ok_or_else(|| "no drill runs".to_owned())?;
        self.end_drill("told by an operator", now);
        Ok(format!("{running} is stopped"))
    }

    fn end_drill(&mut self, reason: &str, now: u64) {
        if let Some(drill) = &mut self.drilling.drills.last {
            drill.stop(reason, now);
            tell(drill);
        }
    }
}

/// How it ended, and what was found.
fn tell(drill: &Drill) {
    let Some(end) = &drill.end else { return };
    let (cluster, found) = (&drill.terms.fail, drill.found);
    let (name, metric) = (&drill.name, drill.terms.abort_if.metric.name());
    let rows: u32 = drill.moved.values().sum();
    match end.outcome {
        Outcome::Done => {
            info!(event = "drill", drill = name, cluster, rows, metric, %found, "done: it takes its share again");
        }
        Outcome::Aborted => {
            warn!(
                event = "drill",
                drill = name,
                cluster,
                rows,
                reason = end.reason,
                "aborted: it takes its share again"
            );
        }
        Outcome::Stopped => {
            info!(event = "drill", drill = name, cluster, rows, metric, %found, reason = end.reason, "stopped: it takes its share again");
        }
    }
}
