//! What was counted of every backend up to a moment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Reading;
use crate::compile::record::Record;

/// By pool and address, with the pool's cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moment(BTreeMap<(String, IpAddr), (String, Reading)>);

/// A backend, and what came since an earlier moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since<'a> {
    /// Its pool.
    pub pool: &'a str,
    /// The pool's cluster.
    pub cluster: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// What came.
    pub reading: Reading,
}

impl Moment {
    /// Of the backends that are in force; `reading` has what was counted of an index.
    pub fn of(record: &Record, reading: impl Fn(u32) -> Reading) -> Self {
        let pools = record.pools.iter().filter(|(_, pool)| pool.gone.is_none());
        let backends = pools.flat_map(|(name, pool)| {
            let backends = pool.backends.iter().filter(|(_, backend)| backend.gone.is_none());
            backends.map(|(address, backend)| {
                ((name.clone(), *address), (pool.cluster.clone(), reading(backend.index.into())))
            })
        });
        Self(backends.collect())
    }

    /// What came to each backend that was there at an earlier moment too.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = Since<'a>> {
        self.0.iter().filter_map(|(key, (cluster, reading))| {
            let (_, before) = earlier.0.get(key)?;
            let (pool, address) = key;
            Some(Since { pool, cluster, address: *address, reading: *reading - *before })
        })
    }
}
