//! What the story is played on: the lab, the agent in it, the wish to stop, and waiting.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::config;
use super::plan::{Member, Site, members};
use crate::lab::{Agent, Event, EventKind, Objects, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, WorkDir};

/// Time between two looks at whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The error of a demo that was told to stop.
#[derive(Debug)]
pub(super) struct Interrupted;

impl Display for Interrupted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("stopped by a signal")
    }
}

impl std::error::Error for Interrupted {}

/// Set by SIGINT, SIGTERM and SIGHUP.
#[derive(Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on these signals set the flag instead of ending the process.
    pub(super) fn install() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("register a signal")?;
        }
        Ok(Self(flag))
    }

    /// Fails if the user wants to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

/// The VIP of this IP version.
pub(super) fn vip(ip_version: u8) -> IpAddr {
    if ip_version == 6 { VIP_V6.into() } else { VIP_V4.into() }
}

/// Lab, agent and files. Fields are dropped in order: the agent ends before its world does.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    interrupt: &'a Interrupt,
    agent: Agent,
    pub(super) lab: TwoClusters,
    _work: WorkDir,
    pub(super) sites: Vec<Site>,
    pub(super) members: Vec<Member>,
    pub(super) target: SocketAddr,
}

impl<'a> Stage<'a> {
    /// Builds the lab and starts the agent in it.
    pub(super) fn build(
        spillway: &Path,
        ip_version: u8,
        sites: Vec<Site>,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let objects = Objects::from_env()?;
        WorkDir::sweep()?;
        let work = WorkDir::new()?;
        let lab = TwoClusters::with_clusters(&objects, &sites.iter().map(Site::spec).collect::<Vec<_>>())?;
        interrupt.check()?;
        let vip = vip(ip_version);
        let members = members(&lab.nodes, vip);
        let (pins, socket) = (work.bpf().join("spillway"), work.path().join("admin.sock"));
        let config = write_config(&work, &config::text(&sites, &members, vip, &pins, &socket))?;
        let agent = Agent::start(&lab.gateway, spillway, &config)?;
        let target = SocketAddr::new(vip, VIP_PORT);
        Ok(Self { interrupt, agent, lab, _work: work, sites, members, target })
    }

    /// Looks again and again until `ready` returns something; fails when that takes longer than
    /// `patience`, on a signal, or when the agent ends.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            self.interrupt.check()?;
            self.agent.check_alive()?;
            if let Some(result) = ready(self) {
                return Ok(result);
            }
            if Instant::now() > deadline {
                let log = self.agent.last_lines().join("\n  ");
                bail!("{what} did not happen within {} s; the agent's log:\n  {log}", patience.as_secs());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The addresses of these nodes.
    pub(super) fn addresses(&self, names: &[String]) -> Vec<IpAddr> {
        let members = self.members.iter().filter(|member| names.contains(&member.name));
        members.map(|member| member.address).collect()
    }

    /// When the last of `addresses` got its first such verdict after `since`; `None` while one lacks it.
    pub(super) fn verdict(&self, addresses: &[IpAddr], up: bool, since: SystemTime) -> Option<SystemTime> {
        last_verdict(&self.agent.events(), addresses, up, since)
    }

    /// When the kernel's tables were last changed, if that was not before `since`.
    pub(super) fn applied(&self, since: SystemTime) -> Option<SystemTime> {
        let events = self.agent.events();
        let applied = events.iter().filter(|event| event.kind == EventKind::Applied && event.at >= since);
        applied.map(|event| event.at).max()
    }
}

fn last_verdict(events: &[Event], addresses: &[IpAddr], up: bool, since: SystemTime) -> Option<SystemTime> {
    let first = |address: &IpAddr| {
        let wanted = EventKind::Health { address: *address, up };
        events.iter().find(|event| event.at >= since && event.kind == wanted).map(|event| event.at)
    };
    let verdicts: Option<Vec<SystemTime>> = addresses.iter().map(first).collect();
    verdicts?.into_iter().max()
}

fn write_config(work: &WorkDir, text: &str) -> Result<PathBuf> {
    let secret = work.path().join(config::SECRET_FILE);
    fs::write(&secret, config::SECRET).context("write the secret")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).context("protect the secret")?;
    let path = work.path().join("spillway.yaml");
    fs::write(&path, text).context("write the configuration")?;
    Ok(path)
}

#[cfg(test)]
mod tests {
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
