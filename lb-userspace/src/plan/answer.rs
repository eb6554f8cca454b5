//! What is printed of a plan, and what of it violates something.

use lb_common::flow::CLUSTER_ROWS;
use serde::Serialize;

use super::load::Load;
use super::movement::{Moved, Movement, WHOLE};
use super::side::Side;
use crate::config::model::{ResilienceModel, Service};
use crate::policy::resilience::{Assessment, short_of};

/// What a change moves, and whether something is wrong afterwards.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// In the file's order, then those that are no more.
    pub services: Vec<ServicePlan>,
    /// Clusters that get something, if it is known what services are asked for.
    pub clusters: Vec<ClusterPlan>,
    /// Of services in their order, then of clusters; none: exit code 0.
    pub violations: Vec<Violation>,
}

/// What becomes of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePlan {
    /// `namespace/name`.
    pub name: String,
    /// Whether both files have it.
    pub presence: Presence,
    /// The secret or the affinity is another one: no flow meets the rows it met.
    pub rehashed: bool,
    /// Rows of the cluster table, of 4,096.
    pub rows: Rows,
    /// New flows that go to another node: parts of all of the service.
    pub flows: Flows,
    /// Part of the open flows that break.
    pub broken: f64,
    /// Part of the new flows that go to a node that is dead, or to nobody.
    pub lost: f64,
    /// Pools, in the order of the list, then those that are no more.
    pub pools: Vec<PoolPlan>,
    /// What it can bear afterwards; `None`: it is no more.
    pub resilience: Option<Verdict>,
}

/// In which files a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// In both.
    Kept,
    /// In the second alone: nothing moves.
    Added,
    /// In the first alone: all of it breaks.
    Removed,
}

/// Rows that get another pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rows {
    /// Those that do.
    pub moved: u64,
    /// Those that have to, for shares change.
    pub least: u64,
}

/// Flows that get another node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flows {
    /// Those that do.
    pub moved: f64,
    /// Those that have to, for shares change.
    pub least: f64,
}

/// A pool's part in a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolPlan {
    /// Its name.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// Part of the service's new flows.
    pub before: f64,
    /// The same afterwards.
    pub after: f64,
}

/// What a service can bear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What is asked of it; `None`: that somebody takes new flows.
    pub model: Option<ResilienceModel>,
    /// It is so.
    pub holds: bool,
    /// Clusters whose loss, on top of the change, it cannot bear; empty: it holds, or does not even without a loss.
    pub lost: Vec<String>,
    /// What is missing then; `None`: it holds.
    pub reason: Option<String>,
}

/// What a cluster gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPlan {
    /// Its name.
    pub name: String,
    /// New connections per second, rounded up.
    pub before: u64,
    /// The same afterwards.
    pub after: u64,
    /// What it can take; `None`: nobody says.
    pub capacity: Option<u32>,
}

/// Something that should not be so afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// What kind it is of.
    pub kind: ViolationKind,
    /// The service, or the cluster.
    pub subject: String,
    /// What is wrong.
    pub reason: String,
}

/// What can be wrong afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ViolationKind {
    /// New flows of a service go to a node that is dead, or to nobody.
    LostFlows,
    /// Nobody takes new flows of a service.
    NoEndpoint,
    /// A service cannot bear the losses that it is to bear.
    Resilience,
    /// A cluster gets more than it can take.
    OverCapacity,
}

pub(super) fn plan(
    old: &Side,
    new: &Side,
    movements: Vec<Movement>,
    loads: Vec<Load>,
    assessments: Vec<Assessment>,
) -> Plan {
    let mut assessments = assessments.into_iter();
    let services = movements.into_iter().map(|movement| {
        let (was, is) = (old.service(&movement.service), new.service(&movement.service));
        let verdict = is.and_then(|_| assessments.next()).map(|assessment| verdict(&assessment));
        service(movement, (old, was), (new, is), verdict)
    });
    let services: Vec<_> = services.collect();
    let violations =
        services.iter().flat_map(of_service).chain(loads.iter().filter_map(of_cluster)).collect();
    Plan { violations, services, clusters: loads.into_iter().map(cluster).collect() }
}

fn service(
    movement: Movement,
    (old, was): (&Side, Option<&Service>),
    (new, is): (&Side, Option<&Service>),
    resilience: Option<Verdict>,
) -> ServicePlan {
    let presence = match (was, is) {
        (Some(_), Some(_)) => Presence::Kept,
        (None, _) => Presence::Added,
        (_, None) => Presence::Removed,
    };
    let Moved { moved, least } = movement.rows;
    ServicePlan {
        presence,
        rehashed: movement.rehashed,
        rows: Rows { moved, least },
        flows: Flows { moved: part(movement.flows.moved, WHOLE), least: part(movement.flows.least, WHOLE) },
        broken: part(movement.broken, WHOLE),
        lost: part(movement.lost, WHOLE),
        pools: pools(&movement, (old, was), (new, is)),
        name: movement.service,
        resilience,
    }
}

fn pools(
    movement: &Movement,
    (old, was): (&Side, Option<&Service>),
    (new, is): (&Side, Option<&Service>),
) -> Vec<PoolPlan> {
    let named = |service: Option<&Service>| service.map_or_else(Vec::new, |service| service.pools.clone());
    let (had, has) = (named(was), named(is));
    let gone = had.iter().filter(|name| !has.contains(name));
    let share = |rows: Option<&u64>| part(rows.copied().unwrap_or(0), CLUSTER_ROWS.into());
    let pool = |name: &String| PoolPlan {
        name: name.clone(),
        cluster: new.cluster(name).or_else(|| old.cluster(name)).unwrap_or_default().to_owned(),
        before: share(movement.before.get(name)),
        after: share(movement.after.get(name)),
    };
    has.iter().chain(gone).map(pool).collect()
}

fn verdict(assessment: &Assessment) -> Verdict {
    let breach = assessment.breach.as_ref();
    Verdict {
        model: assessment.resilience.map(|resilience| resilience.model),
        holds: breach.is_none(),
        lost: breach.map_or_else(Vec::new, |breach| breach.lost.clone()),
        reason: breach.map(|breach| breach.shortage.to_string()),
    }
}

fn cluster(load: Load) -> ClusterPlan {
    let Load { cluster, capacity, before, after } = load;
    ClusterPlan { name: cluster, before, after, capacity }
}

fn of_service(service: &ServicePlan) -> Vec<Violation> {
    let violation = |kind, reason| Violation { kind, subject: service.name.clone(), reason };
    let lost = (service.lost > 0.0).then(|| {
        let reason =
            format!("{:.1} % of its new flows go to a node that is dead, or to nobody", service.lost * 100.0);
        violation(ViolationKind::LostFlows, reason)
    });
    let broken = service.resilience.as_ref().and_then(|verdict| {
        let reason = short_of(&verdict.lost, verdict.reason.as_ref()?);
        Some(match verdict.model {
            Some(model) => violation(ViolationKind::Resilience, format!("{model} does not hold: {reason}")),
            None => violation(ViolationKind::NoEndpoint, reason),
        })
    });
    lost.into_iter().chain(broken).collect()
}

fn of_cluster(load: &Load) -> Option<Violation> {
    let capacity = load.capacity.filter(|_| load.is_over())?;
    let reason = format!("gets {} new connections per second and can take {capacity}", load.after);
    Some(Violation { kind: ViolationKind::OverCapacity, subject: load.cluster.clone(), reason })
}

/// Exact where the whole is a power of two.
#[expect(clippy::cast_precision_loss, reason = "33 bits at most fit a double")]
fn part(parts: u64, whole: u64) -> f64 {
    parts as f64 / whole as f64
}
