//! Whether what is left of a service can take everything: now, and when clusters are lost on top of that. Pure.
//!
//! 1. Lost are, in this order: nobody; each cluster that has somebody who takes the service's new flows; with `N+2` each two
//!    of those. How many, the service's failover policy says; without `resilience` nobody is.
//! 2. Somebody must be left who takes new flows. With `resilience` the endpoints that are left must be able to take all of
//!    them: `norm` of [`load`](super::failover::load) is 100, so that no priority is in panic. What an operator drains is not
//!    left, though it would serve if there were nobody else.
//! 3. With `resilience`, no cluster that the service's flows then go to gets more than it can take, as far as it is known
//!    what is asked for and what clusters can take.
//!
//! The first loss that one of these does not hold after is the breach.

use std::collections::BTreeMap;
use std::fmt;

use lb_common::flow::CLUSTER_ROWS;

use super::capacity;
use super::capacity::ceilings::Ceilings;
use super::desired::Share;
use super::memory::ByPolicy;
use super::new_flows::{self, Rates};
use super::observed::Observed;
use super::shares::Standings;
use crate::apportion::apportion;
use crate::config::model::{Capacity, Config, Resilience, Service};

/// New connections per second that clients ask for, by the name of the service; of one that is not in it nobody knows.
pub type Demand = BTreeMap<String, u64>;

/// What a service can bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// Its name.
    pub service: String,
    /// What is asked of it; `None`: that somebody is there now.
    pub resilience: Option<Resilience>,
    /// What it cannot bear; `None`: it can.
    pub breach: Option<Breach>,
}

/// A loss that is too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Clusters that are lost on top of what is down or drained already; none: even without a loss it is too little.
    pub lost: Vec<String>,
    /// What is missing then.
    pub shortage: Shortage,
}

/// What is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortage {
    /// Nobody takes new flows.
    NoEndpoint,
    /// Those that are left can take so many percent, below 100.
    Health(u32),
    /// A cluster gets more than it can take.
    Overload {
        /// The cluster.
        cluster: String,
        /// New connections per second, rounded up.
        load: u64,
        /// New connections per second.
        capacity: u64,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&short_of(&self.lost, &self.shortage))
    }
}

/// What is missing when these clusters are lost, in one sentence.
pub(crate) fn short_of(lost: &[String], shortage: impl fmt::Display) -> String {
    if lost.is_empty() { shortage.to_string() } else { format!("without {} {shortage}", lost.join(" and ")) }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEndpoint => f.write_str("nobody is left who takes new flows"),
            Self::Health(percent) => write!(f, "what is left can take {percent} % of its new flows"),
            Self::Overload { cluster, load, capacity } => {
                write!(f, "{cluster} gets {load} new connections per second and can take {capacity}")
            }
        }
    }
}

/// What each service can bear, in the configuration's order.
pub fn assess(config: &Config, observed: &Observed, demand: &Demand) -> Vec<Assessment> {
    let (clusters, pools) = super::look(config, observed);
    let standings = Standings::new(config, observed, &pools, &clusters);
    let mut losses = Losses { standings: &standings, loads: Loads::new(config, demand) };
    config.services.iter().map(|service| losses.assess(service)).collect()
}

/// What is missing of services as things are, of those of which something is. With a failover policy those that there are must
/// be able to take everything, else there must be somebody.
pub fn shortages(config: &Config, observed: &Observed) -> Vec<(String, Shortage)> {
    let (clusters, pools) = super::look(config, observed);
    let standings = Standings::new(config, observed, &pools, &clusters);
    let mut losses = Losses { standings: &standings, loads: Loads::new(config, &Demand::new()) };
    let short = config.services.iter().map(|service| (service, losses.shortage(service, &[])));
    short.filter_map(|(service, shortage)| Some((service.name.clone(), shortage?))).collect()
}

struct Losses<'a> {
    standings: &'a Standings<'a>,
    loads: Loads<'a>,
}

impl<'a> Losses<'a> {
    fn assess(&mut self, service: &'a Service) -> Assessment {
        let resilience = self.standings.policy(service).and_then(|policy| policy.resilience);
        let breach = self.breach(service, resilience);
        Assessment { service: service.name.clone(), resilience, breach }
    }

    fn breach(&mut self, service: &'a Service, resilience: Option<Resilience>) -> Option<Breach> {
        let most = resilience.map_or(0, |resilience| resilience.model.losses());
        subsets(&self.standings.serving(service, &[]), most).into_iter().find_map(|lost| {
            let shortage = match resilience {
                Some(_) => self.shortage(service, &lost),
                None => self.nobody(service, &lost),
            };
            let lost = || lost.iter().map(|name| (*name).to_owned()).collect();
            shortage.map(|shortage| Breach { lost: lost(), shortage })
        })
    }

    fn shortage(&mut self, service: &'a Service, lost: &[&'a str]) -> Option<Shortage> {
        let too_few = self.nobody(service, lost).or_else(|| {
            let norm = self.standings.norm(service, lost).filter(|norm| *norm < 100);
            norm.map(Shortage::Health)
        });
        too_few.or_else(|| self.loads.overload(service, lost, self.standings))
    }

    fn nobody(&self, service: &Service, lost: &[&str]) -> Option<Shortage> {
        self.standings.serving(service, lost).is_empty().then_some(Shortage::NoEndpoint)
    }
}

/// Nobody, each one, each two: `most` at most, in the order of `names`.
fn subsets<'a>(names: &[&'a str], most: usize) -> Vec<Vec<&'a str>> {
    let ones = names.iter().map(|one| vec![*one]).filter(|_| most > 0);
    let after = |position: usize| names.iter().skip(position + 1);
    let twos =
        names.iter().enumerate().flat_map(|(position, one)| after(position).map(move |two| vec![*one, *two]));
    std::iter::once(Vec::new()).chain(ones).chain(twos.filter(|_| most > 1)).collect()
}

/// What clusters get, by what is lost.
struct Loads<'a> {
    config: &'a Config,
    /// Services of which it is known what is asked for.
    asked: Vec<(&'a Service, u64)>,
    capacities: BTreeMap<&'a str, Capacity>,
    known: BTreeMap<Vec<&'a str>, Lost>,
}

/// How flows go after a loss.
struct Lost {
    /// What full priorities may get.
    ceilings: BTreeMap<String, Ceilings>,
    /// By cluster, in 4,096ths of a new connection per second.
    loads: BTreeMap<String, u64>,
}

impl<'a> Loads<'a> {
    fn new(config: &'a Config, demand: &Demand) -> Self {
        let asked = |service: &'a Service| demand.get(&service.name).map(|rate| (service, *rate));
        let capacities =
            config.clusters.iter().filter_map(|cluster| Some((cluster.name.as_str(), cluster.capacity?)));
        Self {
            config,
            asked: config.services.iter().filter_map(asked).collect(),
            capacities: capacities.collect(),
            known: BTreeMap::new(),
        }
    }

    /// The first of the clusters that a service's flows go to that gets too much.
    fn overload(&mut self, service: &Service, lost: &[&'a str], standings: &Standings) -> Option<Shortage> {
        if self.asked.is_empty() || self.capacities.is_empty() {
            return None;
        }
        let (asked, config) = (&self.asked, self.config);
        let after =
            self.known.entry(lost.to_vec()).or_insert_with(|| Lost::new(config, asked, lost, standings));
        let shares = standings.of(service, &ByPolicy::new(), &after.ceilings, lost);
        shares.iter().filter(|share| share.weight > 0).find_map(|Share { cluster, .. }| {
            let capacity = u64::from(self.capacities.get(cluster.as_str())?.new_connections);
            let load = after.loads.get(cluster)?.div_ceil(CLUSTER_ROWS.into());
            (load > capacity).then(|| Shortage::Overload { cluster: cluster.clone(), load, capacity })
        })
    }
}

impl Lost {
    fn new(config: &Config, asked: &[(&Service, u64)], lost: &[&str], standings: &Standings) -> Self {
        let mut rates = Rates::new();
        for (service, rate) in asked {
            new_flows::add(
                &mut rates,
                &standings.of(service, &ByPolicy::new(), &BTreeMap::new(), lost),
                *rate,
            );
        }
        let ceilings = capacity::afresh(config, &rates, standings, lost);
        let loads = loads(asked, |service| standings.of(service, &ByPolicy::new(), &ceilings, lost));
        Self { ceilings, loads }
    }
}

fn loads(asked: &[(&Service, u64)], divide: impl Fn(&Service) -> Vec<Share>) -> BTreeMap<String, u64> {
    let mut loads = BTreeMap::new();
    for (service, rate) in asked {
        let mut shares = divide(service);
        // As the table's own apportionment breaks ties.
        shares.sort_by(|one, other| (&one.cluster, &one.pool).cmp(&(&other.cluster, &other.pool)));
        let weights: Vec<_> = shares.iter().map(|share| share.weight).collect();
        for (share, rows) in shares.into_iter().zip(apportion(CLUSTER_ROWS, &weights)) {
            let load = loads.entry(share.cluster).or_insert(0_u64);
            *load = load.saturating_add(rate.saturating_mul(rows.into()));
        }
    }
    loads
}

#[cfg(test)]
mod tests;
