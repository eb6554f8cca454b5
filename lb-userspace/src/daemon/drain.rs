//! An operator's word: what is drained takes nothing new until the word is taken back, and what a failover policy holds back
//! comes back at once.

use std::net::IpAddr;

use tracing::info;

use super::agent::Agent;
use super::protocol::{Reply, Request, Subject};
use crate::config::model::{ClusterState, Config};
use crate::config::near;

impl Agent {
    /// Does what is asked, but for the tables.
    pub(super) fn obey(&mut self, request: &Request) -> Reply {
        let done = match request {
            Request::Drain(subject) => self.drain(subject, true),
            Request::Undrain(subject) => self.drain(subject, false),
            Request::Failback(name) => self.fail_back(name),
        };
        done.map_or_else(Reply::Refused, Reply::Done)
    }

    fn fail_back(&mut self, name: &str) -> Result<String, String> {
        cluster(name, &self.config)?;
        let pools = self.config.pools.iter().filter(|pool| pool.cluster == name);
        let pools: Vec<_> = pools.map(|pool| pool.name.as_str()).collect();
        if !self.memory.release(|pool| pools.contains(&pool)) {
            return Ok(format!("of cluster {name} nothing was held back; nothing changed"));
        }
        info!(event = "failback", cluster = name, "told by an operator to come back");
        Ok(format!("cluster {name} has back what its health allows"))
    }

    fn drain(&mut self, subject: &Subject, drain: bool) -> Result<String, String> {
        known(subject, &self.config)?;
        let changed = self.mark(subject, drain);
        if changed {
            let what = if drain { "drained" } else { "undrained" };
            info!(event = "drain", %subject, "{what} by an operator");
        }
        Ok(describe(subject, drain, changed, &self.config))
    }

    fn mark(&mut self, subject: &Subject, drain: bool) -> bool {
        let Self { observed, .. } = self;
        match subject {
            Subject::Backend { pool, address } => {
                let backend = (pool.clone(), *address);
                let drained = &mut observed.drained_backends;
                if drain { drained.insert(backend) } else { drained.remove(&backend) }
            }
            Subject::Cluster(name) => {
                let drained = &mut observed.drained_clusters;
                if drain { drained.insert(name.clone()) } else { drained.remove(name) }
            }
        }
    }

    /// Forgets the word about what is not configured any more: should the name come back, it is another thing.
    pub(super) fn forget_drains(&mut self) {
        let Self { observed, config, .. } = self;
        observed.drained_backends.retain(|(pool, address)| {
            let stays = backend(pool, *address, config).is_ok();
            if !stays {
                info!(event = "drain", pool, %address, "no longer configured; its draining is forgotten");
            }
            stays
        });
        observed.drained_clusters.retain(|name| {
            let stays = cluster(name, config).is_ok();
            if !stays {
                info!(event = "drain", cluster = name, "no longer configured; its draining is forgotten");
            }
            stays
        });
    }
}

fn known(subject: &Subject, config: &Config) -> Result<(), String> {
    match subject {
        Subject::Backend { pool, address } => backend(pool, *address, config),
        Subject::Cluster(name) => cluster(name, config).map(drop),
    }
}

fn backend(pool: &str, address: IpAddr, config: &Config) -> Result<(), String> {
    let Some(found) = config.pools.iter().find(|known| known.name == pool) else {
        return Err(unknown("pool", pool, config.pools.iter().map(|pool| pool.name.as_str())));
    };
    let addresses: Vec<_> = found.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    if addresses.contains(&address.to_string()) {
        return Ok(());
    }
    let of = format!("endpoint of pool {pool}");
    Err(unknown(&of, &address.to_string(), addresses.iter().map(String::as_str)))
}

fn cluster(name: &str, config: &Config) -> Result<ClusterState, String> {
    let found = config.clusters.iter().find(|cluster| cluster.name == name);
    let names = || config.clusters.iter().map(|cluster| cluster.name.as_str());
    found.map(|cluster| cluster.state).ok_or_else(|| unknown("cluster", name, names()))
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    format!("there is no {kind} {name:?}; {}", near(name, known))
}

fn describe(subject: &Subject, drain: bool, changed: bool, config: &Config) -> String {
    let configured = match subject {
        Subject::Cluster(name) => cluster(name, config).unwrap_or_default(),
        Subject::Backend { .. } => ClusterState::Active,
    };
    let file = match configured {
        ClusterState::Active => "",
        ClusterState::Draining => "; the configuration says `state: draining` as well",
        ClusterState::Drained => "; the configuration says `state: drained` as well",
    };
    match (drain, changed) {
        (true, true) => format!("{subject} is draining: its rows go to others{file}"),
        (true, false) => format!("{subject} is draining already{file}"),
        (false, true) => format!("{subject} takes its share again{file}"),
        (false, false) => format!("{subject} was not draining; nothing changed{file}"),
    }
}
