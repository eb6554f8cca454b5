//! What the packet's stages looked up, each in one line.

use std::net::IpAddr;

use lb_common::flow::CLUSTER_ROWS;
use lb_common::reason::Reason;
use lb_ebpf::encapsulate::largest;
use lb_ebpf::tables::Tables;
use lb_ebpf::track::{Decision, Owner, Segment};

use super::Story;
use super::endpoint::standing;
use super::share::percent;
use crate::compile::record::{PoolRecord, PortRecord, ServiceRecord};
use crate::config::model::{Affinity, Tracking};
use crate::explain::way::access_policy;
use crate::observe::view::owned;

/// Which key the service was found by.
pub(super) fn service<T: Tables>(story: &Story<T>) -> String {
    let Some((name, record)) = story.service() else { return story.told.reason.clone() };
    let (vip, protocol) = (story.query.destination.ip(), story.query.protocol_name());
    let by = match found_by(record, story) {
        Some(PortRecord { port: 0, .. }) => format!("any port of {protocol}"),
        Some(PortRecord { port, last: Some(last), .. }) => format!("the ports {port}-{last}/{protocol}"),
        _ => format!("port {}/{protocol}", story.query.destination.port()),
    };
    format!("{name}, by the VIP {vip} and {by}")
}

/// The port of a service that a packet is found by: one alone before a range, and that before any.
fn found_by<'a, T: Tables>(service: &'a ServiceRecord, story: &Story<T>) -> Option<&'a PortRecord> {
    let wanted = story.query.destination.port();
    let holds = |port: &&PortRecord| {
        port.protocol == story.query.protocol
            && (port.port == 0 || (port.port..=port.last.unwrap_or(port.port)).contains(&wanted))
    };
    let breadth = |port: &&PortRecord| if port.port == 0 { 2 } else { u8::from(port.last.is_some()) };
    service.ports.iter().filter(holds).min_by_key(breadth)
}

/// Who says whether the source may come.
pub(super) fn access<T: Tables>(story: &Story<T>) -> Option<String> {
    story.service()?;
    let Some(index) = access_policy(&story.query.flow(), story.tables) else {
        return Some("no access policy: every source is admitted".to_owned());
    };
    let name = story.known.record.access.get(&index).map_or("-", |policy| policy.name.as_str());
    let source = story.query.source.ip();
    let limited = story.tables.access_policy(index).is_some_and(|policy| policy.interval != 0);
    let tokens = if limited && story.query.segment() == Segment::Opening && !story.query.is_redirected() {
        "; to begin a flow the source must have a token left, which is not looked at here"
    } else {
        ""
    };
    match story.told.reason_name {
        Some(name_of_end) if name_of_end == Reason::Denied.name() => {
            Some(format!("policy {name} denies {source}"))
        }
        _ => Some(format!("policy {name} admits {source}{tokens}")),
    }
}

/// What was hashed.
pub(super) fn hash<T: Tables>(story: &Story<T>) -> Option<String> {
    let (hash, (_, service)) = (story.told.hash.as_ref()?, story.service()?);
    let of = match service.affinity {
        Affinity::Flow => "source, destination, both ports and protocol (affinity flow)".to_owned(),
        Affinity::Client => "the source address alone (affinity client)".to_owned(),
        Affinity::ClientPrefix { v4, v6 } => {
            let length = if story.query.source.is_ipv4() { v4 } else { v6 };
            format!("the first {length} bits of the source address (affinity client-prefix)")
        }
        Affinity::ThreeTuple => "source, destination and protocol (affinity three-tuple)".to_owned(),
    };
    Some(format!("{hash} of {of}"))
}

/// Which pool, and by which row.
pub(super) fn cluster<T: Tables>(story: &Story<T>) -> Option<String> {
    let step = story.told.cluster.as_ref()?;
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    let (cluster, pool) = (name(&step.name), name(&step.pool));
    let text = match step.row {
        _ if story.query.is_redirected() => {
            format!("{cluster} (pool {pool}): what another cluster's gateway sent here stays in this one")
        }
        Some(row) => format!("row {row} of {CLUSTER_ROWS} is {cluster}'s (pool {pool}); {}", mood(step.mode)),
        None => format!("{cluster} (pool {pool}), the only one that takes new flows"),
    };
    Some(text)
}

/// What a row's mode means.
fn mood(mode: &str) -> &'static str {
    match mode {
        "moving" => "it moves: it had another owner until lately",
        "residue" => "it moved a while ago, and connections are recorded with its owner from before",
        "chained" => "it had other owners, who may have older connections",
        _ => "it is clean: nothing moved here lately",
    }
}

/// Which row of the pool's table, and what its owner has of that.
pub(super) fn node<T: Tables>(story: &Story<T>) -> Option<String> {
    let (step, (name, pool)) = (story.told.node.as_ref()?, story.pool()?);
    let owner = step.owner?;
    let backend = pool.backends.get(&owner)?;
    let table = story.tables.pool(pool.index.into()).map_or(0, |entry| entry.table);
    let rows = owned(table, story.tables).get(&backend.index.into()).copied().unwrap_or(0);
    let weights = pool.backends.values().filter(|backend| backend.gone.is_none());
    let all: u32 = weights.map(|backend| u32::from(backend.weight)).sum();
    let share = percent(f64::from(rows) / f64::from(step.rows.max(1)));
    let text = format!(
        "row {} of {} of pool {name} is {owner}'s, which has {share} of them (weight {} of {all}); {}",
        step.row,
        step.rows,
        backend.weight,
        mood(step.mode)
    );
    Some(text)
}

/// Who takes the packet, and why.
pub(super) fn backend<T: Tables>(story: &Story<T>) -> Option<String> {
    story.told.hash.as_ref()?;
    let Ok(taker) = story.way.outcome else { return Some(story.told.reason.clone()) };
    let address = IpAddr::from(taker.backend.destination);
    let stands = |address: IpAddr, pool: Option<_>| {
        let known = pool.and_then(|pool| standing(address, pool, story.known, story.tables));
        known.unwrap_or_else(|| "no endpoint of its pool any more".to_owned())
    };
    let stand = stands(address, taken_from(&taker, story));
    let text = match (taker.decision, story.told.node.as_ref().and_then(|node| node.owner)) {
        (Decision::Fallback, Some(owner)) => {
            let lost = stands(owner, story.pool());
            format!("{owner} does not serve: {lost}. {address} stands in: {stand}")
        }
        (Decision::Tracked, _) => {
            format!("the connection is recorded with {address}, whatever the rows say: {stand}")
        }
        (Decision::Stable, _) => {
            format!("{address} had the row before it moved, and the flow may be older than that: {stand}")
        }
        (Decision::Quic, _) => format!("the connection id names {address}, whatever the rows say: {stand}"),
        _ => format!("{address} owns the row: {stand}"),
    };
    Some(text)
}

/// The pool of the backend that takes the packet, which need not be the one that the rows lead to.
fn taken_from<'a, T: Tables>(taker: &Owner, story: &Story<'a, T>) -> Option<(&'a str, &'a PoolRecord)> {
    let mut pools = story.known.record.pools.iter();
    let found = pools.find(|(_, pool)| pool.index == taker.backend.pool)?;
    Some((found.0.as_str(), found.1))
}

/// Whether connections are looked up, recorded, or asked after.
pub(super) fn tracking<T: Tables>(story: &Story<T>) -> Option<String> {
    let taker = story.way.outcome.ok()?;
    let (_, service) = story.service()?;
    let others: Vec<_> = story.told.chain.iter().map(IpAddr::to_string).collect();
    let text = match service.tracking {
        Tracking::None => "none: rows alone decide".to_owned(),
        Tracking::Full => "full: every connection is looked up and recorded".to_owned(),
        Tracking::Chain if others.is_empty() => "chain: nobody else is asked after the connection".to_owned(),
        Tracking::Chain => {
            format!("chain: who is not its connection's owner asks {}", others.join(", then "))
        }
        Tracking::Transition => transition(&taker, story).to_owned(),
    };
    Some(text)
}

fn transition<T: Tables>(taker: &Owner, story: &Story<T>) -> &'static str {
    let steps =
        [story.told.cluster.as_ref().map(|step| step.mode), story.told.node.as_ref().map(|step| step.mode)];
    match taker.decision {
        Decision::Quic => "transition: not asked, for the connection id says it",
        Decision::Fallback => "transition: recorded, until the row has an owner that serves",
        _ if steps.contains(&Some("moving")) => {
            "transition: a row moves, so that connections are looked up and recorded"
        }
        _ if taker.clean => "transition: no row moved lately, so that nothing is looked up or recorded",
        _ => "transition: a row moved, so that connections are looked up; no new one is recorded",
    }
}

/// The outer header, and how much room it leaves.
pub(super) fn encapsulation<T: Tables>(story: &Story<T>) -> Option<String> {
    let taker = story.way.outcome.ok()?;
    let Some(outer) = &story.told.outer else {
        return Some("none: the backend is this machine".to_owned());
    };
    let mtu = taker.backend.mtu;
    let room = if mtu == u16::MAX {
        "the path's MTU is not known here".to_owned()
    } else {
        let most = largest(taker.backend, story.tables.features());
        format!("packets of up to {most} bytes fit the path's {mtu}")
    };
    Some(format!("{} toward {}; {room}", outer.kind, outer.destination))
}

/// The way out.
pub(super) fn egress<T: Tables>(story: &Story<T>) -> Option<String> {
    story.way.outcome.ok()?;
    let text = match (&story.told.next_hop, &story.told.outer) {
        (Some(hop), _) => {
            let vlan = hop.vlan.map_or_else(String::new, |vlan| format!(", VLAN {vlan}"));
            format!("out of {} to the neighbour {}{vlan}", hop.interface, hop.mac)
        }
        (None, Some(_)) => "by the route there, which is not known here".to_owned(),
        (None, None) => "to the stack of this machine, as it is".to_owned(),
    };
    Some(text)
}
