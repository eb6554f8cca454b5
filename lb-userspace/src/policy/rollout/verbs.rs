//! What an operator says to a rollout.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::Plan;
use super::progress::{Cause, Phase, Progress};
use crate::config::model::Step;

/// What an operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Begin with the first step.
    Start,
    /// End the pause.
    Promote,
    /// Be complete, whatever steps there are.
    PromoteFull,
    /// Stay as you are.
    Pause,
    /// Begin the step anew.
    Resume,
    /// Go back, before you are complete.
    Abort,
    /// Go back, also if you are complete.
    Rollback,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Promote => "promote",
            Self::PromoteFull => "promote --full",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
        })
    }
}

impl Progress {
    /// Does what an operator says at `now`; `ready`: somebody in `to` takes new flows.
    ///
    /// # Errors
    /// Why it makes no sense; nothing is changed then.
    pub fn obey(&mut self, verb: Verb, plan: Plan, ready: bool, now: u64) -> Result<(), String> {
        match verb {
            Verb::Start => self.start(plan, now),
            Verb::Promote => self.promote(plan, now),
            Verb::PromoteFull => self.promote_full(plan, ready, now),
            Verb::Pause => self.halt(),
            Verb::Resume => self.resume(plan, now),
            Verb::Abort => self.abort(plan),
            Verb::Rollback => self.roll_back(plan),
        }?;
        self.advance(plan, ready, now);
        Ok(())
    }

    fn start(&mut self, plan: Plan, now: u64) -> Result<(), String> {
        match self.phase {
            Phase::Complete => return Err("it is complete; roll it back before you start it anew".to_owned()),
            Phase::Paused(Cause::Changed) => {}
            _ if self.phase.is_under_way() => {
                return Err("it is under way; abort it before you start it anew".to_owned());
            }
            _ => {}
        }
        self.steps.clone_from(&plan.rollout.steps);
        self.enter(plan, 0, now);
        Ok(())
    }

    fn promote(&mut self, plan: Plan, now: u64) -> Result<(), String> {
        self.under_way()?;
        let position = match (&self.phase, self.steps.get(self.position)) {
            (Phase::Paused(Cause::Changed), _) => return Err(self.reason.clone()),
            (Phase::Paused(Cause::Operator), Some(Step::SetWeight(_))) => self.position,
            (Phase::Paused(_) | Phase::Pausing { .. }, _) => self.position + 1,
            _ => return Err("it is not paused; pause it before, or say `promote --full`".to_owned()),
        };
        self.rehearsed(plan)?;
        self.enter(plan, position, now);
        Ok(())
    }

    fn promote_full(&mut self, plan: Plan, ready: bool, now: u64) -> Result<(), String> {
        self.under_way()?;
        self.rehearsed(plan)?;
        if !ready {
            return Err(format!("nobody in {} takes new flows", self.to));
        }
        self.weight = Some(100);
        self.enter(plan, self.steps.len(), now);
        Ok(())
    }

    fn halt(&mut self) -> Result<(), String> {
        self.under_way()?;
        if let Phase::Paused(_) = self.phase {
            return Err("it is paused already".to_owned());
        }
        self.pause(Cause::Operator, "told by an operator".to_owned());
        Ok(())
    }

    fn resume(&mut self, plan: Plan, now: u64) -> Result<(), String> {
        match self.phase {
            Phase::Paused(Cause::Operator | Cause::Inconclusive) => {
                self.enter(plan, self.position, now);
                Ok(())
            }
            Phase::Paused(Cause::Step) => Err("the step itself is a pause; promote it to go on".to_owned()),
            Phase::Paused(Cause::Changed) => Err(self.reason.clone()),
            _ => Err("it is not paused".to_owned()),
        }
    }

    fn abort(&mut self, plan: Plan) -> Result<(), String> {
        if self.phase == Phase::Complete {
            return Err("it is complete; `rollback` takes it back".to_owned());
        }
        self.under_way()?;
        self.go_back(plan, Phase::Aborted, "told by an operator".to_owned());
        Ok(())
    }

    fn roll_back(&mut self, plan: Plan) -> Result<(), String> {
        if self.phase != Phase::Complete {
            self.under_way()?;
        }
        self.go_back(plan, Phase::RolledBack, "told by an operator".to_owned());
        Ok(())
    }

    fn under_way(&self) -> Result<(), String> {
        match self.phase {
            Phase::Idle => Err("nobody started it".to_owned()),
            Phase::Aborted | Phase::RolledBack => Err("it went back already; start it anew".to_owned()),
            Phase::Complete => Err("it is complete".to_owned()),
            _ => Ok(()),
        }
    }

    fn rehearsed(&self, plan: Plan) -> Result<(), String> {
        if plan.rollout.rollback.require_rehearsal && !self.rehearsed {
            let reason = "its way back was never rehearsed, which `requireRehearsal` asks for";
            return Err(format!("{reason}; say `rollback`, and start it anew"));
        }
        Ok(())
    }
}
