//! `gateway.limits`, and that the whole configuration fits into them.

use std::collections::BTreeSet;

use super::below;
use crate::config::file::{File, Gateway, Service, elements};
use crate::config::model::Limits;
use crate::config::problem::{Place, Problems};
use crate::config::read::Located;
use crate::config::scalar::Size;

/// Rows of a service's table of clusters; a service with one pool has none.
const CLUSTER_ROWS: u64 = 4096;

/// Regions of a pool or service that exist at once: current and stable rows of the table in force and of the one
/// that is being built.
const COPIES: u64 = 4;

/// The largest limit of each kind. A backend's number has 14 bits in a row; the others bound memory.
const LARGEST: Limits = Limits {
    services: 65_536,
    backends: 16_384,
    rows: 256 << 20,
    connections: 64 << 20,
    access_prefixes: 4 << 20,
};

/// The limits with their defaults, unchecked.
pub(super) fn effective(gateway: &Gateway) -> Limits {
    let default = Limits::default();
    let Some(limits) = &gateway.limits else { return default };
    let or = |size: &Option<Located<Size>>, default| size.as_ref().map_or(default, |size| size.value.0);
    Limits {
        services: or(&limits.services, default.services),
        backends: or(&limits.backends, default.backends),
        rows: or(&limits.rows, default.rows),
        connections: or(&limits.tracked_connections, default.connections),
        access_prefixes: or(&limits.access_prefixes, default.access_prefixes),
    }
}

/// A limit: its key, the value, the largest value, and where it stands.
struct Limit {
    key: &'static str,
    value: u32,
    largest: u32,
    place: Place,
}

fn each(gateway: &Located<Gateway>) -> [Limit; 5] {
    let limits = gateway.limits.as_ref();
    let value = effective(gateway);
    let limit = |key, size: Option<&Located<Size>>, value, largest| Limit {
        key,
        value,
        largest,
        place: size.map_or_else(|| below(&below(&gateway.place, "limits"), key), |size| size.place.clone()),
    };
    [
        limit("services", limits.and_then(|l| l.services.as_ref()), value.services, LARGEST.services),
        limit("backends", limits.and_then(|l| l.backends.as_ref()), value.backends, LARGEST.backends),
        limit("rows", limits.and_then(|l| l.rows.as_ref()), value.rows, LARGEST.rows),
        limit(
            "trackedConnections",
            limits.and_then(|l| l.tracked_connections.as_ref()),
            value.connections,
            LARGEST.connections,
        ),
        limit(
            "accessPrefixes",
            limits.and_then(|l| l.access_prefixes.as_ref()),
            value.access_prefixes,
            LARGEST.access_prefixes,
        ),
    ]
}

/// Reports limits out of range and totals above their limit. `false`: there are too many VIPs.
pub(super) fn totals(file: &File, problems: &mut Problems) -> bool {
    let Some(gateway) = file.gateway.as_ref() else { return false };
    let needed = [vips(file), backends(file), rows(file), 0, prefixes(file)];
    for (limit, needed) in each(gateway).into_iter().zip(needed) {
        check(&limit, needed, problems);
    }
    vips(file) <= LARGEST.services.into()
}

fn check(limit: &Limit, needed: u64, problems: &mut Problems) {
    let Limit { key, value, largest, place } = limit;
    if *value == 0 || value > largest {
        let mend = format!("use 1 to {largest}");
        problems.add(place, format!("{value} is out of range"), mend);
    } else if needed > u64::from(*value) {
        let reason = format!("the file needs {needed} {key}, the limit is {value}");
        problems.add(place, reason, mend(key, needed, *largest));
    }
}

fn mend(key: &str, needed: u64, largest: u32) -> String {
    if needed > largest.into() {
        return format!("use fewer: no limit may be above {largest}");
    }
    format!("set `gateway.limits.{key}` to at least {needed}, or use fewer")
}

/// Pairs of VIP and port: each is an entry of the kernel's table of services.
fn vips(file: &File) -> u64 {
    let pairs = |service: &Located<Service>| {
        let length = |list: Option<usize>| list.unwrap_or(0) as u64;
        let vips = length(service.vips.as_ref().map(|vips| vips.len()));
        vips.saturating_mul(length(service.ports.as_ref().map(|ports| ports.len())))
    };
    elements(file.services.as_ref()).iter().map(pairs).fold(0, u64::saturating_add)
}

fn backends(file: &File) -> u64 {
    let pools = elements(file.pools.as_ref()).iter();
    pools.filter_map(|pool| pool.endpoints.as_ref()).map(|list| list.len() as u64).sum()
}

/// Prefixes of all access policies, used or not.
fn prefixes(file: &File) -> u64 {
    elements(file.access_policies.as_ref()).iter().map(|policy| policy.count() as u64).sum()
}

fn rows(file: &File) -> u64 {
    let pools = elements(file.pools.as_ref()).iter().map(|pool| COPIES * u64::from(super::pools::rows(pool)));
    // Services of the same pools share their tables, in whatever order they list them.
    let names = |service: &Located<Service>| -> BTreeSet<String> {
        let pools = service.pools.as_ref().map_or(&[][..], |pools| &pools.value);
        pools.iter().map(|pool| pool.value.clone()).collect()
    };
    let lists: BTreeSet<_> = elements(file.services.as_ref()).iter().map(names).collect();
    let services = lists.iter().filter(|list| list.len() > 1).count() as u64;
    pools.sum::<u64>() + COPIES * CLUSTER_ROWS * services
}
