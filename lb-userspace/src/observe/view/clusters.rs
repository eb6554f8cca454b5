use lb_ebpf::tables::Tables;
use serde::Serialize;

use super::{HeldView, Seen, share};
use crate::compile::record::Record;
use crate::config::model::ClusterState;
use crate::policy::desired::MemberState;
use crate::policy::slices::KeptOut;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterView {
    /// Its name.
    pub name: String,
    /// `active`, `draining` or `drained`.
    pub state: &'static str,
    /// Endpoints of its pools that are up.
    pub healthy: usize,
    /// Endpoints of its pools.
    pub total: usize,
    /// Endpoints that no probe has judged yet; they serve.
    pub unknown: usize,
    /// Endpoints that drain.
    pub draining: usize,
    /// Endpoints that are ejected, for what clients' packets say of them.
    pub ejected: usize,
    /// Endpoints that are down.
    pub down: usize,
    /// What is held back of the health of that of its pools of which least is taken in; `None`: nothing.
    pub held: Option<HeldView>,
    /// What that of its pools is kept out of that is kept out of most; `None`: nothing.
    pub kept_out: Option<KeptOut>,
    /// Its part of new flows by the rows in the kernel, 0 to 1, if all services had equally many.
    pub share: f64,
    /// New flows per second of its pools, estimated; `None`: not known.
    pub demand: Option<u64>,
    /// New connections per second that it can take; `None`: nobody says, or no policy asks.
    pub capacity: Option<u32>,
    /// `demand` beside `capacity`, 1: as much as it can take; `None`: one of them is not known.
    pub utilization: Option<f64>,
    /// How its members are known: `file`.
    pub source: &'static str,
    /// Seconds since they were learned.
    pub age: u64,
}

/// Every cluster, by name.
pub fn clusters<T: Tables>(seen: &Seen<T>) -> Vec<ClusterView> {
    let record = &seen.published.record;
    let shares = share::of_clusters(record, seen.tables);
    let age = seen.age(seen.published.agent.configured);
    let view = |(name, cluster): (&String, &crate::compile::record::ClusterRecord)| {
        let load = seen.published.loads.as_ref().and_then(|loads| loads.clusters.get(name)).copied();
        let capacity = load.and_then(|load| load.capacity);
        let count = |state| members(record, name).filter(|member| *member == state).count();
        ClusterView {
            name: name.clone(),
            state: match cluster.state {
                ClusterState::Active => "active",
                ClusterState::Draining => "draining",
                ClusterState::Drained => "drained",
            },
            healthy: count(MemberState::Up),
            total: members(record, name).count(),
            unknown: count(MemberState::Unknown),
            draining: count(MemberState::Draining),
            ejected: count(MemberState::Ejected),
            down: count(MemberState::Down),
            held: held(record, name, seen.monotonic),
            kept_out: kept_out(record, name),
            share: shares.get(name.as_str()).copied().unwrap_or(0.0),
            demand: load.map(|load| load.demand),
            capacity,
            utilization: load.zip(capacity).map(|(load, capacity)| utilization(load.demand, capacity)),
            source: "file",
            age,
        }
    };
    record.clusters.iter().map(view).collect()
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn utilization(demand: u64, capacity: u32) -> f64 {
    demand as f64 / f64::from(capacity)
}

fn held(record: &Record, cluster: &str, now: u64) -> Option<HeldView> {
    let services = record.services.values().filter(|service| service.gone.is_none());
    let pools = services.flat_map(|service| &service.pools).filter(|pool| pool.cluster == cluster);
    let hold = pools.filter_map(|pool| pool.hold).min_by_key(|hold| hold.perceived)?;
    Some(HeldView::of(hold, now))
}

fn kept_out(record: &Record, cluster: &str) -> Option<KeptOut> {
    let pools = record.pools.values().filter(|pool| pool.cluster == cluster && pool.gone.is_none());
    pools.filter_map(|pool| pool.kept_out.clone()).max_by_key(|kept_out| kept_out.percent)
}

/// States of the endpoints that are in force.
fn members<'a>(record: &'a Record, cluster: &'a str) -> impl Iterator<Item = MemberState> + 'a {
    let pools = record.pools.values().filter(move |pool| pool.cluster == cluster && pool.gone.is_none());
    let backends = pools.flat_map(|pool| pool.backends.values());
    backends.filter(|backend| backend.gone.is_none()).map(|backend| backend.state)
}
