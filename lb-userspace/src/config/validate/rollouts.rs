//! Rules of `rollouts`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::{Names, label, resolve};
use super::{time, within};
use crate::config::file::{self, File, elements};
use crate::config::model::{Analysis, Config, Rollback, Rollout, Step};
use crate::config::problem::{Problems, quoted};
use crate::config::read::{List, Located};
use crate::config::scalar::Time;
use crate::policy::failover::order::{Labels, priority};

const DEADLINE: Duration = Duration::from_mins(10);
/// As long as anybody waits: thirty days.
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(720);

pub(super) fn rollout(
    rollout: &Located<file::Rollout>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Rollout> {
    if let Some(name) = rollout.name.as_ref() {
        label(name, problems);
    }
    names_fit(rollout, names, problems);
    let deadline = time(rollout.progress_deadline.as_ref(), DEADLINE, &TIMES, problems);
    let rollback = rollout.rollback.as_ref().map(|back| self::rollback(back, problems)).unwrap_or_default();
    let steps = steps(rollout.steps.as_ref()?, names, problems);
    pause_for_rehearsal(rollout, rollback, &steps, problems);
    way_back(rollout, rollback, &steps, problems);
    let text = |name: &Option<Located<String>>| name.as_ref().map(|name| name.value.clone());
    Some(Rollout {
        name: text(&rollout.name)?,
        service: text(&rollout.service)?,
        from: text(&rollout.from)?,
        to: text(&rollout.to)?,
        steps,
        progress_deadline: deadline,
        rollback,
    })
}

fn rollback(rollback: &file::Rollback, problems: &mut Problems) -> Rollback {
    Rollback {
        weight: within(rollback.weight.as_ref(), 0, &(0..=99), problems),
        require_rehearsal: rollback.require_rehearsal.as_ref().is_some_and(|required| required.value),
    }
}

/// The service is there, and both pools are two of its own.
fn names_fit(rollout: &file::Rollout, names: &Names<'_>, problems: &mut Problems) {
    let service =
        rollout.service.as_ref().and_then(|name| resolve("service", name, &names.services, problems));
    for name in [rollout.from.as_ref(), rollout.to.as_ref()].into_iter().flatten() {
        let is_known = resolve("pool", name, &names.pools, problems).is_some();
        let of_service =
            |service: &file::Service| elements(service.pools.as_ref()).iter().any(|pool| **pool == **name);
        if let Some(service) = service.filter(|service| is_known && !of_service(service)) {
            let service = quoted(service.name.as_ref().map_or("", |name| name));
            let reason = format!("pool {} is none of service {service}", quoted(name));
            problems.add(&name.place, reason, "add it to the service's `pools`, with weight 0 if need be");
        }
    }
    if let (Some(from), Some(to)) = (rollout.from.as_ref(), rollout.to.as_ref())
        && from.value == to.value
    {
        problems.add(&to.place, "`from` and `to` are one pool", "name another one in one of them");
    }
}

fn steps(steps: &Located<List<file::Step>>, names: &Names<'_>, problems: &mut Problems) -> Vec<Step> {
    let read: Vec<_> = steps.iter().filter_map(|step| self::step(step, names, problems)).collect();
    if read.iter().filter_map(weight).next_back() != Some(100) {
        let mend = "end with `{setWeight: 100}`; pauses and analyses may follow it";
        problems.add(&steps.place, "the last weight is not 100, so the rollout leads nowhere", mend);
    }
    read
}

fn step(step: &Located<file::Step>, names: &Names<'_>, problems: &mut Problems) -> Option<Step> {
    let weight = step.set_weight.as_ref().map(|percent| {
        let percent = within(Some(percent), 0, &(0..=100), problems);
        Step::SetWeight(percent)
    });
    let pause = step.pause.as_ref().map(|pause| {
        if let Some(Time(length)) = pause.value.0 {
            let length = Located { value: Time(length), place: pause.place.clone() };
            time(Some(&length), length.value.0, &TIMES, problems);
        }
        Step::Pause(pause.value.0.map(|time| time.0))
    });
    let analysis = step.analysis.as_ref().map(|name| {
        resolve("analysis", name, &names.analyses, problems);
        Step::Analysis(name.value.clone())
    });
    let does: Vec<_> = [weight, pause, analysis].into_iter().flatten().collect();
    if does.len() > 1 {
        problems.add(&step.place, "the step does more than one thing", "make a step of each, in their order");
    }
    does.into_iter().next()
}

/// Only who waits for somebody can be refused to go on.
fn pause_for_rehearsal(rollout: &file::Rollout, rollback: Rollback, steps: &[Step], problems: &mut Problems) {
    let written = rollout.rollback.as_ref().and_then(|back| back.require_rehearsal.as_ref());
    let Some(at) = written.filter(|_| rollback.require_rehearsal && !steps.contains(&Step::Pause(None)))
    else {
        return;
    };
    let reason = "no step waits to be promoted, so nothing asks whether it was rehearsed";
    problems.add(&at.place, reason, "add a step `{pause: {}}`, or remove `requireRehearsal`");
}

/// Who goes back has no more than before.
fn way_back(rollout: &file::Rollout, rollback: Rollback, steps: &[Step], problems: &mut Problems) {
    let written = rollout.rollback.as_ref().and_then(|back| back.weight.as_ref());
    let weights = steps.iter().filter_map(weight).filter(|percent| *percent > 0);
    let Some((at, least)) = written.zip(weights.min()).filter(|(_, least)| rollback.weight > *least) else {
        return;
    };
    let reason = format!("an abort would raise the share of `to`: a step has {least}, which is less");
    problems.add(&at.place, reason, format!("lower it to {least} or less, or begin with more"));
}

/// The percentage that a step sets.
fn weight(step: &Step) -> Option<u8> {
    if let Step::SetWeight(percent) = step { Some(*percent) } else { None }
}

/// Reports what shows where all is known: several rollouts of one service, pools that do not divide anything, and analyses
/// that take too long.
pub(super) fn fit(config: &Config, file: &File, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (written, rollout) in elements(file.rollouts.as_ref()).iter().zip(&config.rollouts) {
        let Some((service, to)) = written.service.as_ref().zip(written.to.as_ref()) else { continue };
        if let Some(line) = seen.insert(&rollout.service, service.place.line) {
            let reason = format!("service {} has a rollout in line {line} already", quoted(service));
            problems.add(&service.place, reason, "remove one of the two until the other is over");
        }
        if let Some((reason, mend)) = undivided(rollout, config) {
            problems.add(&to.place, reason, mend);
        }
        let steps = written.steps.as_ref().map_or(&[][..], |steps| &steps.value);
        for name in steps.iter().filter_map(|step| step.analysis.as_ref()) {
            let analysis = config.analyses.iter().find(|analysis| analysis.name == **name);
            if let Some(least) = analysis.map(length).filter(|least| *least >= rollout.progress_deadline) {
                let reason = format!(
                    "{} takes {}, and a step may take {}",
                    quoted(name),
                    Time(least),
                    Time(rollout.progress_deadline)
                );
                problems.add(
                    &name.place,
                    reason,
                    "raise `progressDeadline`, or lower its `interval` or `count`",
                );
            }
        }
    }
}

/// How long an analysis takes at least.
fn length(analysis: &Analysis) -> Duration {
    analysis.interval.saturating_mul(analysis.count)
}

/// Why the two pools do not divide what they have, and the mend.
fn undivided(rollout: &Rollout, config: &Config) -> Option<(String, &'static str)> {
    let pool = |name: &str| config.pools.iter().find(|pool| pool.name == name);
    let (from, to) = (pool(&rollout.from)?, pool(&rollout.to)?);
    if from.weight == 0 && to.weight == 0 {
        let reason = "both pools have weight 0, so there is nothing to divide".to_owned();
        return Some((reason, "give `from` the weight that the two have together"));
    }
    let service = config.services.iter().find(|service| service.name == rollout.service)?;
    let name = service.failover_policy.as_ref()?;
    let policy = config.failover_policies.iter().find(|policy| policy.name == *name)?;
    let none = Labels::new();
    let labels = |cluster: &str| {
        config.clusters.iter().find(|one| one.name == cluster).map_or(&none, |one| &one.labels)
    };
    let own = config.cluster_set.self_cluster.as_deref().map_or(&none, labels);
    let [first, second] =
        [from, to].map(|pool| priority(&policy.order, &pool.cluster, labels(&pool.cluster), own));
    let reason =
        || format!("by failover policy {} `from` has priority {first} and `to` {second}", quoted(name));
    (first != second).then(|| (reason(), "flows are divided within a priority: put both clusters in one"))
}
