//! The answer: the way with names.

use std::net::IpAddr;

use lb_common::abi::{BackendEntry, BackendFlags};
use lb_common::flow::{Flow, FlowHash};
use lb_common::reason::Reason;
use lb_common::row::Row;
use lb_ebpf::chain::Earlier;
use lb_ebpf::tables::Tables;
use lb_ebpf::track::{Decision, Owner};
use lb_ebpf::verdict::{Action, End};
use serde::Serialize;

use super::known::Known;
use super::query::Query;
use super::way::{Steps, Way, walk};
use super::why::{Why, why};
use crate::observe::names::{Names, encapsulation, mode, via};
use crate::observe::next_hop::{InterfaceName, NextHop};

/// Where a flow goes, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The service; `None`: the flow is for none.
    pub service: Option<String>,
    /// Sixteen hexadecimal digits after `0x`; `None` without a service, whose affinity it depends on.
    pub hash: Option<String>,
    /// First step; `None` if it was not reached.
    pub cluster: Option<ClusterStep>,
    /// Second step; `None` if it was not reached.
    pub node: Option<NodeStep>,
    /// `current`: the row's owner takes it. `fallback`: another backend of the pool does, for the owner does
    /// not serve. `tracked`: the connection is recorded with a backend. `stable`: the row moved lately, and a flow
    /// that may be older goes to the owner from before. `drop`. `pass`: it is left to the kernel's stack, as it
    /// is not for a VIP.
    pub decision: &'static str,
    /// One sentence.
    pub reason: String,
    /// Name of the reason that is counted in `reason_stats`; `None` for a flow that is sent.
    pub reason_name: Option<&'static str>,
    /// Addresses of the other nodes that are asked if `node.backend` does not know the connection, in this order; empty
    /// but for services that track by chain.
    pub chain: Vec<IpAddr>,
    /// `gateway` if `node.backend` is a gateway of its cluster, which chooses among that cluster's nodes; else `nodes`. `None`
    /// for a flow that is not sent.
    pub via: Option<&'static str>,
    /// The header in front; `None` for a flow that is not encapsulated.
    pub outer: Option<Outer>,
    /// The way out; `None` for a flow that is not sent, and where it is not known.
    pub next_hop: Option<NextHop>,
    /// Why, stage by stage.
    pub why: Vec<Why>,
}

/// Which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStep {
    /// Row of the cluster table; `None` where the service has one pool, and so no such table.
    pub row: Option<u32>,
    /// The cluster; `None` if the record does not know the pool.
    pub name: Option<String>,
    /// `clean`, `moving` or `residue`; `clean` where there is no row.
    pub mode: &'static str,
    /// The service's pool there.
    pub pool: Option<String>,
}

/// Which node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStep {
    /// Row of the pool's node table.
    pub row: u32,
    /// Rows of that table.
    pub rows: u32,
    /// Address of the backend that takes the flow; `None`: nobody does.
    pub backend: Option<IpAddr>,
    /// `clean`, `moving` or `residue`.
    pub mode: &'static str,
    /// Address of the row's owner; another than `backend` if it does not serve.
    pub owner: Option<IpAddr>,
}

/// The outer header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outer {
    /// `ipip`, `gue` or `vxlan`, in any combination of families.
    pub kind: &'static str,
    /// Outer source; `None`: what the route will say, asked about without a kernel.
    pub source: Option<IpAddr>,
    /// The backend.
    pub destination: IpAddr,
    /// Outer UDP source port of the flow; on the wire only with an encapsulation over UDP.
    pub source_port: u16,
    /// Outer UDP destination port; `None` for IP in IP.
    pub destination_port: Option<u16>,
}

/// The key that the flow's connection would be recorded under; `None` if it is for no service.
pub fn connection<T: Tables>(query: &Query, tables: &T) -> Option<u64> {
    super::way::connection(query, tables)
}

/// Index of the access policy that the flow's service has; `None`: it has none, or the flow is for no service.
pub fn access_policy<T: Tables>(flow: &Flow, tables: &T) -> Option<u32> {
    super::way::access_policy(flow, tables)
}

/// Explains a flow by these tables, and by what is known of them.
pub fn explain<T: Tables>(query: &Query, tables: &T, known: Known, name: InterfaceName) -> Explanation {
    let way = walk(query, tables);
    let told = tell(&way, tables, known, name);
    Explanation { why: why(query, &told, &way, known, tables), ..told }
}

/// All but the words.
fn tell<T: Tables>(way: &Way, tables: &T, known: Known, name: InterfaceName) -> Explanation {
    let names = Names::of(known.record);
    let Way { service, outcome, earlier } = *way;
    let sent = outcome.ok().filter(|owner| !owner.backend.route.flags.has(BackendFlags::LOCAL));
    let (decision, reason_name) = decision(outcome);
    let hash = service.and_then(|steps| steps.hash);
    let node = service.and_then(|steps| node(&steps, outcome, tables));
    Explanation {
        service: service.and_then(|steps| names.service(steps.index)).map(str::to_owned),
        hash: hash.map(|hash| format!("0x{:016x}", hash.0)),
        cluster: service.and_then(|steps| cluster(&steps, &names)),
        decision,
        reason: sentence(reason_name, outcome.ok(), node.as_ref()),
        reason_name: reason_name.map(Reason::name),
        node,
        chain: chain(earlier, tables),
        via: sent.map(|owner| via(owner.backend)),
        outer: sent.zip(hash).map(|(owner, hash)| outer(owner.backend, hash)),
        next_hop: sent.and_then(|owner| NextHop::of(owner.backend, name)),
        why: Vec::new(),
    }
}

fn is_gateway(backend: &BackendEntry) -> bool {
    backend.route.flags.has(BackendFlags::GATEWAY)
}

fn chain<T: Tables>(earlier: Earlier, tables: &T) -> Vec<IpAddr> {
    let others = (0..earlier.count()).filter_map(|at| tables.backend(earlier.index(at)));
    others.map(|other| other.destination.into()).collect()
}

fn decision(outcome: Result<Owner, End>) -> (&'static str, Option<Reason>) {
    match outcome {
        Ok(owner) => {
            let local = owner.backend.route.flags.has(BackendFlags::LOCAL);
            let word = match owner.decision {
                Decision::Current => "current",
                Decision::Stable => "stable",
                Decision::Tracked => "tracked",
                Decision::Fallback => "fallback",
                Decision::Quic => "quic",
            };
            (word, local.then_some(Reason::LocalBackend))
        }
        Err(end) => {
            let word = if end.action() == Action::Pass { "pass" } else { "drop" };
            (word, Reason::ALL.get(end.reason() as usize).copied())
        }
    }
}

fn sentence(reason: Option<Reason>, taker: Option<Owner>, node: Option<&NodeStep>) -> String {
    let named = taker.filter(|owner| owner.decision == Decision::Quic);
    match (reason, node) {
        (Some(reason), _) => reason.sentence().to_owned(),
        (None, Some(NodeStep { row, .. }))
            if let Some(owner) = taker.filter(|owner| is_gateway(owner.backend)) =>
        {
            let gateway = IpAddr::from(owner.backend.destination);
            format!(
                "{gateway} takes row {row}; it is a gateway, which chooses among the nodes of its cluster."
            )
        }
        _ if let Some(owner) = named => {
            format!("{} is the server that the connection id names.", IpAddr::from(owner.backend.destination))
        }
        (None, Some(NodeStep { row, backend: Some(backend), owner, .. })) => match owner {
            Some(owner) if owner != backend => {
                format!("{owner} owns row {row} and does not serve; {backend} stands in.")
            }
            _ => format!("{backend} owns row {row} and serves."),
        },
        // Whoever takes a flow was found by a row.
        (None, _) => String::new(),
    }
}

fn cluster(steps: &Steps, names: &Names) -> Option<ClusterStep> {
    let pool = names.pool(steps.pool?);
    Some(ClusterStep {
        row: steps.cluster.map(|place| place.number),
        name: pool.map(|(_, record)| record.cluster.clone()),
        mode: mode(steps.cluster.map_or(Row::default(), |place| place.row)),
        pool: pool.map(|(name, _)| name.to_owned()),
    })
}

fn node<T: Tables>(steps: &Steps, outcome: Result<Owner, End>, tables: &T) -> Option<NodeStep> {
    let (place, rows) = steps.node?;
    Some(NodeStep {
        row: place.number,
        rows,
        backend: outcome.ok().map(|owner| owner.backend.destination.into()),
        mode: mode(place.row),
        owner: tables.backend(place.row.index()).map(|backend| backend.destination.into()),
    })
}

fn outer(backend: &BackendEntry, hash: FlowHash) -> Outer {
    Outer {
        kind: encapsulation(backend),
        source: Some(IpAddr::from(backend.source)).filter(|source| !source.is_unspecified()),
        destination: backend.destination.into(),
        source_port: hash.source_port(),
        destination_port: Some(backend.port.get()).filter(|port| *port != 0),
    }
}
