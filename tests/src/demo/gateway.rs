//! A gateway of the demo: its agent, and its files.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::config;
use super::plan::{Member, Site};
use crate::lab::{Agent, Event, EventKind, Namespace, WorkDir};

/// Ends when dropped; its namespace is somebody else's.
#[derive(Debug)]
pub(super) struct Gateway {
    /// What it is called.
    pub(super) name: &'static str,
    files: Files,
    agent: Option<Agent>,
}

/// Where a gateway has what.
#[derive(Debug)]
struct Files {
    config: PathBuf,
    pins: PathBuf,
    socket: PathBuf,
}

impl Gateway {
    /// Writes its files into `work`, and starts its agent.
    pub(super) fn start(
        name: &'static str,
        (namespace, spillway): (&Namespace, &Path),
        work: &WorkDir,
        (sites, members): (&[Site], &[Member]),
    ) -> Result<Self> {
        let in_work = |ending: &str| work.path().join(format!("{name}.{ending}"));
        let files = Files { config: in_work("yaml"), pins: work.bpf().join(name), socket: in_work("sock") };
        work.write_key(config::SECRET_FILE, config::SECRET)?;
        files.write(sites, members)?;
        let agent = Some(Agent::start(namespace, spillway, &files.config)?);
        Ok(Self { name, files, agent })
    }

    /// Gives it other shares.
    pub(super) fn configure(&self, sites: &[Site], members: &[Member]) -> Result<()> {
        self.files.write(sites, members)
    }

    /// Ends the agent as nothing can prevent.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.agent.take().map_or(Ok(()), Agent::kill)
    }

    /// Fails if its agent has ended by itself.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        self.agent.as_mut().map_or(Ok(()), Agent::check_alive)
    }

    /// What its agent has said.
    fn events(&self) -> Vec<Event> {
        self.agent.as_ref().map(Agent::events).unwrap_or_default()
    }

    /// The last lines of its agent's log.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.agent.as_ref().map(Agent::last_lines).unwrap_or_default()
    }

    /// When the last of `addresses` got its first such verdict after `since`; `None` while one lacks it.
    pub(super) fn verdict(&self, addresses: &[IpAddr], up: bool, since: SystemTime) -> Option<SystemTime> {
        last_verdict(&self.events(), addresses, up, since)
    }

    /// When the kernel's tables were last changed, if that was not before `since`.
    pub(super) fn applied(&self, since: SystemTime) -> Option<SystemTime> {
        let events = self.events();
        let applied = events.iter().filter(|event| event.kind == EventKind::Applied && event.at >= since);
        applied.map(|event| event.at).max()
    }
}

impl Files {
    /// In one step: the agent looks at the file whenever it changes.
    fn write(&self, sites: &[Site], members: &[Member]) -> Result<()> {
        let fresh = self.config.with_extension("new");
        fs::write(&fresh, config::text(sites, members, &self.pins, &self.socket))
            .and_then(|()| fs::rename(&fresh, &self.config))
            .context("write the configuration")
    }
}

/// The last of them, once there are all.
pub(super) fn last_of(moments: impl Iterator<Item = Option<SystemTime>>) -> Option<SystemTime> {
    moments.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn last_verdict(events: &[Event], addresses: &[IpAddr], up: bool, since: SystemTime) -> Option<SystemTime> {
    let first = |address: &IpAddr| {
        let wanted = EventKind::Health { address: *address, up };
        events.iter().find(|event| event.at >= since && event.kind == wanted).map(|event| event.at)
    };
    last_of(addresses.iter().map(first))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_verdict_about_all_is_the_last_of_the_first_ones() {
        let (a, b): (IpAddr, IpAddr) = ("10.1.1.2".parse().unwrap(), "10.1.2.2".parse().unwrap());
        let at = |s| SystemTime::UNIX_EPOCH + Duration::from_secs(s);
        let said = |s, address, up| Event { at: at(s), kind: EventKind::Health { address, up } };
        let events =
            [said(1, a, false), said(5, a, false), said(6, b, true), said(7, b, false), said(9, a, false)];
        assert_eq!(last_verdict(&events, &[a, b], false, at(2)), Some(at(7)));
        assert_eq!(last_verdict(&events, &[a], false, at(2)), Some(at(5)));
        assert_eq!(last_verdict(&events, &[a, b], false, at(8)), None);
        assert_eq!(last_verdict(&events, &[a], true, at(0)), None);
    }
}
