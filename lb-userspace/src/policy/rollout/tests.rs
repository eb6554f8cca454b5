mod analyses;
mod properties;
mod steps;
mod verbs;

use std::time::Duration;

use super::analysis::{Measurement, Outcome};
use super::is_ready;
use super::machine::Plan;
use super::progress::Progress;
use super::verbs::Verb;
use crate::config::model::{Analysis, Provider, Rollback, Rollout, Step};
use crate::config::tests::world;
use crate::evidence::Metric;
use crate::policy::observed::Observed;
use crate::policy::slices::{ALL, KeptOut};

const MINUTE: u64 = 60_000;

fn rollout(steps: Vec<Step>) -> Rollout {
    Rollout {
        name: "web-to-us".into(),
        service: "shop/web".into(),
        from: "web-eu".into(),
        to: "web-us".into(),
        steps,
        progress_deadline: Duration::from_mins(10),
        rollback: Rollback::default(),
    }
}

/// The steps of the examples: a timed pause, an analysis, somebody's pause.
fn usual() -> Rollout {
    let pause = Step::Pause(Some(Duration::from_mins(10)));
    let analysis = Step::Analysis("hs-ok".into());
    let weight = Step::SetWeight;
    rollout(vec![weight(10), pause, analysis, weight(50), Step::Pause(None), weight(100)])
}

fn analysis() -> Analysis {
    Analysis {
        name: "hs-ok".into(),
        provider: Provider::Dataplane { metric: Metric::FailedHandshakeRatio, min_samples: 200 },
        interval: Duration::from_secs(10),
        count: 3,
        success: "< 0.01".parse().unwrap(),
        failure_limit: 0,
        consecutive_error_limit: 4,
        inconclusive_limit: 0,
    }
}

fn measurement(outcome: Outcome) -> Measurement {
    Measurement { outcome, found: "x".into() }
}

/// A rollout and how far it is.
struct World {
    rollout: Rollout,
    analyses: Vec<Analysis>,
    progress: Progress,
    ready: bool,
}

impl World {
    fn new(rollout: Rollout) -> Self {
        let progress = Progress::new(&rollout);
        Self { rollout, analyses: vec![analysis()], progress, ready: true }
    }

    fn advance(&mut self, now: u64) -> (usize, Option<u8>, &'static str) {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.advance(plan, self.ready, now);
        self.at()
    }

    fn say(&mut self, verb: Verb, now: u64) -> Result<(usize, Option<u8>, &'static str), String> {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.obey(verb, plan, self.ready, now)?;
        Ok(self.at())
    }

    fn measure(&mut self, outcome: Outcome, now: u64) -> (usize, Option<u8>, &'static str) {
        let plan = Plan { rollout: &self.rollout, analyses: &self.analyses };
        self.progress.measured(plan, measurement(outcome), now);
        self.advance(now)
    }

    fn due(&self) -> Option<u64> {
        self.progress.due(Plan { rollout: &self.rollout, analyses: &self.analyses })
    }

    fn at(&self) -> (usize, Option<u8>, &'static str) {
        (self.progress.position, self.progress.weight, self.progress.phase.name())
    }
}

/// As it is while its breaker is open: nobody in it takes new flows.
#[test]
fn a_pool_that_is_kept_out_of_everything_is_not_ready() {
    let config = world::example("migration.yaml");
    let kept_out = |percent| {
        let kept_out = [("web-us".to_owned(), KeptOut { percent, reason: String::new() })].into();
        Observed { kept_out, ..Observed::all_well(&config) }
    };
    let ready = |observed| is_ready(&config.rollouts[0], &config, &observed);
    assert_eq!((ready(kept_out(0)), ready(kept_out(99)), ready(kept_out(ALL))), (true, true, false));
}
