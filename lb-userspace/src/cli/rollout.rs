use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::Failure;
use super::admin::Admin;
use super::look::{Look, Source};
use super::output::{Column, Sheet};
use crate::daemon::protocol::Request;
use crate::observe::view::{RolloutView, rollouts};
use crate::policy::rollout::verbs::Verb;

const COLUMNS: [Column; 5] = [
    Column::Text("ROLLOUT"),
    Column::Text("SERVICE"),
    Column::Text("STEP"),
    Column::Number("WEIGHT"),
    Column::Text("STATE"),
];

/// `spillway rollout`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Begin with the first step; the agent must run, as for all that follow.
    Start(Told),
    /// End a pause: go on with the next step.
    Promote {
        #[command(flatten)]
        told: Told,
        /// Be complete at once, whatever steps are left.
        #[arg(long)]
        full: bool,
    },
    /// Stay as it is until told otherwise.
    Pause(Told),
    /// Go on after `pause`, or repeat an analysis that said nothing: begin the step anew.
    Resume(Told),
    /// End it before it is complete: the weight goes back.
    Abort(Told),
    /// Take it back, also after it was complete.
    Rollback(Told),
    /// How far rollouts are; no agent is asked.
    Status {
        /// The rollout's name; all if left out.
        name: Option<String>,
        #[command(flatten)]
        source: Source,
    },
}

/// Which rollout, and who is told.
#[derive(Debug, Args)]
struct Told {
    /// The rollout's name.
    name: String,
    #[command(flatten)]
    admin: Admin,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (told, verb) = match &options.what {
        What::Status { name, source } => return status(name.as_deref(), source),
        What::Start(told) => (told, Verb::Start),
        What::Promote { told, full: false } => (told, Verb::Promote),
        What::Promote { told, full: true } => (told, Verb::PromoteFull),
        What::Pause(told) => (told, Verb::Pause),
        What::Resume(told) => (told, Verb::Resume),
        What::Abort(told) => (told, Verb::Abort),
        What::Rollback(told) => (told, Verb::Rollback),
    };
    told.admin.tell(&Request::Rollout { name: told.name.clone(), verb })
}

fn status(name: Option<&str>, source: &Source) -> Result<(), Failure> {
    let look = Look::at(&source.pinned)?;
    let all = rollouts(&look.seen());
    let names = all.iter().map(|rollout| rollout.name.as_str());
    if let Some(name) = name.filter(|name| !names.clone().any(|known| known == *name)) {
        return Err(anyhow!(crate::config::unknown("rollout", name, names)).into());
    }
    let chosen: Vec<_> =
        all.into_iter().filter(|rollout| name.is_none_or(|name| rollout.name == name)).collect();
    source.output.print(&chosen, |rollouts| text(rollouts))
}

fn text(rollouts: &[RolloutView]) -> String {
    let mut sheet = Sheet::new(&COLUMNS);
    for rollout in rollouts {
        let step =
            rollout.step.map_or_else(|| "-".to_owned(), |step| format!("{step}/{}", rollout.steps.len()));
        let weight = rollout.weight.map_or_else(|| "-".to_owned(), |weight| format!("{weight}%"));
        sheet.row([rollout.name.clone(), rollout.service.clone(), step, weight, rollout.says.clone()]);
    }
    sheet.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_has_a_line() {
        let rollout = RolloutView {
            name: "web-to-us".into(),
            service: "shop/web".into(),
            from: "web-eu".into(),
            to: "web-us".into(),
            phase: "paused",
            step: Some(2),
            steps: vec!["setWeight: 10".into(), "pause: {}".into(), "setWeight: 100".into()],
            weight: Some(10),
            due: None,
            analysis: None,
            rehearsed: false,
            says: "at step 2 of 3".into(),
        };
        let idle =
            RolloutView { step: None, weight: None, says: "was not started".into(), ..rollout.clone() };
        let expected = "\
ROLLOUT    SERVICE   STEP  WEIGHT  STATE
web-to-us  shop/web  2/3      10%  at step 2 of 3
web-to-us  shop/web  -          -  was not started";
        assert_eq!(text(&[rollout, idle]), expected);
    }
}
