//! Which part of a service's new flows each of its pools gets.
//!
//! With a failover policy, what that says ([`super::failover`]), of the health that is taken in ([`super::failback`]) and of what
//! clusters can take ([`super::capacity`]). Without one a pool has its configured weight while at least one of its endpoints is usable and its cluster is active, else 0.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::flow::CLUSTER_ROWS;

use super::capacity::ceilings::Ceilings;
use super::capacity::claim::{Level, key as claim_of};
use super::desired::{Cluster, Hold, Member, Pool, Reach, Share};
use super::failback::{Perceived, perceive};
use super::failover::capacity::{FLOWS, Limit, Limits};
use super::failover::load::{self, Tally};
use super::failover::order::{Labels, priority};
use super::failover::{Contender, Part, WEIGHT_OF_A_ROW, divide_within, turns};
use super::memory::ByPolicy;
use super::observed::Observed;
use super::rollout::{self, split::Split};
use crate::apportion::apportion;
use crate::config::model::{self, ClusterState, Config, FailoverPolicy, Spill};

/// A pool, as services that use it see it.
#[derive(Clone, Copy)]
struct Standing<'a> {
    cluster: &'a str,
    /// Configured; of a service with a split in hundredths.
    weight: u32,
    /// Its cluster takes new flows.
    active: bool,
    /// Its endpoints of weight above zero.
    tally: Tally,
    /// It has endpoints.
    peopled: bool,
}

impl<'a> Standing<'a> {
    fn new(pool: &'a Pool, clusters: &[Cluster]) -> Self {
        let is_active =
            |cluster: &Cluster| cluster.name == pool.cluster && cluster.state == ClusterState::Active;
        let count = |counts: fn(&&Member) -> bool| {
            u32::try_from(pool.members.iter().filter(counts).count()).unwrap_or(u32::MAX)
        };
        Self {
            cluster: &pool.cluster,
            weight: pool.weight.into(),
            active: clusters.iter().any(is_active),
            tally: Tally {
                healthy: count(|member| member.usable()),
                total: count(|member| member.weight > 0),
                draining: count(|member| member.weight > 0 && member.state.keeps_old()),
                reachable: count(|member| member.weight > 0 && member.reach != Reach::Unresolved),
                withheld: 0,
            },
            peopled: !pool.members.is_empty(),
        }
    }

    fn holds(&self) -> bool {
        self.active && self.tally.healthy > 0
    }

    /// As a policy counts it.
    fn counted(&self, policy: &FailoverPolicy) -> Tally {
        self.tally.at_least(policy.min_healthy)
    }

    /// Its health in percent by a policy.
    fn health(&self, policy: &FailoverPolicy) -> u32 {
        self.counted(policy).health(policy.overprovisioning)
    }

    /// The same, if its cluster is lost with these: nobody in it is up or drains.
    fn without(&self, lost: &[&str]) -> Self {
        if !lost.contains(&self.cluster) {
            return *self;
        }
        Self { tally: Tally { healthy: 0, draining: 0, ..self.tally }, ..*self }
    }
}

/// All pools, and what says in which order they come.
pub(super) struct Standings<'a> {
    pools: BTreeMap<&'a str, Standing<'a>>,
    policies: BTreeMap<&'a str, &'a FailoverPolicy>,
    labels: BTreeMap<&'a str, &'a Labels>,
    own: Option<&'a str>,
    /// Of clusters that say it, in new connections per second.
    capacities: BTreeMap<&'a str, u64>,
    /// Pools that are kept out of most of the hash space.
    out: BTreeSet<&'a str>,
    /// By service.
    splits: BTreeMap<&'a str, Split<'a>>,
}

/// Percent of the hash space: a pool that is kept out of as much counts as out where whole numbers of flows are reckoned with.
const MOST: u8 = 50;

/// What is taken in of the health of pools, and the ceilings of claims.
pub(super) type Bounds<'a> = (&'a ByPolicy<Perceived>, &'a BTreeMap<String, Ceilings>);

/// A pool of a service: its name and how it stands.
type Named<'a> = (&'a str, Standing<'a>);

/// A pool, what it contends with, and the ceiling that keeps its priority from getting more.
type Placed<'a> = ((&'a Named<'a>, &'a Contender), Option<u32>);

impl<'a> Standings<'a> {
    pub(super) fn new(
        config: &'a Config,
        observed: &'a Observed,
        pools: &'a [Pool],
        clusters: &[Cluster],
    ) -> Self {
        let out = observed.kept_out.iter().filter(|(_, slice)| slice.percent >= MOST);
        let policies = config.failover_policies.iter();
        let capacity = |cluster: &'a model::Cluster| {
            Some((cluster.name.as_str(), u64::from(cluster.capacity?.new_connections)))
        };
        Self {
            pools: pools.iter().map(|pool| (pool.name.as_str(), Standing::new(pool, clusters))).collect(),
            policies: policies.map(|policy| (policy.name.as_str(), policy)).collect(),
            labels: config.clusters.iter().map(|cluster| (cluster.name.as_str(), &cluster.labels)).collect(),
            own: config.cluster_set.self_cluster.as_deref(),
            capacities: config.clusters.iter().filter_map(capacity).collect(),
            out: out.map(|(pool, _)| pool.as_str()).collect(),
            splits: rollout::in_force(config, observed).map(|split| (split.service, split)).collect(),
        }
    }

    /// What is taken in at `now` of the health of pools, by the policies with `failback` of services that use them.
    pub(super) fn perceive(
        &self,
        services: &[model::Service],
        before: &ByPolicy<Perceived>,
        now: u64,
    ) -> ByPolicy<Perceived> {
        let mut taken = ByPolicy::new();
        for (service, policy) in services.iter().filter_map(|service| Some((service, self.policy(service)?)))
        {
            let Some(failback) = policy.failback else { continue };
            let known = |pool: &str| before.get(&policy.name)?.get(pool).copied();
            let pools = self.pools(service, &[]);
            let perceived = pools.iter().filter_map(|(name, pool)| {
                let perceived = perceive(known(name), pool.health(policy), failback, now)?;
                Some(((*name).to_owned(), perceived))
            });
            taken.entry(policy.name.clone()).or_insert_with(BTreeMap::new).extend(perceived);
        }
        taken
    }

    /// The parts of a service's pools, in the order of its list, by the health that is taken in, when `lost` clusters are
    /// down too.
    pub(super) fn of(
        &self,
        service: &model::Service,
        taken: &ByPolicy<Perceived>,
        ceilings: &BTreeMap<String, Ceilings>,
        lost: &[&str],
    ) -> Vec<Share> {
        self.divide(service, &self.pools(service, lost), (taken, ceilings))
    }

    /// The same while the pools of these names take no new flows, as if their clusters drained; `None`: then nobody is left
    /// who does.
    pub(super) fn without(
        &self,
        service: &model::Service,
        (taken, ceilings): Bounds,
        out: &[&str],
    ) -> Option<Vec<Share>> {
        let mut pools = self.pools(service, &[]);
        for (_, pool) in pools.iter_mut().filter(|(name, _)| out.contains(name)) {
            pool.active = false;
        }
        (!is_open(&pools)).then(|| self.divide(service, &pools, (taken, ceilings)))
    }

    fn divide(&self, service: &model::Service, pools: &[Named], (taken, ceilings): Bounds) -> Vec<Share> {
        let known = claim_of(service).and_then(|claim| ceilings.get(claim));
        let by_policy = |policy| self.by_policy(pools, policy, taken, known);
        self.policy(service).map_or_else(|| self.by_weight(pools, service), by_policy)
    }

    /// What the priorities of a service would take if none were full, when `lost` clusters are down too.
    pub(super) fn levels(
        &self,
        service: &model::Service,
        taken: &ByPolicy<Perceived>,
        lost: &[&str],
    ) -> Vec<Level<'a>> {
        let Some(policy) = self.policy(service) else { return Vec::new() };
        let pools = self.admitted(service, lost);
        let contenders = self.contenders(&pools, &holds(&pools, policy, taken), policy);
        let by_health = policy.spill.is_none_or(|spill| spill.by_health);
        let turns = turns(&contenders, policy.overprovisioning, by_health).into_iter();
        turns.map(|turn| Level::new(&turn, pools.iter().map(|(_, pool)| pool.cluster))).collect()
    }

    /// The failover policy of a service.
    pub(super) fn policy(&self, service: &model::Service) -> Option<&'a FailoverPolicy> {
        service.failover_policy.as_deref().and_then(|name| self.policies.get(name).copied())
    }

    /// Clusters with somebody who takes a service's new flows, in the order of its list.
    pub(super) fn serving(&self, service: &model::Service, lost: &[&str]) -> Vec<&'a str> {
        let pools = self.admitted(service, lost).into_iter();
        pools.filter(|(_, pool)| pool.holds() && pool.weight > 0).map(|(_, pool)| pool.cluster).collect()
    }

    /// In percent of a service's new flows: what the endpoints can take that neither are in `lost` clusters nor in those
    /// that an operator took out. `None`: no policy says how much an endpoint can take.
    pub(super) fn norm(&self, service: &model::Service, lost: &[&str]) -> Option<u32> {
        let policy = self.policy(service)?;
        let mut levels = BTreeMap::<_, Tally>::new();
        let pools = self.admitted(service, lost);
        for (_, pool) in pools.iter().filter(|(_, pool)| pool.active && pool.weight > 0) {
            let level = levels.entry(self.priority(pool, policy)).or_default();
            *level = [*level, pool.counted(policy)].into_iter().sum();
        }
        Some(load::norm(&levels.into_values().collect::<Vec<_>>(), policy.overprovisioning))
    }

    fn pools(&self, service: &model::Service, lost: &[&str]) -> Vec<Named<'a>> {
        let known = |name: &String| {
            self.pools.get_key_value(name.as_str()).map(|(name, pool)| (*name, pool.without(lost)))
        };
        let mut pools: Vec<_> = service.pools.iter().filter_map(known).collect();
        if let Some(split) = self.splits.get(service.name.as_str()) {
            let weights = split.weigh(pools.iter().map(|(name, pool)| (*name, pool.weight)));
            pools.iter_mut().zip(weights).for_each(|((_, pool), weight)| pool.weight = weight);
        }
        pools
    }

    /// Without a policy. A service all of whose pools come to 0 fails open: the configured weights are in force, of pools in
    /// which somebody is up though their cluster is drained; where there are none, of pools with endpoints; where nobody has
    /// endpoints, of all. What a split says is so to the row.
    fn by_weight(&self, pools: &[Named], service: &model::Service) -> Vec<Share> {
        let open = is_open(pools);
        let any =
            |is_one: fn(&Standing) -> bool| pools.iter().any(|(_, pool)| pool.weight > 0 && is_one(pool));
        let lives = |pool: &Standing| pool.tally.healthy > 0;
        let (alive, peopled) = (any(lives), any(|pool| pool.peopled));
        let stands_in = |pool: &Standing| if alive { lives(pool) } else { pool.peopled || !peopled };
        let counts = |pool: &Standing| pool.holds() || open && stands_in(pool);
        let weight = |(_, pool): &Named| if counts(pool) { pool.weight } else { 0 };
        let weights: Vec<u32> = pools.iter().map(weight).collect();
        let split = self.splits.contains_key(service.name.as_str());
        let weights = if split { of_rows(&weights) } else { weights };
        let share = |((name, pool), weight): (&Named, u32)| {
            Share::fixed(*name, pool.cluster, u16::try_from(weight).unwrap_or(u16::MAX))
        };
        pools.iter().zip(weights).map(share).collect()
    }

    /// The same, without those that are kept out of most, unless that leaves nobody.
    fn admitted(&self, service: &model::Service, lost: &[&str]) -> Vec<Named<'a>> {
        let all = self.pools(service, lost);
        let mut admitted = all.clone();
        for (_, pool) in admitted.iter_mut().filter(|(name, _)| self.out.contains(name)) {
            pool.active = false;
        }
        if is_open(&admitted) { all } else { admitted }
    }

    fn by_policy(
        &self,
        pools: &[Named],
        policy: &FailoverPolicy,
        taken: &ByPolicy<Perceived>,
        ceilings: Option<&Ceilings>,
    ) -> Vec<Share> {
        let holds = holds(pools, policy, taken);
        let contenders = self.contenders(pools, &holds, policy);
        let limits = policy.spill.map(|spill| self.limits(spill, pools, &contenders, ceilings));
        let FailoverPolicy { overprovisioning, panic_threshold, .. } = *policy;
        let parts = divide_within(&contenders, overprovisioning, panic_threshold, limits.as_ref());
        let rows = |priority| {
            let its = contenders.iter().zip(&parts).filter(|(one, _)| one.priority == priority);
            its.map(|(_, part)| u32::from(part.weight) / WEIGHT_OF_A_ROW).sum::<u32>()
        };
        // Of a priority that gets as much as it can take; its rows may be rounded down by one.
        let ceiling = |priority| {
            let ceiling = limits.as_ref()?.of.get(&priority)?.in_force()?;
            ((rows(priority) + 1) * 100 >= ceiling * CLUSTER_ROWS).then_some(ceiling)
        };
        let ceilings: Vec<_> = contenders.iter().map(|one| ceiling(one.priority)).collect();
        let share = |(((pool, contender), ceiling), (part, hold)): (Placed, (Part, _))| Share {
            weight: part.weight,
            panic: part.panic,
            priority: Some(contender.priority),
            health: Some(pool.1.health(policy)),
            ceiling,
            hold,
            ..Share::fixed(pool.0, pool.1.cluster, 0)
        };
        let pools = pools.iter().zip(&contenders).zip(ceilings);
        pools.zip(parts.into_iter().zip(holds)).map(share).collect()
    }

    /// What the priorities of a service can take: the clusters in which somebody takes part. One that does not say counts as
    /// the largest of those that do.
    fn limits(
        &self,
        spill: Spill,
        pools: &[Named],
        contenders: &[Contender],
        ceilings: Option<&Ceilings>,
    ) -> Limits {
        let says = |(_, pool): &Named| self.capacities.get(pool.cluster).copied();
        let takes_part = |one: &Contender| one.weight > 0 && one.tally.healthy > 0;
        let known = pools.iter().zip(contenders).filter(|(_, one)| takes_part(one));
        let largest = known.filter_map(|(pool, _)| says(pool)).max().unwrap_or(0);
        let mut of = BTreeMap::new();
        for (pool, contender) in pools.iter().zip(contenders) {
            let ceiling = ceilings.and_then(|ceilings| ceilings.of.get(&contender.priority)).copied();
            let limit = Limit { ceiling: ceiling.unwrap_or(FLOWS), capacity: 0 };
            let capacity = if takes_part(contender) { says(pool).unwrap_or(largest) } else { 0 };
            of.entry(contender.priority).or_insert(limit).capacity += capacity;
        }
        Limits { by_health: spill.by_health, of }
    }

    /// A pool whose cluster an operator took out takes no part, unless that leaves nobody who is up.
    fn contenders(&self, pools: &[Named], holds: &[Option<Hold>], policy: &FailoverPolicy) -> Vec<Contender> {
        let open = is_open(pools);
        // There is nowhere to send to: the tables stay what they are for when there is again.
        let nowhere = pools.iter().all(|(_, pool)| pool.tally.reachable == 0);
        let contender = |((_, pool), hold): (&Named, &Option<Hold>)| {
            let tally = pool.counted(policy);
            let tally = hold.map_or(tally, |hold| tally.held_at(hold.perceived, policy.overprovisioning));
            Contender {
                priority: self.priority(pool, policy),
                weight: if pool.active || open { pool.weight } else { 0 },
                tally: if nowhere { Tally { reachable: tally.total, ..tally } } else { tally },
            }
        };
        pools.iter().zip(holds).map(contender).collect()
    }

    fn priority(&self, pool: &Standing, policy: &FailoverPolicy) -> usize {
        let none = Labels::new();
        let labels = |cluster: &str| self.labels.get(cluster).copied().unwrap_or(&none);
        let own = self.own.map_or(&none, labels);
        priority(&policy.order, pool.cluster, labels(pool.cluster), own)
    }
}

/// What is held back of each pool.
fn holds(pools: &[Named], policy: &FailoverPolicy, taken: &ByPolicy<Perceived>) -> Vec<Option<Hold>> {
    let hold = |(name, pool): &Named| {
        taken.get(&policy.name)?.get(*name)?.hold(pool.health(policy), policy.failback?)
    };
    pools.iter().map(hold).collect()
}

/// Weights that give exactly the rows that these have of a cluster table.
fn of_rows(weights: &[u32]) -> Vec<u32> {
    apportion(CLUSTER_ROWS, weights).into_iter().map(|rows| rows * WEIGHT_OF_A_ROW).collect()
}

/// Whether there is nobody to send to in the pools of a service that are to get something.
fn is_open(pools: &[Named]) -> bool {
    !pools.iter().any(|(_, pool)| pool.holds() && pool.weight > 0)
}

/// Pools that are in panic for each service that sends to them: what one service may ask of the dead, another that uses the
/// same nodes need not bear.
pub(super) fn in_panic<'a>(shares: impl Iterator<Item = &'a Share>) -> BTreeSet<String> {
    let mut pools = BTreeMap::new();
    for share in shares.filter(|share| share.weight > 0) {
        *pools.entry(share.pool.as_str()).or_insert(true) &= share.panic;
    }
    pools.into_iter().filter(|(_, panic)| *panic).map(|(name, _)| name.to_owned()).collect()
}
