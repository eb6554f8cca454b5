//! The second act: a second gateway joins, connections are opened that stay open, shares change and a node drains, and
//! then a gateway loses power. Nothing is shared between the gateways but the configuration.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::plan::{Member, Site};
use super::report::{Fault, Live, Times};
use super::stage::LINES_PORT;
use super::story::{PATIENCE, Story, WATCHED};
use crate::lab::{Load, SecondGateway, Talks, TwoClusters};

/// Connections that stay open.
const CONNECTIONS: usize = 200;
/// Between two lines of one.
const PACE: Duration = Duration::from_millis(500);
/// What a routing protocol takes to notice a dead neighbour, if it is set up to be quick about it.
const NOTICED: Duration = Duration::from_millis(200);
/// The clusters' shares afterwards, in the order of the sites.
const OTHER_WEIGHTS: [u16; 2] = [40, 60];

impl Story<'_, '_> {
    /// Plays it.
    pub(super) fn lose_a_gateway(&mut self, load: &Load) -> Result<Fault> {
        self.account.head("A second gateway joins, and shares the VIP with the first");
        self.join(load)?;
        let talks = self.open(load)?;
        self.move_rows(load)?;
        let lost = self.stage.gateways.first().map_or("", |gateway| gateway.name);
        self.account.head(&format!("The gateway {lost} loses power"));
        let times = self.lose_first()?;
        self.pause(2 * WATCHED, load)?;
        let live = Live::new(&talks.finish());
        let fault = Fault::new("gateway", lost, times, &load.outcomes()).with(live);
        self.account.fault(&fault);
        let sent_on = self.stage.receivers.sent_on()?;
        self.account.say(&format!("nodes sent on {sent_on} packets to the node that has the connection"));
        Ok(fault)
    }

    fn join(&mut self, load: &Load) -> Result<()> {
        let started = SystemTime::now();
        self.stage.start_second()?;
        let all: Vec<_> = self.stage.members.iter().map(|member| member.address).collect();
        self.watch(load, "the second gateway finding all nodes up", PATIENCE, |stage| {
            stage.gateways.last()?.verdict(&all, true, started)
        })?;
        self.settle(load, |stage| stage.gateways.last()?.applied(started))?;
        SecondGateway::divide(&self.stage.lab)?;
        self.pause(WATCHED, load)
    }

    fn open(&mut self, load: &Load) -> Result<Talks> {
        let to = SocketAddr::new(self.stage.target.ip(), LINES_PORT);
        self.account.head(&format!("{CONNECTIONS} connections to {to}, which stay open"));
        let talks = Talks::start(&self.stage.lab.client, &[to], CONNECTIONS, PACE)?;
        self.watch(load, "an answer to each of them", PATIENCE, |_| {
            talks.all().iter().all(|talk| talk.answers > 1).then_some(())
        })?;
        Ok(talks)
    }

    /// Other shares of the clusters, and no new connections for the first node, in both files at the same time.
    fn move_rows(&mut self, load: &Load) -> Result<()> {
        let (sites, members) = others(&self.stage.sites, &self.stage.members);
        let shares: Vec<_> = sites.iter().map(|site| format!("{} {}", site.name, site.weight)).collect();
        let drained = members.first().map_or("", |member| member.name.as_str());
        self.account.head(&format!("Weights become {}, and {drained} drains", shares.join(", ")));
        let told = SystemTime::now();
        self.stage.gateways.iter().try_for_each(|gateway| gateway.configure(&sites, &members))?;
        self.settle(load, |stage| stage.applied(told))?;
        self.pause(WATCHED, load)
    }

    /// Power loss, and what routers do once they notice.
    fn lose_first(&mut self) -> Result<Times> {
        let broken = SystemTime::now();
        let mut lost = self.stage.gateways.remove(0);
        lost.kill()?;
        self.stage.lab.gateway.ip(&format!("link set {} down", TwoClusters::GATEWAY_INTERFACE))?;
        thread::sleep(NOTICED);
        let verdict = SystemTime::now();
        SecondGateway::only(&self.stage.lab, TwoClusters::SECOND_GATEWAY)?;
        Ok(Times { broken, verdict, switched: SystemTime::now() })
    }
}

fn others(sites: &[Site], members: &[Member]) -> (Vec<Site>, Vec<Member>) {
    let (mut sites, mut members) = (sites.to_vec(), members.to_vec());
    for (site, weight) in sites.iter_mut().zip(OTHER_WEIGHTS) {
        site.weight = weight;
    }
    if let Some(first) = members.first_mut() {
        first.weight = 0;
    }
    (sites, members)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{example_members, sites};
    use super::*;

    #[test]
    fn every_share_changes_and_one_node_gets_no_more() {
        let (before, (after, members)) = (sites(), others(&sites(), &example_members()));
        assert!(before.iter().zip(&after).all(|(before, after)| before.weight != after.weight));
        assert_eq!(members.iter().filter(|member| member.weight == 0).count(), 1);
    }
}
