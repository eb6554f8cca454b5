//! A sweep over the recorded connections: which of them are over, and which rows the others still need. Pure.
//!
//! 1. Over is what was idle for longer than the window, and what a service or a backend had that is no more.
//! 2. Each of the others is asked where the tables would send it today, had it no record. Where that is not
//!    the backend it is recorded with, both rows of that way must go on being looked up.
//! 3. Where it is, and both rows are CLEAN, the record is of no more use: should a row move again, this backend
//!    is its stable owner. A service that records every flow keeps it all the same.

use crate::compile::{MapImage, Record};
use lb_common::abi::{Connection, Redirected, ServiceEntry, ServiceFlags};
use lb_common::flow::FlowHash;
use lb_ebpf::select;
use lb_ebpf::tables::Tables;
use std::collections::HashSet;

/// An insert that was under way when a row became RESIDUE is done after so many milliseconds.
const GRACE: u64 = 1000;

/// What a sweep goes by.
#[derive(Debug, Clone)]
pub struct Sweep {
    image: std::sync::Arc<MapImage>,
    gone: Gone,
    started: u64,
    window: u64,
}

/// Indices that nothing names any more but, perhaps, connections.
#[derive(Debug, Clone, Default)]
struct Gone {
    services: HashSet<u32>,
    backends: HashSet<u16>,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The generation of the tables it went by.
    pub generation: u32,
    /// RESIDUE since before this (milliseconds) can be judged.
    pub before: u64,
    /// Connections that go on.
    pub entries: u64,
    /// Those that are over, by their keys.
    pub over: Vec<(u64, Connection)>,
    /// Table and row of the rows that must be looked up.
    pub needed: HashSet<(u32, u32)>,
}

impl Sweep {
    /// By these tables and names; begun at `started` and with a `window`, both in milliseconds, before the
    /// first connection is read.
    pub fn new(image: std::sync::Arc<MapImage>, record: &Record, started: u64, window: u64) -> Self {
        let services = record.services.values().filter(|service| service.gone.is_some());
        let backends = record.pools.values().flat_map(|pool| pool.backends.values());
        let gone = Gone {
            services: services.map(|service| service.index).collect(),
            backends: backends
                .filter(|backend| backend.gone.is_some())
                .map(|backend| backend.index)
                .collect(),
        };
        Self { image, gone, started, window }
    }

    /// Judges all connections, by their keys.
    pub fn judge(&self, connections: impl Iterator<Item = (u64, Connection)>) -> Found {
        let (generation, before) = (self.image.generation, self.started.saturating_sub(GRACE));
        let mut found = Found { generation, before, ..Found::default() };
        for (key, connection) in connections {
            let way = self.way(&connection);
            let astray = way.as_ref().is_some_and(|way| way.backend != u32::from(connection.backend));
            if self.is_over(&connection) || !astray && way.as_ref().is_some_and(|way| way.is_enough) {
                found.over.push((key, connection));
            } else {
                found.entries += 1;
                let rows = way.filter(|_| astray).map(|way| way.rows);
                found.needed.extend(rows.into_iter().flatten().flatten());
            }
        }
        found
    }

    fn is_over(&self, connection: &Connection) -> bool {
        let idle = self.started.saturating_sub(connection.seen / 1_000_000);
        let gone = &self.gone;
        idle > self.window
            || gone.services.contains(&connection.service)
            || gone.backends.contains(&connection.backend)
    }

    fn way(&self, connection: &Connection) -> Option<Way> {
        let image = self.image.as_ref();
        let service = image.service(connection.service)?;
        way(service, connection.redirected(), FlowHash(connection.hash), image)
    }
}

/// Where a flow is sent without a record, and by which rows.
struct Way {
    backend: u32,
    rows: [Option<(u32, u32)>; 2],
    /// No look-up is made on it.
    is_enough: bool,
}

fn way(service: &ServiceEntry, redirected: Redirected, hash: FlowHash, tables: &impl Tables) -> Option<Way> {
    let selection = select::select(hash, service.selector(redirected), tables).ok()?;
    let table = tables.pool(selection.pool)?.table;
    let cluster = selection.cluster.map(|place| (service.select.table(), place.number));
    Some(Way {
        backend: selection.node.row.index(),
        rows: [cluster, Some((table, selection.node.number))],
        is_enough: selection.is_clean() && !service.flags.has(ServiceFlags::FULLY_TRACKED),
    })
}

#[cfg(test)]
mod tests;
