//! What the requests say, as numbers; pure.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::plan::{Member, Site, cluster_shares, node_shares};
use crate::lab::{Outcome, Talk};

/// Longest time from a request's begin to its failure: three waits of half a second.
pub(super) const LONGEST_REQUEST: Duration = Duration::from_millis(1500);
/// Deviation that the tables' own rounding may cause, as a share.
const TABLE_ROUNDING: f64 = 0.005;
/// Standard deviations that chance may cause.
const SIGMAS: f64 = 4.0;

/// The demo's result, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Requests of the whole run.
    pub(super) requests: usize,
    /// Those that were answered.
    pub(super) ok: usize,
    /// Those that were not.
    pub(super) failed: usize,
    /// By cluster, over the undisturbed part.
    pub(super) clusters: BTreeMap<String, Part>,
    /// By node, over the undisturbed part.
    pub(super) nodes: BTreeMap<String, Part>,
    /// What was broken, in order.
    pub(super) faults: Vec<Fault>,
    /// Sentences about what is not as it should be; none: the main job worked.
    #[serde(skip)]
    pub(super) problems: Vec<String>,
}

/// A part of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    /// How many were answered here.
    pub(super) requests: usize,
    /// Of all that were answered, 0 to 1.
    pub(super) share: f64,
    /// What the weights say, 0 to 1.
    pub(super) expected_share: f64,
}

/// What became of the connections that were open all through a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Live {
    /// How many there were.
    pub(super) connections: usize,
    /// Those that were reset, fell silent or came to another node.
    pub(super) broken_connections: usize,
}

impl Live {
    /// Counts them.
    pub(super) fn new(talks: &[Talk]) -> Self {
        let broken_connections = talks.iter().filter(|talk| talk.broken.is_some()).count();
        Self { connections: talks.len(), broken_connections }
    }
}

/// One fault.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Fault {
    /// `node`, `cluster` or `gateway`.
    pub(super) kind: &'static str,
    /// Whose.
    pub(super) target: String,
    /// From the fault to the agent's (last) verdict, in milliseconds; of a gateway, to that of the fabric's routing.
    pub(super) detected_ms: f64,
    /// From the verdict to the last change in the kernel's tables, in milliseconds; of a gateway, in the routes.
    pub(super) switched_ms: f64,
    /// Requests begun (or under way) between the fault and the switch that were not answered.
    pub(super) failed_requests: usize,
    /// Of a gateway only.
    #[serde(flatten)]
    pub(super) live: Option<Live>,
    #[serde(skip)]
    pub(super) times: Times,
}

/// When a fault and its mend happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The power went.
    pub(super) broken: SystemTime,
    /// The last verdict.
    pub(super) verdict: SystemTime,
    /// The last change that followed.
    pub(super) switched: SystemTime,
}

impl Fault {
    /// Counts what failed because of it.
    pub(super) fn new(kind: &'static str, target: &str, times: Times, outcomes: &[Outcome]) -> Self {
        let window = Window { from: times.broken, to: times.switched };
        Self {
            kind,
            target: target.to_owned(),
            detected_ms: milliseconds(times.broken, times.verdict),
            switched_ms: milliseconds(times.verdict, times.switched),
            failed_requests: failures(outcomes).filter(|outcome| window.excuses(outcome)).count(),
            live: None,
            times,
        }
    }

    /// With what became of connections that were open all through it.
    pub(super) fn with(self, live: Live) -> Self {
        Self { live: Some(live), ..self }
    }

    fn problem(&self) -> Option<String> {
        let Live { connections, broken_connections } =
            self.live.filter(|live| live.broken_connections > 0)?;
        let (kind, target) = (self.kind, &self.target);
        Some(format!("{broken_connections} of {connections} connections broke as {kind} {target} was lost"))
    }
}

/// A span of time in which requests may fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Its begin; a request begun shortly before may have been under way.
    pub(super) from: SystemTime,
    /// Its end; a request begun later has no excuse.
    pub(super) to: SystemTime,
}

impl Window {
    fn excuses(self, outcome: &Outcome) -> bool {
        outcome.started + LONGEST_REQUEST >= self.from && outcome.started <= self.to
    }
}

impl Report {
    /// Counts everything. `undisturbed` are the requests before the first fault; `returns` are the
    /// spans in which rows moved back to what had returned, which costs connections under way.
    pub(super) fn new(
        (sites, members): (&[Site], &[Member]),
        undisturbed: &[Outcome],
        all: &[Outcome],
        faults: Vec<Fault>,
        returns: &[Window],
    ) -> Self {
        let (clusters, nodes) = shares(sites, members, undisturbed);
        let failed = failures(all).count();
        let answered = float(clusters.values().map(|share| share.requests).sum());
        let mut problems: Vec<String> = [&clusters, &nodes]
            .into_iter()
            .flatten()
            .filter_map(|(name, share)| share.problem(name, answered))
            .collect();
        problems.extend(unexcused(undisturbed, all, &faults, returns));
        problems.extend(faults.iter().filter_map(Fault::problem));
        Self { requests: all.len(), ok: all.len() - failed, failed, clusters, nodes, faults, problems }
    }
}

impl Part {
    /// A sentence if it is further from what is expected than chance (among `answered` requests) and
    /// rounding explain.
    fn problem(self, name: &str, answered: f64) -> Option<String> {
        let p = self.expected_share;
        let allowed = SIGMAS * (p * (1.0 - p) / answered).sqrt() + TABLE_ROUNDING;
        let within = answered > 0.0 && (self.share - p).abs() <= allowed;
        (!within).then(|| format!("{name} got {:.1} % instead of {:.1} %", self.share * 100.0, p * 100.0))
    }
}

/// Who answered how much, by cluster and by node.
pub(super) fn shares(
    sites: &[Site],
    members: &[Member],
    outcomes: &[Outcome],
) -> (BTreeMap<String, Part>, BTreeMap<String, Part>) {
    let answers = || outcomes.iter().filter_map(|outcome| outcome.answer.as_deref().ok());
    let total = answers().count();
    let share = |requests: usize, expected_share: f64| Part {
        requests,
        share: if total == 0 { 0.0 } else { float(requests) / float(total) },
        expected_share,
    };
    let of_node = |name: &str| answers().filter(|answer| *answer == name).count();
    let of_cluster = |name: &str| {
        members.iter().filter(|member| member.cluster == name).map(|member| of_node(&member.name)).sum()
    };
    let clusters =
        cluster_shares(sites).into_iter().map(|(name, e)| (name.clone(), share(of_cluster(&name), e)));
    let nodes =
        node_shares(sites, members).into_iter().map(|(name, e)| (name.clone(), share(of_node(&name), e)));
    (clusters.collect(), nodes.collect())
}

/// Sentences about requests that failed when they should not have.
fn unexcused(undisturbed: &[Outcome], all: &[Outcome], faults: &[Fault], returns: &[Window]) -> Vec<String> {
    let mut problems = Vec::new();
    let early = failures(undisturbed).count();
    if early > 0 {
        problems.push(format!("{early} requests failed before anything was broken"));
    }
    let windows = faults.iter().map(|fault| Window { from: fault.times.broken, to: fault.times.switched });
    let windows: Vec<Window> = windows.chain(returns.iter().copied()).collect();
    let late: Vec<&Outcome> = failures(&all[undisturbed.len().min(all.len())..])
        .filter(|outcome| !windows.iter().any(|window| window.excuses(outcome)))
        .collect();
    if let Some(Outcome { answer: Err(why), .. }) = late.first() {
        problems.push(format!("{} requests failed outside of the faults, the first: {why}", late.len()));
    }
    problems
}

/// The requests that were not answered.
pub(super) fn failures(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|outcome| !outcome.is_ok())
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    let micros = to.duration_since(from).unwrap_or_default().as_micros();
    u32::try_from(micros).map_or(f64::INFINITY, |micros| f64::from(micros) / 1000.0)
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests;
