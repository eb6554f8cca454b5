//! Why a flow goes where it goes, in words: one line or more for each stage that decides something, in the order in
//! which the packet meets them. Pure.
//!
//! 1. [`stages`]: what the packet's own stages look up, from the VIP to the next hop;
//! 2. [`share`]: what policy gave each of the service's clusters, and why;
//! 3. [`endpoint`]: how an endpoint stands.

mod endpoint;
mod share;
mod stages;
#[cfg(test)]
mod tests;

use lb_ebpf::tables::Tables;
use serde::Serialize;

use super::answer::Explanation;
use super::known::Known;
use super::query::Query;
use super::way::Way;
use crate::compile::record::{PoolRecord, ServiceRecord};

/// What a stage decided, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// `service`, `access`, `hash`, `cluster`, `share` (once for each pool of the service), `node`, `backend`, `tracking`,
    /// `encapsulation` or `egress`, in this order.
    pub stage: &'static str,
    /// For people.
    pub says: String,
}

/// All that the words are about.
struct Story<'a, T: Tables> {
    query: &'a Query,
    told: &'a Explanation,
    way: &'a Way<'a>,
    known: Known<'a>,
    tables: &'a T,
}

impl<'a, T: Tables> Story<'a, T> {
    /// The service, if the flow is for one.
    fn service(&self) -> Option<(&'a str, &'a ServiceRecord)> {
        let name = self.told.service.as_ref()?;
        self.known.record.services.get_key_value(name).map(|(name, record)| (name.as_str(), record))
    }

    /// The pool that the rows lead to.
    fn pool(&self) -> Option<(&'a str, &'a PoolRecord)> {
        let name = self.told.cluster.as_ref()?.pool.as_ref()?;
        self.known.record.pools.get_key_value(name).map(|(name, record)| (name.as_str(), record))
    }
}

/// Tells it. `told` is what the same way came to.
pub(super) fn why<T: Tables>(
    query: &Query,
    told: &Explanation,
    way: &Way,
    known: Known,
    tables: &T,
) -> Vec<Why> {
    let story = Story { query, told, way, known, tables };
    let before = [
        ("service", Some(stages::service(&story))),
        ("access", stages::access(&story)),
        ("hash", stages::hash(&story)),
        ("cluster", stages::cluster(&story)),
    ];
    let behind = [
        ("node", stages::node(&story)),
        ("backend", stages::backend(&story)),
        ("tracking", stages::tracking(&story)),
        ("encapsulation", stages::encapsulation(&story)),
        ("egress", stages::egress(&story)),
    ];
    let shares = share::shares(&story).into_iter().map(|says| ("share", Some(says)));
    let all = before.into_iter().chain(shares).chain(behind);
    all.filter_map(|(stage, says)| Some(Why { stage, says: says? })).collect()
}
