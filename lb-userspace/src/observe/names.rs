//! From the maps' numbers back to names.

use std::collections::HashMap;

use lb_common::abi::{BackendEntry, BackendFlags};
use lb_common::row::{Mode, Row};

use crate::compile::Record;
use crate::compile::record::{PoolRecord, ServiceRecord};

/// Names by index, of all that a record knows: in force, or still in quarantine.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    services: HashMap<u32, (&'a str, &'a ServiceRecord)>,
    pools: HashMap<u32, (&'a str, &'a PoolRecord)>,
}

impl<'a> Names<'a> {
    /// The names in a record.
    pub fn of(record: &'a Record) -> Self {
        let services =
            record.services.iter().map(|(name, service)| (service.index, (name.as_str(), service)));
        let pools = record.pools.iter().map(|(name, pool)| (pool.index.into(), (name.as_str(), pool)));
        Self { services: services.collect(), pools: pools.collect() }
    }

    /// Name of a service.
    pub fn service(&self, index: u32) -> Option<&'a str> {
        self.services.get(&index).map(|(name, _)| *name)
    }

    /// Name and record of a pool.
    pub fn pool(&self, index: u32) -> Option<(&'a str, &'a PoolRecord)> {
        self.pools.get(&index).copied()
    }
}

/// A row's mode: `clean`, `moving`, `residue` or `chained`.
pub fn mode(row: Row) -> &'static str {
    match row.mode() {
        Mode::Clean => "clean",
        Mode::Moving => "moving",
        Mode::Residue => "residue",
        Mode::Chained => "chained",
    }
}

/// Whom a backend's packets are sent to: `nodes`, or its cluster's `gateway`, which chooses.
pub fn via(backend: &BackendEntry) -> &'static str {
    if backend.route.flags.has(BackendFlags::GATEWAY) { "gateway" } else { "nodes" }
}

/// How a backend's packets are encapsulated: `ipip`, `gue` or `vxlan`.
pub fn encapsulation(backend: &BackendEntry) -> &'static str {
    if backend.route.flags.has(BackendFlags::GUE) {
        "gue"
    } else if backend.route.flags.has(BackendFlags::VXLAN) {
        "vxlan"
    } else {
        "ipip"
    }
}
