//! How things stand at present, by what an agent published and by its tables.

use std::collections::BTreeSet;

use lb_ebpf::tables::Tables;

use super::World;
use crate::compile::record::BackendRecord;
use crate::config::model::Config;
use crate::observe::next_hop::has_way;
use crate::observe::published::Published;
use crate::policy::breaker;
use crate::policy::desired::MemberState;
use crate::policy::drill::Drill;
use crate::policy::observed::{Health, Observed, Verdict};
use crate::policy::rollout;
use crate::policy::slices::{Slices, united};

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
        Ok(Self {
            observed: observe(&config, published, tables),
            memory: published.memory.clone(),
            breakers: published.breakers.clone(),
            drill: published.drills.last.clone().filter(Drill::runs),
            rollouts: published.rollouts.clone(),
            now,
            ..Self::all_well(config)
        })
    }

    /// The same in which another configuration takes its place. Endpoints that it adds are up and reachable; ejections,
    /// breakers, a drill and rollouts go on where it still has what they are about.
    #[must_use]
    pub fn reconfigured(&self, config: Config) -> Self {
        let mut observed = self.observed.clone();
        observed.ejected.retain(|(name, _), _| {
            config.pools.iter().any(|pool| pool.name == *name && pool.outlier.is_some())
        });
        observed.rollouts = rollout::weights(&config, &self.rollouts);
        observed.kept_out = self.kept_out(&config);
        let endpoints = self.config.pools.iter().flat_map(|pool| &pool.endpoints);
        let known: BTreeSet<_> = endpoints.map(|endpoint| endpoint.address).collect();
        let ways = Observed::all_well(&config).next_hops.into_iter();
        observed.next_hops.extend(ways.filter(|(address, _)| !known.contains(address)));
        Self { config, observed, ..self.clone() }
    }

    /// What breakers and a drill keep pools out of, as far as a configuration has them.
    fn kept_out(&self, config: &Config) -> Slices {
        let drill = self.drill.as_ref().filter(|drill| drill.forsaken(config).is_none());
        let drill = drill.map(|drill| drill.slices(config)).unwrap_or_default();
        let breakers = breaker::slices(config, |pool| self.breakers.get(pool));
        united(&[&breakers, &drill])
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::model;
    use crate::config::tests::world::configured;
    use crate::policy::breaker::State;
    use crate::policy::drill::Found;
    use crate::policy::rollout::progress::Progress;

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

    /// What the agent would forget with the other file is not in force in it either.
    #[test]
    fn what_another_file_has_no_more_does_not_go_on() {
        let text = |rest: &str, pool: &str, rollout: &str| {
            format!(
                "
apiVersion: spillway/v1
clusterSet: {{id: x, secretFile: hash.key}}
gateway: {{interfaces: [eth0], evidence: {{}}}}
clusters: [{{name: eu}}, {{name: us}}]
services: [{{name: a/b, vips: [198.51.100.10], ports: [{{port: 443}}], pools: [eu, us]}}]
pools:
- {{name: eu, cluster: eu, endpoints: [{{address: 192.0.2.1}}, {{address: 192.0.2.2}}]{pool}}}
- {{name: us, cluster: us, endpoints: [{{address: 203.0.113.1}}]}}
rollouts: [{{name: r, service: a/b, {rollout}, steps: [{{setWeight: 100}}]}}]
{rest}
"
            )
        };
        let (there, back) = ("from: eu, to: us", "from: us, to: eu");
        let asking = ", circuitBreaker: {}, outlier: {}";
        let before = configured(&text("drills: [{name: d, fail: us}]", asking, there));
        let drill = begun(&before, "us");
        let state = State::Open { until: 1, reason: "5 of 5 handshakes failed".into() };
        let mut world = World { drill: Some(drill), ..World::all_well(before.clone()) };
        world.breakers.insert("eu".into(), state);
        world.observed.ejected.insert(("eu".into(), "192.0.2.1".parse().unwrap()), "ejected".into());
        let progress = Progress { weight: Some(50), ..Progress::new(&before.rollouts[0]) };
        world.rollouts.insert("r".into(), progress);
        let goes_on = |config: Config| {
            let observed = world.reconfigured(config).observed;
            let kept_out: Vec<_> = observed.kept_out.into_keys().collect();
            (observed.ejected.len(), observed.rollouts.len(), kept_out)
        };
        assert_eq!(goes_on(before), (1, 1, vec!["eu".to_owned(), "us".to_owned()]));
        assert_eq!(goes_on(configured(&text("", asking, there))), (1, 1, vec!["eu".to_owned()]));
        assert_eq!(goes_on(configured(&text("", "", back))), (0, 0, vec![]));
    }

    /// The first drill of a configuration, which runs.
    fn begun(config: &Config, fails: &str) -> Drill {
        let model::Drill { name, terms, .. } = &config.drills[0];
        assert_eq!(terms.fail, fails);
        Drill {
            name: Some(name.clone()),
            terms: terms.clone(),
            began: 0,
            began_unix: 0,
            moved: BTreeMap::new(),
            found: Found::default(),
            end: None,
        }
    }
}
