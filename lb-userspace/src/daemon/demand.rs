//! What clients ask for: looks at the program's counts, and whether what clusters can take leads to other tables.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::agent::Agent;
use crate::compile::sampled;
use crate::config::model::{Config, Service};
use crate::datapath::clock::monotonic;
use crate::evidence::{Begun, Window};
use crate::observe::published::{ClusterLoad, Loads};
use crate::policy::new_flows::{Rate, Rates};
use crate::policy::spills_anew;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The last seconds, and when to look again.
#[derive(Default)]
pub(super) struct Asked {
    window: Window,
    /// Of so many flows one is followed; `None`: nobody asks.
    one_in: Option<u32>,
    next: Option<Instant>,
}

impl Asked {
    /// When to look; `None`: no policy asks for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Agent {
    /// Takes in the configuration. What was counted of other samples says nothing.
    pub(super) fn follow_demand(&mut self) {
        let asks = self.config.failover_policies.iter().any(|policy| policy.spill.is_some());
        let one_in = self.config.gateway.evidence.filter(|_| asks);
        if self.asked.one_in != one_in {
            self.asked =
                Asked { window: Window::default(), one_in, next: one_in.map(|_| Instant::now() + EVERY) };
            self.observed.new_flows = None;
        }
    }

    /// Looks at the counts; whether the tables are to follow.
    pub(super) fn look_at_demand(&mut self) -> bool {
        let now = monotonic();
        let moment = self.moment();
        self.asked.window.look(now, moment);
        self.asked.next = Some(Instant::now() + EVERY);
        let begun = self.asked.window.begun(sampled(self.asked.one_in));
        self.observed.new_flows = begun.map(|begun| {
            let rate = |begun: Begun| Rate { per_second: begun.per_second, followed: begun.followed };
            begun.into_iter().map(|(pool, begun)| (pool, rate(begun))).collect()
        });
        spills_anew(&self.memory, &self.config, &self.observed, now)
    }

    /// What services and clusters get, as far as it is known.
    pub(super) fn loads(&self) -> Option<Loads> {
        self.observed.new_flows.as_ref().map(|rates| loads(&self.config, rates))
    }
}

fn loads(config: &Config, rates: &Rates) -> Loads {
    let rate = |pool: &str| rates.get(pool).copied().unwrap_or_default();
    let service = |service: &Service| {
        let demand: Rate = service.pools.iter().map(|pool| rate(pool)).sum();
        (service.name.clone(), demand.per_second)
    };
    let mut clusters = BTreeMap::new();
    for cluster in &config.clusters {
        let pools = config.pools.iter().filter(|pool| pool.cluster == cluster.name);
        let demand: Rate = pools.map(|pool| rate(&pool.name)).sum();
        let capacity = cluster.capacity.map(|capacity| capacity.new_connections);
        clusters.insert(cluster.name.clone(), ClusterLoad { demand: demand.per_second, capacity });
    }
    Loads { services: config.services.iter().map(service).collect(), clusters }
}
