//! The story: it forwards; a node loses power and returns; a cluster is lost and returns; and then the
//! [second act](super::second_act).

use std::slice;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use super::Args;
use super::account::Account;
use super::plan::sites;
use super::report::{Fault, Report, Times, Window};
use super::stage::{Interrupt, Stage};
use crate::lab::{Load, Node, Outcome, fetch};

/// Senders: enough that those waiting for a dead node do not silence the others.
const SENDERS: u16 = 32;
/// Requests per second; a laptop's two cores stay idle enough to answer health checks in time.
const RATE: u32 = 500;
/// For anything the agent should do in a second or two.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// After this long without a change the tables are taken as settled.
const SETTLED: Duration = Duration::from_millis(700);
/// How long each state is watched.
pub(super) const WATCHED: Duration = Duration::from_secs(2);

/// Tells the whole story; when it returns, everything is taken down.
pub(super) fn tell(args: &Args, interrupt: &Interrupt, account: &mut Account) -> Result<Report> {
    account.say("Building the lab: network namespaces, servers, an agent on each node and on a gateway.");
    let stage = Stage::build(&args.spillway, args.ip_version, sites(), interrupt)?;
    account.picture(&stage.sites, &stage.members, &stage.lab);
    let mut story = Story { stage, account };
    story.wait_until_served()?;
    let load = Load::start(&story.stage.lab.client, story.stage.target, SENDERS, RATE)?;
    story.play(load, args.requests)
}

/// Where it is played, and how it is told.
pub(super) struct Story<'a, 'b> {
    pub(super) stage: Stage<'a>,
    pub(super) account: &'b mut Account,
}

impl Story<'_, '_> {
    fn play(&mut self, load: Load, requests: u32) -> Result<Report> {
        let undisturbed = self.forwards(&load, requests)?;
        let one = self.stage.members.first().map(|member| member.name.clone()).unwrap_or_default();
        let (node, node_back) = self.fault("node", &one, slice::from_ref(&one), &load)?;
        let site = self.stage.sites.first().map_or("", |site| site.name);
        let whole = self.stage.members.iter().filter(|member| member.cluster == site);
        let whole: Vec<String> = whole.map(|member| member.name.clone()).collect();
        let (cluster, cluster_back) = self.fault("cluster", site, &whole, &load)?;
        let gateway = self.lose_a_gateway(&load)?;
        let all = load.finish();
        let world = (self.stage.sites.as_slice(), self.stage.members.as_slice());
        let report =
            Report::new(world, &undisturbed, &all, vec![node, cluster, gateway], &[node_back, cluster_back]);
        self.account.sum(&report);
        Ok(report)
    }

    /// All nodes found up, and a request answered through the VIP.
    fn wait_until_served(&mut self) -> Result<()> {
        let all: Vec<_> = self.stage.members.iter().map(|member| member.address).collect();
        let since = SystemTime::UNIX_EPOCH;
        self.stage.until("finding all nodes up", PATIENCE, |stage| stage.verdict(&all, true, since))?;
        self.stage.until("an answer through the VIP", PATIENCE, |stage| {
            fetch(&stage.lab.client, stage.target, "/").ok()
        })?;
        Ok(())
    }

    fn forwards(&mut self, load: &Load, requests: u32) -> Result<Vec<Outcome>> {
        let target = self.stage.target;
        self.account.head(&format!("It forwards: {requests} requests to http://{target}/"));
        let enough = requests as usize;
        let patience = PATIENCE + Duration::from_secs(u64::from(requests / RATE) * 4);
        self.watch(load, "sending the requests", patience, |_| (load.count() >= enough).then_some(()))?;
        let outcomes = load.outcomes();
        self.account.shares(&self.stage.sites, &self.stage.members, &outcomes);
        Ok(outcomes)
    }

    /// Breaks `nodes`, waits for the switch, watches, mends, waits for the return.
    fn fault(
        &mut self,
        kind: &'static str,
        target: &str,
        nodes: &[String],
        load: &Load,
    ) -> Result<(Fault, Window)> {
        self.account.head(&format!("The {kind} {target} loses power"));
        let broken = SystemTime::now();
        self.each_node(nodes, Node::kill)?;
        let (verdict, switched) = self.change(nodes, false, broken, load)?;
        self.pause(WATCHED, load)?;
        let fault = Fault::new(kind, target, Times { broken, verdict, switched }, &load.outcomes());
        self.account.fault(&fault);
        self.account.say(&format!("The {kind} {target} returns"));
        let returned = SystemTime::now();
        self.each_node(nodes, Node::revive)?;
        let (_, back) = self.change(nodes, true, returned, load)?;
        self.pause(WATCHED, load)?;
        Ok((fault, Window { from: returned, to: back }))
    }

    /// The verdict about `nodes`, and the last change in the tables that followed.
    fn change(
        &mut self,
        nodes: &[String],
        up: bool,
        since: SystemTime,
        load: &Load,
    ) -> Result<(SystemTime, SystemTime)> {
        let addresses = self.stage.addresses(nodes);
        let what = if up { "finding them up" } else { "finding them down" };
        let verdict = self.watch(load, what, PATIENCE, |stage| stage.verdict(&addresses, up, since))?;
        Ok((verdict, self.settle(load, |stage| stage.applied(verdict))?))
    }

    /// The last change in the tables, once nothing more changes.
    pub(super) fn settle(
        &mut self,
        load: &Load,
        mut applied: impl FnMut(&Stage) -> Option<SystemTime>,
    ) -> Result<SystemTime> {
        self.watch(load, "changing the tables", PATIENCE, |stage| {
            applied(stage).filter(|at| at.elapsed().is_ok_and(|ago| ago >= SETTLED))
        })
    }

    fn each_node(&mut self, names: &[String], mut act: impl FnMut(&mut Node) -> Result<()>) -> Result<()> {
        names.iter().filter_map(|name| self.stage.lab.node_mut(name).map(&mut act)).collect()
    }

    pub(super) fn pause(&mut self, time: Duration, load: &Load) -> Result<()> {
        let end = Instant::now() + time;
        self.watch(load, "the time passing", time + PATIENCE, |_| (Instant::now() >= end).then_some(()))
    }

    /// As [`Stage::until`], with live lines.
    pub(super) fn watch<T>(
        &mut self,
        load: &Load,
        what: &str,
        patience: Duration,
        mut ready: impl FnMut(&Stage) -> Option<T>,
    ) -> Result<T> {
        let account = &mut *self.account;
        self.stage.until(what, patience, |stage| {
            account.live(&stage.sites, &stage.members, load);
            ready(stage)
        })
    }
}
