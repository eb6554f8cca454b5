//! What a new agent takes over from the one before, and what it says of itself.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use time::OffsetDateTime;

use crate::health::{self, Target};
use crate::observe::published::{self, Published};
use crate::policy::desired::MemberState;
use crate::policy::observed::{Health, Observed, Verdict};

/// An agent that begins now.
pub(super) fn introduce(adopted: Option<&Published>) -> published::Agent {
    let now = OffsetDateTime::now_utc();
    published::Agent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: now,
        configured: now,
        applied: now,
        adopted: adopted.is_some(),
        interfaces: Vec::new(),
        probes: Vec::new(),
        features: 0,
        refused_configs: 0,
        swept: adopted.map_or(0, |published| published.agent.swept),
        forgotten: adopted.map_or(0, |published| published.agent.forgotten),
        last_error: None,
    }
}

/// The verdicts of the agent before.
pub(super) fn verdicts(published: &Published) -> BTreeMap<(String, IpAddr), Health> {
    let pools = published.record.pools.iter();
    let backends = pools.flat_map(|(name, pool)| pool.backends.iter().map(move |backend| (name, backend)));
    backends
        .filter_map(|(pool, (address, backend))| {
            let verdict = match backend.state {
                MemberState::Up => Verdict::Up,
                MemberState::Down => Verdict::Down,
                MemberState::Unknown | MemberState::Draining | MemberState::Ejected => return None,
            };
            let health = Health { verdict, reason: backend.reason.clone(), changed_ms: backend.last_change };
            Some(((pool.clone(), *address), health))
        })
        .collect()
}

/// The same as whoever probes has them.
pub(super) fn judged(observed: &Observed) -> HashMap<Target, health::Verdict> {
    let judged = observed.health.iter().map(|((pool, address), health)| {
        let verdict = match health.verdict {
            Verdict::Unknown => health::Verdict::Unknown,
            Verdict::Up => health::Verdict::Up,
            Verdict::Down => health::Verdict::Down,
        };
        (Target { pool: pool.clone(), address: *address }, verdict)
    });
    judged.collect()
}
