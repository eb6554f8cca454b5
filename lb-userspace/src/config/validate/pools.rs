//! Rules of `pools`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use lb_common::abi::MAX_LOG2_ROWS;

use super::addresses::unicast;
use super::breaker::breaker;
use super::names::{Names, label, resolve};
use super::outlier::outlier;
use super::{time, within};
use crate::config::file::{self, File, elements};
use crate::config::model::{Algorithm, Endpoint, Pool};
use crate::config::problem::{Problems, quoted};
use crate::config::read::{List, Located};

/// A pool's share unless the file says otherwise.
const WEIGHT: u16 = 100;

/// All weights.
const WEIGHTS: RangeInclusive<u16> = 0..=u16::MAX;

/// Rows of a pool's table unless the file says otherwise.
const ROWS: u32 = 65_536;

/// Fewest and most rows of a table.
const FEWEST_ROWS: u32 = 256;
const MOST_ROWS: u32 = 1 << MAX_LOG2_ROWS;

/// With less, tables would change faster than anybody notices.
const SLOW_STARTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// Most scores (rows by endpoints) of a table of bounded HRW, which are computed anew with each change: a second.
const MOST_SCORES: u64 = 1 << 28;

/// The weight as written, or the default; one out of range is reported with its pool.
pub(super) fn weight(pool: &file::Pool) -> u16 {
    pool.weight.as_ref().map_or(WEIGHT, |weight| weight.value.0.try_into().unwrap_or(WEIGHT))
}

/// The rows as written, or the default.
pub(super) fn rows(pool: &file::Pool) -> u32 {
    pool.rows.as_ref().map_or(ROWS, |rows| rows.value.0)
}

pub(super) fn pool(pool: &Located<file::Pool>, names: &Names<'_>, problems: &mut Problems) -> Option<Pool> {
    if let Some(name) = pool.name.as_ref() {
        label(name, problems);
    }
    if let Some(cluster) = pool.cluster.as_ref() {
        resolve("cluster", cluster, &names.clusters, problems);
    }
    if let Some(health) = &pool.health {
        resolve("health check", health, &names.checks, problems);
    }
    rows_are_a_power_of_two(pool, problems);
    scores_are_few_enough(pool, problems);
    let endpoints = pool.endpoints.as_ref().map(|endpoints| self::endpoints(endpoints, problems));
    Some(Pool {
        name: pool.name.as_ref()?.value.clone(),
        cluster: pool.cluster.as_ref()?.value.clone(),
        weight: within(pool.weight.as_ref(), WEIGHT, &WEIGHTS, problems),
        rows: rows(pool),
        algorithm: pool.algorithm.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        endpoints: endpoints?,
        health: pool.health.as_ref().map(|health| health.value.clone()),
        outlier: pool.outlier.as_ref().map(|rules| outlier(rules, problems)),
        circuit_breaker: pool.circuit_breaker.as_ref().map(|rules| breaker(rules, problems)),
        slow_start: slow_start(pool, problems),
    })
}

/// Zero is off.
fn slow_start(pool: &file::Pool, problems: &mut Problems) -> Duration {
    let written = pool.slow_start.as_ref().filter(|written| !written.value.0.is_zero());
    time(written, Duration::ZERO, &SLOW_STARTS, problems)
}

fn rows_are_a_power_of_two(pool: &file::Pool, problems: &mut Problems) {
    let Some(at) = &pool.rows else { return };
    let rows = at.value.0;
    if !(FEWEST_ROWS..=MOST_ROWS).contains(&rows) {
        let mend = format!("use a power of two from {FEWEST_ROWS} to {MOST_ROWS}");
        problems.add(&at.place, format!("{rows} rows are out of range"), mend);
    } else if !rows.is_power_of_two() {
        let above = rows.next_power_of_two();
        problems.add(
            &at.place,
            format!("{rows} is not a power of two"),
            format!("use {} or {above}", above / 2),
        );
    }
}

fn scores_are_few_enough(pool: &file::Pool, problems: &mut Problems) {
    let (Some(at), Some(endpoints)) = (&pool.algorithm, pool.endpoints.as_ref()) else { return };
    let scores = u64::from(rows(pool)) * endpoints.len() as u64;
    if at.value.0 == Algorithm::Hrw && scores > MOST_SCORES {
        let reason = format!(
            "{} rows and {} endpoints are {scores} scores to compute with each change, of at most {MOST_SCORES}",
            rows(pool),
            endpoints.len()
        );
        problems.add(&at.place, reason, "use `maglev`, or fewer `rows`");
    }
}

fn endpoints(list: &Located<List<file::Endpoint>>, problems: &mut Problems) -> Vec<Endpoint> {
    let mut seen = BTreeMap::new();
    let mut endpoints = Vec::new();
    for endpoint in &list.value {
        let Some(address) = endpoint.address.as_ref() else { continue };
        unicast("an endpoint", address, problems);
        if let Some(line) = seen.insert(address.value, address.place.line) {
            let reason = format!("{} stands in line {line} already", address.value);
            problems.add(&address.place, reason, "remove one of the two; a node's share is its `weight`");
        }
        let weight = within(endpoint.weight.as_ref(), 1, &WEIGHTS, problems);
        let server_id = endpoint.server_id.as_ref().and_then(|id| id.value.0);
        endpoints.push(Endpoint { address: address.value, weight, server_id });
    }
    let read_all = endpoints.len() == list.len();
    if read_all && !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.weight == 0) {
        let mend =
            "give at least one a weight above 0; to stop new flows to the pool, set the pool's weight to 0";
        problems.add(&list.place, "all endpoints have weight 0", mend);
    }
    endpoints
}

/// Reports a node whose address is a VIP of a service that uses it: its packets would come back for ever.
pub(super) fn no_endpoint_is_a_vip(file: &File, names: &Names<'_>, problems: &mut Problems) {
    for (pool, vips) in vips_of_pools(file) {
        let Some(list) = names.pools.get(pool).and_then(|pool| pool.endpoints.as_ref()) else { continue };
        for address in list.iter().filter_map(|endpoint| endpoint.address.as_ref()) {
            if let Some(service) = vips.get(&address.value) {
                let reason =
                    format!("{} is a VIP of {}, which uses this pool", address.value, quoted(service));
                problems.add(
                    &address.place,
                    reason,
                    "use the node's own address; the VIP belongs on its loopback",
                );
            }
        }
    }
}

/// For each pool in use: the VIPs of its services, with the service's name.
fn vips_of_pools(file: &File) -> BTreeMap<&str, BTreeMap<IpAddr, &str>> {
    let mut pools: BTreeMap<&str, BTreeMap<IpAddr, &str>> = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let (Some(vips), Some(used)) = (service.vips.as_ref(), service.pools.as_ref()) else { continue };
        let name = service.name.as_ref().map_or("", |name| name.value.as_str());
        for pool in &used.value {
            let known = pools.entry(pool.as_str()).or_default();
            known.extend(vips.iter().map(|vip| (vip.value, name)));
        }
    }
    pools
}
