//! What the story is played on: the lab, the agents in it, the wish to stop, and waiting.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::gateway::{Gateway, last_of};
use super::plan::{Member, Site, members};
use super::receivers::Receivers;
use crate::lab::{Objects, SecondGateway, TwoClusters, VIP_PORT, VIP_V4, VIP_V6, WorkDir};

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

/// Port of the VIP for connections that stay open (host order).
pub(super) const LINES_PORT: u16 = 7;

/// The VIP of this IP version.
pub(super) fn vip(ip_version: u8) -> IpAddr {
    if ip_version == 6 { VIP_V6.into() } else { VIP_V4.into() }
}

/// The VIP of the members' IP version.
pub(super) fn vip_like(members: &[Member]) -> IpAddr {
    vip(if members.first().is_some_and(|member| member.address.is_ipv6()) { 6 } else { 4 })
}

/// Lab, agents and files. Fields are dropped in order: the agents end before their world does.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    interrupt: &'a Interrupt,
    spillway: PathBuf,
    pub(super) gateways: Vec<Gateway>,
    pub(super) receivers: Receivers,
    second: SecondGateway,
    pub(super) lab: TwoClusters,
    work: WorkDir,
    pub(super) sites: Vec<Site>,
    pub(super) members: Vec<Member>,
    pub(super) target: SocketAddr,
}

impl<'a> Stage<'a> {
    /// Builds the lab and starts the agents in it, but for that of the second gateway.
    pub(super) fn build(
        spillway: &Path,
        ip_version: u8,
        sites: Vec<Site>,
        interrupt: &'a Interrupt,
    ) -> Result<Self> {
        let objects = Objects::from_env()?;
        WorkDir::sweep()?;
        let work = WorkDir::new()?;
        let clusters: Vec<_> = sites.iter().map(Site::spec).collect();
        let lab = TwoClusters::with_bare_clusters(&objects, &clusters)?;
        let second = SecondGateway::join(&lab, &objects)?;
        interrupt.check()?;
        let vip = vip(ip_version);
        let members = members(&lab.nodes, vip);
        let receivers = Receivers::start(spillway, &lab, &work)?;
        interrupt.check()?;
        let first = Gateway::start("gateway-1", (&lab.gateway, spillway), &work, (&sites, &members))?;
        let (spillway, gateways) = (spillway.to_path_buf(), vec![first]);
        let target = SocketAddr::new(vip, VIP_PORT);
        Ok(Self { interrupt, spillway, gateways, receivers, second, lab, work, sites, members, target })
    }

    /// Starts the second gateway's agent; no packets are led to it yet.
    pub(super) fn start_second(&mut self) -> Result<()> {
        let place = (&self.second.namespace, self.spillway.as_path());
        let gateway = Gateway::start("gateway-2", place, &self.work, (&self.sites, &self.members))?;
        self.gateways.push(gateway);
        Ok(())
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
            self.gateways.iter_mut().try_for_each(Gateway::check_alive)?;
            if let Some(result) = ready(self) {
                return Ok(result);
            }
            if Instant::now() > deadline {
                let logs = self
                    .gateways
                    .iter()
                    .map(|one| format!("{}:\n  {}", one.name, one.last_lines().join("\n  ")));
                let logs: Vec<_> = logs.collect();
                bail!("{what} did not happen within {} s; {}", patience.as_secs(), logs.join("\n"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The addresses of these nodes.
    pub(super) fn addresses(&self, names: &[String]) -> Vec<IpAddr> {
        let members = self.members.iter().filter(|member| names.contains(&member.name));
        members.map(|member| member.address).collect()
    }

    /// When the last of `addresses` got its first such verdict after `since`, of the last gateway to come to it; `None`
    /// while one lacks it.
    pub(super) fn verdict(&self, addresses: &[IpAddr], up: bool, since: SystemTime) -> Option<SystemTime> {
        last_of(self.gateways.iter().map(|gateway| gateway.verdict(addresses, up, since)))
    }

    /// When all gateways' tables were last changed, if that was not before `since`.
    pub(super) fn applied(&self, since: SystemTime) -> Option<SystemTime> {
        last_of(self.gateways.iter().map(|gateway| gateway.applied(since)))
    }
}
