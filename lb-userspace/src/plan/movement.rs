//! What becomes of each service's flows: both worlds' tables, row by row.
//!
//! A flow meets one of 4,096 cluster rows and one row of the node table of the pool that has it. The two are independent, for
//! they are of different halves of the hash, and a smaller table's rows are whole parts of a larger one's. So a service's
//! flows fall into 2³² equal parts, counted in integers: 2²⁰, as many as the largest node table has rows, for each cluster
//! row.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use lb_common::flow::CLUSTER_ROWS;

use super::fates::{Fates, ROW, compare};
use super::side::{Picks, Side};
use crate::config::model::{Protocol, Service, Tracking, UdpOnChange};

/// Parts of a service.
pub(super) const WHOLE: u64 = ROW * CLUSTER_ROWS as u64;

/// What becomes of a service's flows, in parts of [`WHOLE`] unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Movement {
    /// The name.
    pub(super) service: String,
    /// Hashes are others: each flow meets rows as if it were another.
    pub(super) rehashed: bool,
    /// Cluster rows that change their pool, of 4,096.
    pub(super) rows: Moved,
    /// New flows that go to another node.
    pub(super) flows: Moved,
    /// Open flows that break.
    pub(super) broken: u64,
    /// New flows that nobody takes.
    pub(super) lost: u64,
    /// Cluster rows of each pool, by name.
    pub(super) before: BTreeMap<String, u64>,
    /// The same afterwards.
    pub(super) after: BTreeMap<String, u64>,
}

/// What moves, and what has to, for shares change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moved {
    pub(super) moved: u64,
    /// By how much all together grow whose share grows.
    pub(super) least: u64,
}

/// All services, in the order of the second world, then those that are only in the first.
pub(super) fn all(old: &Side, new: &Side) -> Vec<Movement> {
    let mut comparison =
        Comparison { old, new, fates: HashMap::new(), owned: [HashMap::new(), HashMap::new()] };
    let stay = new.services().map(|service| service.name.as_str());
    let gone = old.services().map(|service| service.name.as_str());
    let is_gone = |name: &&str| new.service(name).is_none();
    stay.chain(gone.filter(is_gone)).map(|name| comparison.service(name)).collect()
}

type Shares<K> = BTreeMap<Option<K>, u64>;

struct Comparison<'a> {
    old: &'a Side<'a>,
    new: &'a Side<'a>,
    /// By the pools before and after.
    fates: HashMap<(Option<u16>, Option<u16>), Fates>,
    /// What addresses have of the rows of each pool, before and after, in parts of [`ROW`].
    owned: [HashMap<u16, Shares<IpAddr>>; 2],
}

impl Comparison<'_> {
    fn service(&mut self, name: &str) -> Movement {
        let (before, after) = (self.old.picks(name), self.new.picks(name));
        let named = Movement { service: name.to_owned(), ..Movement::default() };
        match (self.old.service(name), self.new.service(name)) {
            (Some(was), Some(is)) => {
                let rehashed = self.is_rehashed(was, is);
                let pairs = pairs(&before, &after);
                let movement = if rehashed { self.rehash(&pairs) } else { self.follow(&pairs, keeps(is)) };
                let (before, after) = (sums(&pairs, |pair| pair.0), sums(&pairs, |pair| pair.1));
                let (before, after) = (by_name(self.old, &before), by_name(self.new, &after));
                Movement { rehashed, before, after, service: named.service, ..movement }
            }
            (_, Some(_)) => {
                let pairs = pairs(&after, &after);
                let lost = self.follow(&pairs, true).lost;
                Movement { lost, after: by_name(self.new, &sums(&pairs, |pair| pair.1)), ..named }
            }
            _ => {
                let before = by_name(self.old, &sums(&pairs(&before, &before), |pair| pair.0));
                Movement { broken: WHOLE, before, ..named }
            }
        }
    }

    fn is_rehashed(&self, was: &Service, is: &Service) -> bool {
        let secrets = [self.old, self.new].map(|side| side.world.config.cluster_set.secret);
        was.affinity != is.affinity || secrets[0] != secrets[1]
    }

    /// Row by row. `keeps`: open flows stay with a node that serves.
    fn follow(&mut self, pairs: &[Pair], keeps: bool) -> Movement {
        let mut movement = Movement { rows: moved_rows(pairs), ..Movement::default() };
        for ((before, after), rows) in pairs {
            let fates = self.fates(*before, *after);
            movement.flows.moved += fates.moved * rows;
            movement.broken += if keeps { fates.dead } else { fates.parted } * rows;
            movement.lost += fates.lost * rows;
        }
        if movement.flows.moved > 0 {
            let [before, after] = self.by_address(pairs);
            movement.flows.least = growth(&before, &after);
        }
        movement
    }

    /// As if rows before and after had nothing to do with each other.
    fn rehash(&mut self, pairs: &[Pair]) -> Movement {
        let pools = (sums(pairs, |pair| pair.0), sums(pairs, |pair| pair.1));
        let [before, after] = self.by_address(pairs);
        let lost = pairs.iter().map(|((_, after), rows)| self.fates(*after, *after).lost * rows).sum();
        let serving = after.iter().filter(|(address, _)| address.is_some_and(|one| self.new.serves(one)));
        let kept = alike(&before, &serving.map(|(address, parts)| (*address, *parts)).collect(), WHOLE);
        Movement {
            rows: Moved {
                moved: u64::from(CLUSTER_ROWS) - alike(&pools.0, &pools.1, CLUSTER_ROWS.into()),
                least: growth(&pools.0, &pools.1),
            },
            flows: Moved { moved: WHOLE - alike(&before, &after, WHOLE), least: growth(&before, &after) },
            broken: WHOLE - kept,
            lost,
            ..Movement::default()
        }
    }

    fn fates(&mut self, before: Option<u16>, after: Option<u16>) -> Fates {
        let Self { old, new, fates, .. } = self;
        *fates.entry((before, after)).or_insert_with(|| {
            let nodes = [before.and_then(|pool| old.nodes(pool)), after.and_then(|pool| new.nodes(pool))];
            compare(nodes, old, new)
        })
    }

    /// What each address has of a service's flows, before and after.
    fn by_address(&mut self, pairs: &[Pair]) -> [Shares<IpAddr>; 2] {
        let mut shares = [Shares::new(), Shares::new()];
        for ((before, after), rows) in pairs {
            for (number, pool) in [before, after].into_iter().enumerate() {
                let side = if number == 0 { self.old } else { self.new };
                let Some(pool) = *pool else {
                    *shares[number].entry(None).or_default() += rows * ROW;
                    continue;
                };
                for (address, parts) in self.owned[number].entry(pool).or_insert_with(|| owned(side, pool)) {
                    *shares[number].entry(*address).or_default() += rows * *parts;
                }
            }
        }
        shares
    }
}

/// Pools before and after, and how many cluster rows have these.
type Pair = ((Option<u16>, Option<u16>), u64);

fn pairs(before: &Picks, after: &Picks) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for pair in before.owners().into_iter().zip(after.owners()) {
        // There are a few, however many the rows.
        match pairs.iter_mut().find(|(known, _)| *known == pair) {
            Some((_, rows)) => *rows += 1,
            None => pairs.push((pair, 1)),
        }
    }
    pairs
}

fn sums(pairs: &[Pair], side: impl Fn(&(Option<u16>, Option<u16>)) -> Option<u16>) -> Shares<u16> {
    let mut sums = BTreeMap::new();
    pairs.iter().for_each(|(pair, rows)| *sums.entry(side(pair)).or_default() += rows);
    sums
}

fn by_name(side: &Side, rows: &Shares<u16>) -> BTreeMap<String, u64> {
    rows.iter().filter_map(|(pool, rows)| Some((side.pool_name((*pool)?).to_owned(), *rows))).collect()
}

fn moved_rows(pairs: &[Pair]) -> Moved {
    let moved = pairs.iter().filter(|((before, after), _)| before != after).map(|(_, rows)| rows).sum();
    Moved { moved, least: growth(&sums(pairs, |pair| pair.0), &sums(pairs, |pair| pair.1)) }
}

/// By how much those grow that grow.
fn growth<K: Ord>(before: &Shares<K>, after: &Shares<K>) -> u64 {
    let had = |key| before.get(key).copied().unwrap_or(0);
    after.iter().map(|(key, parts)| parts.saturating_sub(had(key))).sum()
}

/// What of a whole has the same owner by chance, rounded down.
fn alike<K: Ord>(before: &Shares<K>, after: &Shares<K>, whole: u64) -> u64 {
    let both = |(key, parts): (&Option<K>, &u64)| {
        key.as_ref()?;
        Some(u128::from(*parts) * u128::from(*before.get(key)?))
    };
    let alike: u128 = after.iter().filter_map(both).sum();
    u64::try_from(alike / u128::from(whole)).unwrap_or(whole)
}

fn owned(side: &Side, pool: u16) -> Shares<IpAddr> {
    let Some(rows) = side.nodes(pool) else { return Shares::from([(None, ROW)]) };
    let mut owned = Shares::new();
    for row in rows.iter() {
        *owned.entry(side.end(*row).map(|end| end.address)).or_default() += ROW / rows.len() as u64;
    }
    owned
}

/// Whether open flows stay with a node that serves when their rows move. Of a service with TCP ports: those of TCP.
fn keeps(service: &Service) -> bool {
    let keeps_udp = service.udp_on_change == UdpOnChange::Keep;
    let keeps_some = keeps_udp || service.ports.iter().any(|port| port.protocol == Protocol::Tcp);
    service.tracking != Tracking::None && keeps_some
}
