use std::collections::{BTreeMap, HashMap};

use lb_common::abi::MAX_LOG2_ROWS;
use lb_common::row::Row;
use lb_ebpf::select;
use lb_ebpf::tables::Tables;

use crate::compile::Record;
use crate::compile::record::ServiceRecord;

/// The current rows of a table; none of a table that is not there.
pub(super) fn rows<T: Tables>(table: u32, tables: &T) -> impl Iterator<Item = Row> + '_ {
    // Index 0 stands for "no table".
    let entry = tables.table(table).filter(|entry| table != 0 && entry.log2_rows <= MAX_LOG2_ROWS);
    let place = move |number| select::place(entry?, number, tables).ok().map(|place| place.row);
    (0..entry.map_or(0, |entry| 1 << entry.log2_rows)).filter_map(place)
}

/// How many rows each index owns.
pub(crate) fn owned<T: Tables>(table: u32, tables: &T) -> HashMap<u32, u32> {
    let mut owned = HashMap::new();
    rows(table, tables).for_each(|row| *owned.entry(row.index()).or_default() += 1);
    owned
}

/// `part` of `whole`; nothing of nothing is 0.
pub(super) fn part(part: impl Into<f64>, whole: impl Into<f64>) -> f64 {
    let whole = whole.into();
    if whole == 0.0 { 0.0 } else { part.into() / whole }
}

/// Each pool's part of a service's new flows, by the pool's index.
pub(crate) fn of_pools<T: Tables>(service: &ServiceRecord, tables: &T) -> HashMap<u32, f64> {
    let Some(entry) = tables.service(service.index) else { return HashMap::new() };
    if let Some(only) = entry.select.single_pool() {
        return HashMap::from([(only, 1.0)]);
    }
    let owned = owned(entry.select.table(), tables);
    let total: u32 = owned.values().sum();
    owned.into_iter().map(|(pool, rows)| (pool, part(rows, total))).collect()
}

/// Each cluster's part of new flows, if all services had equally many.
pub(super) fn of_clusters<'a, T: Tables>(record: &'a Record, tables: &T) -> BTreeMap<&'a str, f64> {
    let clusters: HashMap<u32, &str> =
        record.pools.values().map(|pool| (pool.index.into(), pool.cluster.as_str())).collect();
    let services: Vec<_> = record.services.values().filter(|service| service.gone.is_none()).collect();
    let number = u32::try_from(services.len()).unwrap_or(u32::MAX);
    let mut shares = BTreeMap::new();
    for (pool, share) in services.iter().flat_map(|service| of_pools(service, tables)) {
        if let Some(cluster) = clusters.get(&pool) {
            *shares.entry(*cluster).or_default() += part(share, number);
        }
    }
    shares
}
