//! Keeps the ways to other nodes in the receiver's maps.

use std::io;
use std::time::Instant;

use tokio::sync::mpsc;
use tracing::{debug, error};

use super::hops::Hops;
use crate::config::model::Prefix;
use crate::daemon::start::RunError;
use crate::datapath::load::LoadError;
use crate::datapath::nexthop::{NextHopEvent, Resolver, Timing};
use crate::datapath::pins::Pins;
use crate::datapath::receiver::NodeHops;

/// What the agent knows of them, who finds them, and the maps.
pub(super) struct Ways {
    hops: Hops,
    resolver: Resolver,
    events: mpsc::Receiver<NextHopEvent>,
    maps: NodeHops,
}

impl Ways {
    /// Begins to look, in the network namespace of the calling thread, for the ways to all others and to those nodes
    /// that an agent before knew.
    ///
    /// # Errors
    /// If the kernel cannot be asked, or the maps not be read.
    pub(super) fn start(pins: &Pins, peers: &[Prefix]) -> Result<Self, RunError> {
        let maps = NodeHops::open(pins).map_err(LoadError::from)?;
        let held = maps.held().map_err(RunError::Receiver)?;
        let (resolver, events) = Resolver::start(Timing::default())?;
        let hops = Hops::new(peers, held.into_keys(), Instant::now());
        resolver.set_targets(hops.targets());
        Ok(Self { hops, resolver, events, maps })
    }

    /// What the kernel says next of a way. Cancel safe.
    pub(super) async fn news(&mut self) -> NextHopEvent {
        match self.events.recv().await {
            Some(event) => event,
            // Nobody looks any more, which only happens at the end.
            None => std::future::pending().await,
        }
    }

    /// Takes that in, and whatever else was said.
    pub(super) fn learn(&mut self, first: &NextHopEvent) {
        self.hops.learn(first);
        while let Ok(event) = self.events.try_recv() {
            self.hops.learn(&event);
        }
        self.hold_or_tell();
    }

    /// Looks which nodes the program has had no way to.
    pub(super) fn look(&mut self) {
        match self.maps.take_wanted() {
            Ok(wanted) if wanted.is_empty() => {}
            Ok(wanted) => {
                self.hops.want(wanted, Instant::now());
                self.resolver.set_targets(self.hops.targets());
            }
            Err(reason) => error!(event = "hop", %reason, "which ways are wanted cannot be read"),
        }
    }

    /// Others may be nodes from now on.
    pub(super) fn set_peers(&mut self, peers: &[Prefix]) {
        self.hops.set_peers(peers);
        self.resolver.set_targets(self.hops.targets());
        self.hold_or_tell();
    }

    /// Compares the kernel with what is known, and gives up what is wanted in vain.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        self.hops.forget(Instant::now());
        self.resolver.set_targets(self.hops.targets());
        self.hold()
    }

    fn hold(&mut self) -> io::Result<()> {
        for (node, hop) in self.hops.changes(&self.maps.held()?) {
            self.maps.set(node, hop)?;
            debug!(event = "hop", %node, known = hop.is_some(), "the way to a node, or to all others");
        }
        Ok(())
    }

    /// What fails is tried again with the next change, or the next look at everything.
    fn hold_or_tell(&mut self) {
        if let Err(reason) = self.hold() {
            error!(event = "hop", %reason, "the ways to other nodes stay as they are");
        }
    }
}
