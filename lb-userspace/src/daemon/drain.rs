//! An operator's word: what is drained takes nothing new until the word is taken back, and what a failover policy holds back
//! comes back at once.

use tracing::info;

use super::agent::Agent;
use super::protocol::{Reply, Request};
use crate::config::model::{ClusterState, Config, OnViolation, Service};
use crate::policy::resilience::{Assessment, Demand, assess};
use crate::policy::subject::Subject;

impl Agent {
    /// Does what is asked, but for the tables.
    pub(super) fn obey(&mut self, request: &Request) -> Reply {
        let done = match request {
            Request::Drain(subject) => self.drain(subject, false),
            Request::ForceDrain(subject) => self.drain(subject, true),
            Request::Undrain(subject) => self.undrain(subject),
            Request::Failback(name) => self.fail_back(name),
            Request::Rollout { name, verb } => self.steer(name, *verb),
            Request::Drill(order) => self.order_drill(order),
        };
        done.map_or_else(Reply::Refused, Reply::Done)
    }

    fn fail_back(&mut self, name: &str) -> Result<String, String> {
        let cluster = Subject::Cluster(name.to_owned());
        cluster.known(&self.config)?;
        let pools = cluster.pools(&self.config);
        if !self.memory.release(|pool| pools.contains(pool)) {
            return Ok(format!("of cluster {name} nothing was held back; nothing changed"));
        }
        info!(event = "failback", cluster = name, "told by an operator to come back");
        Ok(format!("cluster {name} has back what its health allows"))
    }

    fn undrain(&mut self, subject: &Subject) -> Result<String, String> {
        subject.known(&self.config)?;
        let changed = self.mark(subject, false);
        if changed {
            info!(event = "drain", %subject, "undrained by an operator");
        }
        Ok(describe(subject, false, changed, &self.config))
    }

    /// Unless it is forced, what a failover policy refuses does not happen.
    fn drain(&mut self, subject: &Subject, force: bool) -> Result<String, String> {
        subject.known(&self.config)?;
        let changed = self.mark(subject, true);
        let broken = if changed { self.broken(subject) } else { Vec::new() };
        if !force && broken.iter().any(|one| one.refuses) {
            self.mark(subject, false);
            return Err(refuse(subject, &broken));
        }
        if changed {
            info!(event = "drain", %subject, "drained by an operator");
        }
        let warned = broken.iter().map(|one| format!("; {}", one.says));
        Ok(describe(subject, true, changed, &self.config) + &warned.collect::<String>())
    }

    /// What services that send to the subject can no longer bear, as things are now.
    fn broken(&self, subject: &Subject) -> Vec<Broken> {
        let Self { config, observed, .. } = self;
        let pools = subject.pools(config);
        let is_concerned = |service: &Service| service.pools.iter().any(|pool| pools.contains(pool.as_str()));
        let assessed = config.services.iter().zip(assess(config, observed, &Demand::new()));
        let concerned = assessed.filter(|(service, _)| is_concerned(service));
        concerned.filter_map(|(_, assessment)| Broken::of(&assessment)).collect()
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
            let stays = Subject::Backend { pool: pool.clone(), address: *address }.known(config).is_ok();
            if !stays {
                info!(event = "drain", pool, %address, "no longer configured; its draining is forgotten");
            }
            stays
        });
        observed.drained_clusters.retain(|name| {
            let stays = Subject::Cluster(name.clone()).known(config).is_ok();
            if !stays {
                info!(event = "drain", cluster = name, "no longer configured; its draining is forgotten");
            }
            stays
        });
    }
}

/// A service that could not bear what its failover policy asks of it.
struct Broken {
    says: String,
    /// The policy says to refuse what leads there.
    refuses: bool,
}

impl Broken {
    fn of(assessment: &Assessment) -> Option<Self> {
        let (resilience, breach) = (assessment.resilience?, assessment.breach.as_ref()?);
        let says = format!("{} of {} does not hold: {breach}", resilience.model, assessment.service);
        Some(Self { says, refuses: resilience.on_violation == OnViolation::Refuse })
    }
}

fn refuse(subject: &Subject, broken: &[Broken]) -> String {
    let reasons: Vec<_> = broken.iter().filter(|one| one.refuses).map(|one| one.says.as_str()).collect();
    format!("{subject} is not drained, for with that {}; --force drains it all the same", reasons.join("; "))
}

fn describe(subject: &Subject, drain: bool, changed: bool, config: &Config) -> String {
    let configured = match subject {
        Subject::Cluster(name) => {
            let found = config.clusters.iter().find(|cluster| cluster.name == *name);
            found.map(|cluster| cluster.state).unwrap_or_default()
        }
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
