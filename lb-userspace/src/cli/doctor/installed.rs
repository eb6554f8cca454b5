//! What an agent has put into the kernel, read from the pins as every other command does.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use lb_common::reason::Reason;

use super::super::look::Look;
use super::super::status::runs;
use super::super::{Failure, Pinned};
use crate::datapath::pins::Pins;
use crate::doctor::facts::Seen;
use crate::doctor::gateway::{Backend, Count, Installed, Traffic};
use crate::observe::view::{BackendView, StatusView, backends, services, status};

/// What is below a pin path, if anything; its counters are watched for a while.
pub(super) fn installed(pin_path: &Path, watch: Duration) -> Seen<Option<Installed>> {
    let directory = Pins::new(pin_path);
    match fs::metadata(directory.directory()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", directory.directory().display())),
        Ok(_) => {
            read(pin_path, &directory, watch).map(Some).map_err(|failure| format!("{:#}", failure.error))
        }
    }
}

fn read(pin_path: &Path, pins: &Pins, watch: Duration) -> Result<Installed, Failure> {
    let look = Look::at(&Pinned { pin_path: pin_path.to_owned() })?;
    let before = Counters::of(&look);
    thread::sleep(watch);
    let after = Counters::of(&look);
    let running = runs(look.published.agent.pid);
    let view = status(&look.seen(), running);
    let linked = pins.links().map_err(anyhow::Error::from)?;
    Ok(Installed {
        pid: view.agent.pid,
        running,
        generation: view.generation,
        age: view.applied_age,
        attached: attached(&view),
        linked: linked.into_iter().map(|link| link.interface).collect(),
        backends: backends(&look.seen()).into_iter().map(backend).collect(),
        reports: look.published.reports.clone(),
        watched: watch.as_secs(),
        traffic: traffic(&before, &after),
        reasons: reasons(&before, &after),
        version: view.version,
        digest: view.config_digest,
        last_error: view.last_error,
    })
}

fn attached(view: &StatusView) -> Vec<(String, u32)> {
    view.interfaces.iter().map(|interface| (interface.name.clone(), interface.program_id)).collect()
}

fn backend(view: BackendView) -> Backend {
    let BackendView { pool, address, serving, reason, .. } = view;
    Backend { pool, address, serving, reason }
}

/// Counters at a moment.
struct Counters {
    services: Vec<(String, u64, u64)>,
    reasons: Vec<(Reason, u64)>,
}

impl Counters {
    fn of(look: &Look) -> Self {
        let seen = look.seen();
        let services = services(&seen).into_iter();
        Self {
            services: services.map(|service| (service.name, service.packets, service.dropped)).collect(),
            reasons: Reason::ALL.iter().map(|reason| (*reason, seen.counts.reason(*reason))).collect(),
        }
    }
}

fn traffic(before: &Counters, after: &Counters) -> Vec<Traffic> {
    let pairs = before.services.iter().zip(&after.services);
    let service =
        |((name, sent, dropped), (_, sent_after, dropped_after)): (&(String, _, _), &(_, _, _))| Traffic {
            service: name.clone(),
            sent: count(*sent, *sent_after),
            dropped: count(*dropped, *dropped_after),
        };
    pairs.map(service).collect()
}

fn reasons(before: &Counters, after: &Counters) -> Vec<(Reason, Count)> {
    let pairs = before.reasons.iter().zip(&after.reasons);
    let counts = pairs.map(|((reason, before), (_, after))| (*reason, count(*before, *after)));
    counts.filter(|(_, count)| count.total > 0).collect()
}

fn count(before: u64, after: u64) -> Count {
    Count { total: after, grown: after.saturating_sub(before) }
}
