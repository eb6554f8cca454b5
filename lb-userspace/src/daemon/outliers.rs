//! Endpoints that clients' packets take out: looks at the program's counts, and what follows for the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lb_common::abi::Evidence;
use tokio::time::Instant;
use tracing::{info, warn};

use super::agent::Agent;
use crate::config::model::{Config, Pool};
use crate::config::probed;
use crate::datapath::clock::monotonic;
use crate::evidence::Moment;
use crate::observe::published::Ejections;
use crate::policy::outlier::{Changes, Ejection, Outliers};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What is known of the pools that ask for it, and when to look again.
#[derive(Default)]
pub(super) struct Outlying {
    pools: BTreeMap<String, Outliers>,
    next: Option<Instant>,
}

impl Outlying {
    /// As the agent before left it.
    pub(super) fn of(kept: &Ejections) -> Self {
        let pools = kept.iter().map(|(pool, kept)| (pool.clone(), Outliers::of(kept)));
        Self { pools: pools.collect(), next: None }
    }

    /// What is left to the next agent.
    pub(super) fn kept(&self) -> Ejections {
        let kept = self.pools.iter().map(|(pool, outliers)| (pool.clone(), outliers.kept()));
        kept.filter(|(_, kept)| !kept.is_empty()).collect()
    }

    /// When to look; `None`: no pool asks for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Of pools that ask for it.
    fn ejected(&self, config: &Config) -> BTreeMap<(String, IpAddr), String> {
        let known = asking(config).filter_map(|pool| Some((&pool.name, self.pools.get(&pool.name)?)));
        let ejected = known.flat_map(|(pool, outliers)| outliers.ejected().map(move |one| (pool, one)));
        let named = |(pool, (address, ejection)): (&String, (IpAddr, &Ejection))| {
            ((pool.clone(), address), format!("ejected: {}", ejection.reason))
        };
        ejected.map(named).collect()
    }
}

impl Agent {
    /// Takes in the configuration: of pools that do not ask for it nobody is ejected.
    pub(super) fn follow_outliers(&mut self) {
        self.outlying.next = asking(&self.config).next().map(|_| Instant::now() + EVERY);
        self.observed.ejected = self.outlying.ejected(&self.config);
    }

    /// Forgets what is known of pools that do not ask for it any more.
    pub(super) fn forget_outliers(&mut self) {
        let asked: BTreeSet<_> = asking(&self.config).map(|pool| &pool.name).collect();
        self.outlying.pools.retain(|name, _| asked.contains(name));
    }

    /// Looks at the counts; whether the tables are to follow.
    pub(super) fn look_for_outliers(&mut self) -> bool {
        let now = monotonic();
        for pool in asking(&self.config) {
            let Some(rules) = &pool.outlier else { continue };
            let evidence = self.evidence_of(pool);
            let outliers = self.outlying.pools.entry(pool.name.clone()).or_default();
            tell(pool, &outliers.look(rules, &evidence, now), now);
        }
        self.outlying.next = Some(Instant::now() + EVERY);
        let ejected = self.outlying.ejected(&self.config);
        let changed = self.observed.ejected != ejected;
        self.observed.ejected = ejected;
        changed
    }

    /// What the program counted of each endpoint of a pool.
    pub(super) fn evidence_of(&self, pool: &Pool) -> BTreeMap<IpAddr, Evidence> {
        let evidence = pool.endpoints.iter().filter_map(|endpoint| {
            let index = self.backend_index(&pool.name, endpoint.address)?;
            Some((endpoint.address, self.loaded.maps.evidence(index.into())))
        });
        evidence.collect()
    }

    /// The same of all backends.
    pub(super) fn moment(&self) -> Moment {
        Moment::of(self.ledger.record(), |index| self.loaded.maps.evidence(index).into())
    }

    /// A check has come to find an endpoint up: if it took the tunnel, as clients' packets do, an ejection ends.
    pub(super) fn vindicate(&mut self, pool: &str, address: IpAddr) {
        let Some(outliers) = self.outlying.pools.get_mut(pool) else { return };
        let through_tunnel = probed::pools(&self.config).iter().any(|(one, ..)| one.name == pool);
        if through_tunnel && outliers.passes(address) {
            info!(event = "outlier", pool, %address, "back: its check through the tunnel passes");
            self.observed.ejected = self.outlying.ejected(&self.config);
        }
    }
}

/// The pools that have rules for it.
fn asking(config: &Config) -> impl Iterator<Item = &Pool> {
    config.pools.iter().filter(|pool| pool.outlier.is_some())
}

fn tell(pool: &Pool, changes: &Changes, now: u64) {
    let pool = &pool.name;
    for (address, ejection) in &changes.ejected {
        let seconds = ejection.until.saturating_sub(now) / 1000;
        warn!(event = "outlier", pool, %address, reason = ejection.reason, seconds, "ejected: takes nothing new");
    }
    for address in &changes.returned {
        info!(event = "outlier", pool, %address, "takes new flows again");
    }
}
