//! Whether a drill may begin, and what it moves.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drill, Found};
use crate::config::model::{ClusterState, Config, Terms};
use crate::policy::desired::{Service, Share};
use crate::policy::memory::Memory;
use crate::policy::observed::Observed;
use crate::policy::resilience::shortages;
use crate::policy::subject::Subject;
use crate::policy::{decide_after, slices, stand};

/// What a drill begins in.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// What is configured.
    pub config: &'a Config,
    /// What is seen.
    pub observed: &'a Observed,
    /// What was decided before.
    pub memory: &'a Memory,
    /// Pools whose breaker is not closed.
    pub opened: &'a BTreeSet<String>,
    /// The present in milliseconds of the kernel's monotonic clock.
    pub now: u64,
    /// The same since the Unix epoch.
    pub unix: u64,
}

impl Stage<'_> {
    /// A drill that begins; `force`: also where those who stand in may be too few, or did badly already.
    ///
    /// # Errors
    /// What speaks against it, with the mend.
    pub fn begin(&self, name: Option<&str>, terms: &Terms, force: bool) -> Result<Drill, String> {
        let cluster = &terms.fail;
        self.is_possible(cluster)?;
        let before = self.services(self.observed);
        let had = |service: &&Service| rows_of(cluster, &service.shares) > 0;
        let concerned: BTreeSet<_> = before.iter().filter(had).map(|service| service.name.as_str()).collect();
        if concerned.is_empty() {
            return Err(format!("nobody in cluster {cluster} gets new flows: there is nothing to lose"));
        }
        if !force && let Some(reason) = self.risk(cluster, &concerned) {
            return Err(format!("{reason}; --force drills it all the same"));
        }
        let mut drill = Drill {
            name: name.map(str::to_owned),
            terms: terms.clone(),
            began: self.now,
            began_unix: self.unix,
            moved: BTreeMap::new(),
            found: Found::default(),
            end: None,
        };
        drill.moved = self.moved(&drill, &before, &concerned);
        Ok(drill)
    }

    fn is_possible(&self, cluster: &str) -> Result<(), String> {
        Subject::Cluster(cluster.to_owned()).known(self.config)?;
        if self.config.gateway.evidence.is_none() {
            let mend = "set `gateway.evidence`";
            return Err(format!("no flows are followed, so that nothing would abort it; {mend}"));
        }
        let mut clusters = self.config.clusters.iter().filter(|one| one.name == cluster);
        if clusters.any(|one| stand(one, self.observed).state == ClusterState::Active) {
            Ok(())
        } else {
            Err(format!("cluster {cluster} takes no new flows as it is; undrain it first"))
        }
    }

    /// Who stands in may not be able to: in the slice things are as if the cluster was drained.
    fn risk(&self, cluster: &str, concerned: &BTreeSet<&str>) -> Option<String> {
        let mut drained = self.observed.clone();
        drained.drained_clusters.insert(cluster.to_owned());
        let mut short = shortages(self.config, &drained).into_iter();
        if let Some((service, shortage)) = short.find(|(service, _)| concerned.contains(service.as_str())) {
            return Some(format!("{service}: without {cluster} {shortage}"));
        }
        let services = self.config.services.iter().filter(|one| concerned.contains(one.name.as_str()));
        let mut pools = services.flat_map(|service| &service.pools);
        let open = pools.find(|pool| self.opened.contains(*pool))?;
        Some(format!("the breaker of pool {open} is not closed"))
    }

    fn moved(&self, drill: &Drill, before: &[Service], concerned: &BTreeSet<&str>) -> BTreeMap<String, u32> {
        let mut observed = self.observed.clone();
        observed.kept_out = slices::united(&[&observed.kept_out, &drill.slices(self.config)]);
        let after = self.services(&observed);
        let rows = |service: &Service| rows_of(&drill.terms.fail, &service.shares);
        let moved = before
            .iter()
            .zip(&after)
            .map(|(before, after)| (before.name.clone(), rows(before).saturating_sub(rows(after))));
        moved.filter(|(service, _)| concerned.contains(service.as_str())).collect()
    }

    fn services(&self, observed: &Observed) -> Vec<Service> {
        decide_after(self.memory, self.config, observed, self.now).desired.services
    }
}

/// Rows that a cluster has of a service's.
fn rows_of(cluster: &str, shares: &[Share]) -> u32 {
    let rows = slices::rows(shares).into_iter().zip(shares);
    rows.filter(|(_, share)| share.cluster == cluster).map(|(rows, _)| rows).sum()
}
