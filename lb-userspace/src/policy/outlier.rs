//! Outlier detection: endpoints that clients' packets tell of ([`crate::evidence`]) take nothing new for a while, whatever
//! their check says.
//!
//! 1. An endpoint whose last `consecutive_failures` handshakes all failed is ejected at once.
//! 2. At the end of each `interval`, where at least `min_hosts` endpoints had `min_volume` handshakes in it, those of them are
//!    ejected of which `failure_percent` or more failed.
//! 3. No more than `max_ejection_percent` of a pool's endpoints are ejected at a time, but one always may be. Of one that is
//!    spared what failed so far is forgiven.
//! 4. An ejection lasts `base_ejection`, as many times as the endpoint was ejected in a row, `max_ejection` at most. Each
//!    interval that an endpoint ends without being ejected takes one of those times back.
//! 5. A check that comes to pass ends an ejection, if it goes through the tunnel: only then it has taken the way that failed.
//!
//! The meaning is that of Envoy's outlier detection (`envoy/config/cluster/v3/outlier_detection.proto`); the handshakes are
//! those of a sample, and a failed one is one whose SYN came again.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::abi::Evidence;
use serde::{Deserialize, Serialize};

use crate::config::model::Outlier;
use crate::evidence::Handshakes;
use crate::milliseconds::milliseconds;

/// What is remembered of a pool's endpoints. Times are milliseconds of the kernel's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outliers {
    /// When the interval began.
    began: u64,
    hosts: BTreeMap<IpAddr, Host>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Host {
    /// Handshakes up to the beginning of the interval.
    before: Option<Handshakes>,
    /// Failed handshakes that count for nothing any more: those before it was first seen, or came back; `None`: all so far.
    forgiven: Option<u64>,
    kept: Kept,
}

/// What an agent leaves to the next one of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// How often it was ejected in a row.
    times: u32,
    /// That it is ejected.
    ejection: Option<Ejection>,
}

/// Why an endpoint takes nothing new, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ejection {
    /// Until when, in milliseconds of the kernel's monotonic clock.
    pub until: u64,
    /// Why, for people.
    pub reason: String,
}

/// What came of a look: the endpoints whose ejection began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Those that were ejected.
    pub ejected: Vec<(IpAddr, Ejection)>,
    /// Those that are not any more.
    pub returned: Vec<IpAddr>,
}

impl Outliers {
    /// As the agent before left it.
    pub fn of(kept: &BTreeMap<IpAddr, Kept>) -> Self {
        let host =
            |(address, kept): (&IpAddr, &Kept)| (*address, Host { kept: kept.clone(), ..Host::default() });
        Self { began: 0, hosts: kept.iter().map(host).collect() }
    }

    /// What is to be left to the next agent: of endpoints that were ejected lately.
    pub fn kept(&self) -> BTreeMap<IpAddr, Kept> {
        let kept = self.hosts.iter().filter(|(_, host)| host.kept != Kept::default());
        kept.map(|(address, host)| (*address, host.kept.clone())).collect()
    }

    /// Who is ejected, and why.
    pub fn ejected(&self) -> impl Iterator<Item = (IpAddr, &Ejection)> {
        self.hosts.iter().filter_map(|(address, host)| Some((*address, host.kept.ejection.as_ref()?)))
    }

    /// Looks at what the endpoints' evidence has come to at `now`.
    pub fn look(&mut self, rules: &Outlier, evidence: &BTreeMap<IpAddr, Evidence>, now: u64) -> Changes {
        self.hosts.retain(|address, _| evidence.contains_key(address));
        let mut look = Look { rules, evidence, now, changes: Changes::default() };
        self.give_back(&mut look);
        self.in_a_row(&mut look);
        if now.saturating_sub(self.began) >= milliseconds(rules.interval) {
            self.by_percent(&mut look);
            self.begin(&look);
        }
        look.changes
    }

    /// A check through the tunnel has come to find the endpoint up; whether that ended an ejection.
    pub fn passes(&mut self, address: IpAddr) -> bool {
        let Some(host) = self.hosts.get_mut(&address).filter(|host| host.kept.ejection.is_some()) else {
            return false;
        };
        host.end();
        true
    }

    /// Ends ejections whose time is over, and meets endpoints that are new.
    fn give_back(&mut self, look: &mut Look) {
        for (address, evidence) in look.evidence {
            let host = self.hosts.entry(*address).or_default();
            if host.kept.ejection.as_ref().is_some_and(|ejection| ejection.until <= look.now) {
                host.end();
                look.changes.returned.push(*address);
            }
            host.before.get_or_insert(Handshakes::of(evidence));
            host.forgiven.get_or_insert(evidence.retried);
        }
    }

    fn in_a_row(&mut self, look: &mut Look) {
        let needed = u64::from(look.rules.consecutive_failures);
        for (address, evidence) in look.evidence.iter().filter(|_| needed > 0) {
            let forgiven = self.hosts.get(address).and_then(|host| host.forgiven).unwrap_or(evidence.retried);
            let failed = evidence.in_a_row.min(evidence.retried.saturating_sub(forgiven));
            if failed >= needed {
                self.eject(*address, format!("{failed} handshakes in a row failed"), look);
            }
        }
    }

    fn by_percent(&mut self, look: &mut Look) {
        let busy = self.busy(look);
        let Outlier { failure_percent, min_hosts, .. } = *look.rules;
        if failure_percent == 0 || busy.len() < min_hosts as usize {
            return;
        }
        let failed =
            |one: &Handshakes| one.failed_percent().is_some_and(|percent| percent >= failure_percent.into());
        for (address, within) in busy.into_iter().filter(|(_, within)| failed(within)) {
            let reason = format!("{} of {} handshakes failed", within.failed, within.volume());
            self.eject(address, reason, look);
        }
    }

    /// The endpoints with enough handshakes in the interval, and those.
    fn busy(&self, look: &Look) -> Vec<(IpAddr, Handshakes)> {
        let within = |(address, evidence): (&IpAddr, &Evidence)| {
            let before = self.hosts.get(address)?.before?;
            Some((*address, Handshakes::of(evidence).since(before)))
        };
        let all = look.evidence.iter().filter_map(within);
        all.filter(|(_, within)| within.volume() >= u64::from(look.rules.min_volume)).collect()
    }

    /// Unless it is already, or too many are.
    fn eject(&mut self, address: IpAddr, reason: String, look: &mut Look) {
        let most = (look.evidence.len() * usize::from(look.rules.max_ejection_percent) / 100).max(1);
        let ejected = self.ejected().count();
        let Some(host) = self.hosts.get_mut(&address).filter(|host| host.kept.ejection.is_none()) else {
            return;
        };
        if ejected >= most {
            // When there is room, it is to have failed lately.
            host.forgiven = None;
            return;
        }
        host.kept.times = host.kept.times.saturating_add(1);
        let ejection = Ejection { until: look.until(host.kept.times), reason };
        host.kept.ejection = Some(ejection.clone());
        look.changes.ejected.push((address, ejection));
    }

    fn begin(&mut self, look: &Look) {
        self.began = look.now;
        for (address, host) in &mut self.hosts {
            host.before = look.evidence.get(address).map(Handshakes::of);
            if host.kept.ejection.is_none() {
                host.kept.times = host.kept.times.saturating_sub(1);
            }
        }
    }
}

impl Host {
    /// It takes new flows again, and what failed so far is forgiven at the next look.
    fn end(&mut self) {
        (self.kept.ejection, self.before, self.forgiven) = (None, None, None);
    }
}

/// A look at a pool.
struct Look<'a> {
    rules: &'a Outlier,
    evidence: &'a BTreeMap<IpAddr, Evidence>,
    now: u64,
    changes: Changes,
}

impl Look<'_> {
    /// When an ejection ends that is the so-manieth in a row.
    fn until(&self, times: u32) -> u64 {
        let (base, longest) = (milliseconds(self.rules.base_ejection), milliseconds(self.rules.max_ejection));
        self.now.saturating_add(base.saturating_mul(times.into()).min(longest.max(base)))
    }
}
