//! What is asked about: failures, drains, other weights.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::World;
use crate::config::model::Config;
use crate::config::unknown;
use crate::policy::observed::{Health, Verdict};
use crate::policy::subject::Subject;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An endpoint, or all of a cluster, is dead. Health checks find it so.
    Fail(Subject),
    /// An operator drains it.
    Drain(Subject),
    /// A weight is another one.
    Set(Setting),
}

/// A weight of a pool or of an endpoint: `POOL.weight=N` or `POOL/ADDRESS.weight=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of the pool.
    pub pool: String,
    /// The endpoint; `None`: it is the pool's own weight.
    pub endpoint: Option<IpAddr>,
    /// The weight.
    pub weight: u16,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write it as POOL.weight=N or POOL/ADDRESS.weight=N".to_owned();
        let (key, weight) = text.split_once('=').ok_or_else(form)?;
        let subject = key.strip_suffix(".weight").filter(|subject| !subject.is_empty()).ok_or_else(form)?;
        let weight = weight.parse().map_err(|_| format!("{weight:?} is no weight; use 0 to {}", u16::MAX))?;
        Ok(match subject.parse()? {
            Subject::Cluster(pool) => Self { pool, endpoint: None, weight },
            Subject::Backend { pool, address } => Self { pool, endpoint: Some(address), weight },
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(subject) => write!(f, "{subject} fails"),
            Self::Drain(subject) => write!(f, "{subject} is drained"),
            Self::Set(Setting { pool, endpoint: None, weight }) => write!(f, "{pool} has weight {weight}"),
            Self::Set(Setting { pool, endpoint: Some(address), weight }) => {
                write!(f, "{pool}/{address} has weight {weight}")
            }
        }
    }
}

impl World {
    /// The same with all these changes.
    ///
    /// # Errors
    /// Every change that names something that is not configured, and every service or pool that is left without weight.
    pub fn changed(mut self, changes: &[Change]) -> Result<Self, Vec<String>> {
        let made = changes.iter().map(|change| self.make(change));
        let mut wrong: Vec<_> = made.filter_map(Result::err).collect();
        wrong.extend(weightless(&self.config));
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    fn make(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Fail(subject) => subject.known(&self.config).map(|()| self.fail(subject)),
            Change::Drain(subject) => subject.known(&self.config).map(|()| self.drain(subject)),
            Change::Set(setting) => self.set(setting),
        }
    }

    fn fail(&mut self, subject: &Subject) {
        for pool in &self.config.pools {
            for endpoint in &pool.endpoints {
                let is_meant = match subject {
                    Subject::Cluster(cluster) => pool.cluster == *cluster,
                    Subject::Backend { pool: name, address } => {
                        pool.name == *name && endpoint.address == *address
                    }
                };
                if is_meant {
                    let key = (pool.name.clone(), endpoint.address);
                    self.observed.health.insert(key.clone(), dead());
                    self.failed.insert(key);
                }
            }
        }
    }

    fn drain(&mut self, subject: &Subject) {
        match subject.clone() {
            Subject::Cluster(name) => _ = self.observed.drained_clusters.insert(name),
            Subject::Backend { pool, address } => _ = self.observed.drained_backends.insert((pool, address)),
        }
    }

    fn set(&mut self, Setting { pool: name, endpoint, weight }: &Setting) -> Result<(), String> {
        if let Some(address) = *endpoint {
            Subject::Backend { pool: name.clone(), address }.known(&self.config)?;
        }
        let names: Vec<_> = self.config.pools.iter().map(|pool| pool.name.clone()).collect();
        let Some(pool) = self.config.pools.iter_mut().find(|pool| pool.name == *name) else {
            return Err(unknown("pool", name, names.iter().map(String::as_str)));
        };
        match endpoint {
            None => pool.weight = *weight,
            Some(address) => {
                let meant = pool.endpoints.iter_mut().filter(|endpoint| endpoint.address == *address);
                meant.for_each(|endpoint| endpoint.weight = *weight);
            }
        }
        Ok(())
    }
}

fn dead() -> Health {
    Health { verdict: Verdict::Down, reason: String::new(), changed_ms: 0 }
}

/// What a file would be refused for.
fn weightless(config: &Config) -> Vec<String> {
    let weighs = |name: &String| config.pools.iter().any(|pool| pool.name == *name && pool.weight > 0);
    let services = config.services.iter().filter(|service| !service.pools.iter().any(weighs));
    let services = services.map(|service| {
        format!("all pools of service {} have weight 0; leave one a weight above 0", service.name)
    });
    let is_empty = |weights: &[u16]| !weights.is_empty() && weights.iter().all(|weight| *weight == 0);
    let pools = config
        .pools
        .iter()
        .filter(|pool| is_empty(&pool.endpoints.iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>()));
    let pools = pools.map(|pool| {
        format!(
            "all endpoints of pool {} have weight 0; to stop new flows to it, set {0}.weight=0",
            pool.name
        )
    });
    services.chain(pools).collect()
}
