//! Rollouts: what time, measurements and operators make of them, and what follows for the tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use super::inquiries::{Answered, Inquiries};
use super::tracking::instant;
use crate::config::model::{Config, Provider};
use crate::config::unknown;
use crate::datapath::clock::monotonic;
use crate::evidence::Reading;
use crate::observe::published::Rollouts;
use crate::policy::rollout::analysis::{Measurement, Outcome};
use crate::policy::rollout::machine::Plan;
use crate::policy::rollout::progress::{Phase, Progress};
use crate::policy::rollout::verbs::Verb;
use crate::policy::rollout::{is_ready, weights};

/// What was counted of the endpoints of a pool.
type Readings = BTreeMap<IpAddr, Reading>;

/// All rollouts, and what their analyses go by.
#[derive(Default)]
pub(super) struct Rolling {
    rollouts: Rollouts,
    /// By rollout: when the measurement is due whose interval began with these counts.
    begun: BTreeMap<String, (u64, Readings)>,
    inquiries: Inquiries,
}

impl Rolling {
    /// As the agent before left it.
    pub(super) fn of(rollouts: &Rollouts) -> Self {
        Self { rollouts: rollouts.clone(), ..Self::default() }
    }

    /// What is left to the next agent.
    pub(super) fn kept(&self) -> Rollouts {
        self.rollouts.clone()
    }

    /// When time leads on; `None`: it does not.
    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        Plan::all(config).filter_map(|plan| self.due(plan)).min().map(instant)
    }

    fn due(&self, plan: Plan) -> Option<u64> {
        let name = &plan.rollout.name;
        let progress = self.rollouts.get(name)?;
        // Who was asked answers in time or not; the step is to be done in time in any case.
        match progress.analysed(plan) {
            Some((_, due)) if self.inquiries.is_asked(name, due) => Some(progress.deadline(plan)),
            _ => progress.due(plan),
        }
    }

    /// What a server said that was asked for an analysis.
    pub(super) async fn answered(&mut self) -> Answered {
        self.inquiries.answered().await
    }
}

impl Agent {
    /// Takes in which percentages the configuration has a use for.
    pub(super) fn weigh_rollouts(&mut self) {
        self.observed.rollouts = weights(&self.config, &self.rolling.rollouts);
    }

    /// Takes in rollouts that are new, have other steps, or are no more.
    pub(super) fn follow_rollouts(&mut self) {
        let Self { rolling, config, .. } = self;
        rolling.rollouts.retain(|name, progress| {
            let mut rollouts = config.rollouts.iter();
            let stays = rollouts.any(|rollout| rollout.name == *name && progress.concerns(rollout));
            if !stays && progress.phase != Phase::Idle {
                let rollout = name;
                info!(
                    event = "rollout",
                    rollout, "no longer configured: the configured weights are in force"
                );
            }
            stays
        });
        for rollout in &config.rollouts {
            let new = || Progress::new(rollout);
            let progress = rolling.rollouts.entry(rollout.name.clone()).or_insert_with(new);
            let before = progress.clone();
            progress.adapt(rollout);
            tell(&rollout.name, &before, progress);
        }
    }

    /// Goes on with all rollouts, as far as they can.
    pub(super) fn roll(&mut self) {
        let mut rolling = std::mem::take(&mut self.rolling);
        let Rolling { rollouts, begun, inquiries } = &mut rolling;
        begun.retain(|name, _| rollouts.contains_key(name));
        inquiries.retain(|name| rollouts.contains_key(name));
        for plan in Plan::all(&self.config) {
            let name = &plan.rollout.name;
            let Some(progress) = rollouts.get_mut(name) else { continue };
            let before = progress.clone();
            progress.advance(plan, self.is_ready(plan), monotonic());
            self.measure(plan, progress, begun, inquiries);
            tell(name, &before, progress);
        }
        self.rolling = rolling;
        self.weigh_rollouts();
    }

    /// Measures if it is time, and begins the next interval.
    fn measure(
        &self,
        plan: Plan,
        progress: &mut Progress,
        begun: &mut BTreeMap<String, (u64, Readings)>,
        inquiries: &mut Inquiries,
    ) {
        let name = &plan.rollout.name;
        let Some((analysis, due)) = progress.analysed(plan) else { return inquiries.forget(name) };
        let now = monotonic();
        let earlier = begun.get(name).filter(|(of, _)| *of == due);
        if earlier.is_some() && due > now {
            return;
        }
        let readings = self.readings(&plan.rollout.to);
        match (earlier, &analysis.provider) {
            (Some((_, earlier)), Provider::Dataplane { metric, min_samples }) => {
                let reading = since(earlier, &readings);
                let found = Measurement::of_flows(*metric, &reading, *min_samples, analysis.success);
                self.take_in(plan, progress, found);
            }
            (Some(_), Provider::Server(_)) if inquiries.is_asked(name, due) => return,
            (Some(_), Provider::Server(inquiry)) => return inquiries.ask(name, due, inquiry),
            (None, _) => progress.measure_anew(plan, now),
        }
        if let Some((_, due)) = progress.analysed(plan) {
            begun.insert(name.clone(), (due, readings));
        }
    }

    /// Takes in what a server said, if it is still asked that.
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { rollout, due, inquiry, number } = answered;
        let plan = Plan::all(&self.config).find(|plan| plan.rollout.name == rollout);
        let (Some(plan), Some(before)) = (plan, self.rolling.rollouts.get(&rollout)) else { return };
        let Some((analysis, at)) = before.analysed(plan) else { return };
        let Provider::Server(asked) = &analysis.provider else { return };
        if (at, asked) != (due, &inquiry) {
            return;
        }
        let found = Measurement::of_answer(inquiry.sought.name(), number, analysis.success);
        let mut progress = before.clone();
        self.take_in(plan, &mut progress, found);
        tell(&rollout, before, &progress);
        self.rolling.rollouts.insert(rollout, progress);
    }

    /// Takes in a measurement. It says nothing of weights that the tables do not have.
    fn take_in(&self, plan: Plan, progress: &mut Progress, found: Measurement) {
        let Some((analysis, _)) = progress.analysed(plan) else { return };
        let found = match &self.trouble.tables {
            Some(reason) => {
                Measurement { outcome: Outcome::Error, found: format!("the tables are others: {reason}") }
            }
            None => found,
        };
        let (name, now) = (&plan.rollout.name, monotonic());
        info!(event = "analysis", rollout = name, analysis = analysis.name, outcome = ?found.outcome, found = found.found);
        progress.measured(plan, found, now);
        progress.advance(plan, self.is_ready(plan), now);
    }

    /// Whether somebody takes what `to` is to get, and the tables can say so.
    fn is_ready(&self, plan: Plan) -> bool {
        self.trouble.tables.is_none() && is_ready(plan.rollout, &self.config, &self.observed)
    }

    fn readings(&self, pool: &str) -> Readings {
        let pools = self.config.pools.iter().filter(|one| one.name == pool);
        let evidence = pools.flat_map(|pool| self.evidence_of(pool));
        evidence.map(|(address, evidence)| (address, evidence.into())).collect()
    }

    /// Does what an operator says to a rollout, but for the tables.
    pub(super) fn steer(&mut self, name: &str, verb: Verb) -> Result<String, String> {
        let ready = Plan::all(&self.config).any(|plan| plan.rollout.name == name && self.is_ready(plan));
        let Self { rolling, config, .. } = self;
        let names = config.rollouts.iter().map(|rollout| rollout.name.as_str());
        let plan = Plan::all(config).find(|plan| plan.rollout.name == name);
        let (Some(plan), Some(progress)) = (plan, rolling.rollouts.get_mut(name)) else {
            return Err(unknown("rollout", name, names));
        };
        let before = progress.clone();
        let obeyed = progress.obey(verb, plan, ready, monotonic());
        obeyed.map_err(|reason| format!("`{verb}` is refused, for rollout {name} {before}: {reason}"))?;
        info!(event = "rollout", rollout = name, %verb, "told by an operator");
        tell(name, &before, progress);
        let answer = format!("rollout {name} {progress}");
        self.weigh_rollouts();
        Ok(answer)
    }
}

/// What came to a pool since then, of the endpoints that were there.
fn since(earlier: &Readings, now: &Readings) -> Reading {
    now.iter().filter_map(|(address, reading)| Some(*reading - *earlier.get(address)?)).sum()
}

fn tell(name: &str, before: &Progress, after: &Progress) {
    if after.is_where(before) {
        return;
    }
    let rollout = name;
    match after.phase {
        Phase::Aborted | Phase::Paused(_) => warn!(event = "rollout", rollout, "{after}"),
        _ => info!(event = "rollout", rollout, "{after}"),
    }
}
