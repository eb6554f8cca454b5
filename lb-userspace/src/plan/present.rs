//! How things stand at present, by what an agent published and by its tables.

use std::collections::BTreeSet;

use lb_ebpf::tables::Tables;

use super::World;
use crate::compile::record::BackendRecord;
use crate::config::model::Config;
use crate::observe::next_hop::has_way;
use crate::observe::published::Published;
use crate::policy::desired::MemberState;
use crate::policy::observed::{Health, Observed, Verdict};
use crate::policy::rollout;

impl World {
    /// A configuration as an agent serves it that published this, at `now` of the kernel's monotonic clock in milliseconds.
    ///
    /// # Errors
    /// If the agent serves another configuration.
    pub fn present(
        config: Config,
        published: &Published,
        tables: &impl Tables,
        now: u64,
    ) -> Result<Self, String> {
        let in_force = &published.record.config_digest;
        if *in_force != config.digest {
            let mend = "name the file that it runs, and let it reload what was changed";
            return Err(format!(
                "the agent serves configuration {in_force}, this is {}; {mend}",
                config.digest
            ));
        }
        let observed = observe(&config, published, tables);
        Ok(Self { observed, memory: published.memory.clone(), now, ..Self::all_well(config) })
    }

    /// The same in which another configuration takes its place. Endpoints that it adds are up and reachable.
    #[must_use]
    pub fn reconfigured(&self, config: Config) -> Self {
        let mut observed = self.observed.clone();
        let endpoints = self.config.pools.iter().flat_map(|pool| &pool.endpoints);
        let known: BTreeSet<_> = endpoints.map(|endpoint| endpoint.address).collect();
        let ways = Observed::all_well(&config).next_hops.into_iter();
        observed.next_hops.extend(ways.filter(|(address, _)| !known.contains(address)));
        Self { config, observed, ..self.clone() }
    }
}

fn observe(config: &Config, published: &Published, tables: &impl Tables) -> Observed {
    let pools = || published.record.pools.iter().filter(|(_, pool)| pool.gone.is_none());
    let mut observed = Observed {
        drained_backends: published.drained.backends.clone(),
        drained_clusters: published.drained.clusters.clone(),
        kept_out: pools().filter_map(|(name, pool)| Some((name.clone(), pool.kept_out.clone()?))).collect(),
        rollouts: rollout::weights(config, &published.rollouts),
        ..Observed::all_well(config)
    };
    for (name, pool) in pools() {
        for (address, backend) in pool.backends.iter().filter(|(_, backend)| backend.gone.is_none()) {
            let key = (name.clone(), *address);
            if backend.state == MemberState::Ejected {
                observed.ejected.insert(key.clone(), backend.reason.clone());
            }
            if !tables.backend(backend.index.into()).is_some_and(has_way) {
                observed.next_hops.remove(address);
            }
            observed.health.insert(key, health(backend));
        }
    }
    observed
}

/// What a check must have found. Whether the pool has one, the configuration says.
fn health(backend: &BackendRecord) -> Health {
    let verdict = match backend.state {
        MemberState::Down => Verdict::Down,
        MemberState::Unknown => Verdict::Unknown,
        MemberState::Up | MemberState::Draining | MemberState::Ejected => Verdict::Up,
    };
    Health { verdict, reason: backend.reason.clone(), changed_ms: backend.last_change }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::world::configured;

    #[test]
    fn another_file_takes_over_what_is_known_of_endpoints_that_it_keeps() {
        let text = |endpoints: &str| {
            format!(
                "
apiVersion: spillway/v1
clusterSet: {{id: x, secretFile: hash.key}}
gateway: {{interfaces: [eth0]}}
clusters: [{{name: eu}}]
services: [{{name: a/b, vips: [198.51.100.10], ports: [{{port: 443}}], pools: [eu]}}]
pools: [{{name: eu, cluster: eu, endpoints: [{endpoints}]}}]
"
            )
        };
        let before = text("{address: 192.0.2.1}, {address: 192.0.2.2}");
        let after = text("{address: 192.0.2.2}, {address: 192.0.2.3}");
        let mut world = World::all_well(configured(&before));
        world.observed.next_hops.clear();
        let world = world.reconfigured(configured(&after));
        let reached: Vec<_> = world.observed.next_hops.keys().map(ToString::to_string).collect();
        assert_eq!((reached, world.config), (vec!["192.0.2.3".to_owned()], configured(&after)));
    }
}
