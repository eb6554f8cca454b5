//! What the agent hears: next hops, verdicts, its own addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{debug, info, warn};

use super::agent::{Agent, rfc3339};
use super::machine;
use crate::datapath::nexthop::{NextHop, NextHopEvent, Resolution, Unresolved};
use crate::health::{self, HealthEvent};
use crate::milliseconds::milliseconds;
use crate::policy::observed::{self, Health, Verdict};
use crate::reconcile;

/// Next hops that are told one by one. When a link goes down, hundreds change at once.
const MOST: usize = 8;

/// What was said of next hops since the tables were last made, and what the kernel's routes say of us.
#[derive(Debug, Default)]
pub(super) struct News {
    said: usize,
    /// Endpoints that the routes call ours; not all of them are on an interface.
    ours: BTreeSet<IpAddr>,
}

impl News {
    /// Whether one more is to be told by itself.
    fn may_say(&mut self) -> bool {
        self.said += 1;
        self.said <= MOST
    }

    /// Counts what was not told one by one.
    pub(super) fn tell(&mut self) {
        let more = self.said.saturating_sub(MOST);
        if more > 0 {
            info!(event = "next-hop", more, "more next hops changed");
        }
        self.said = 0;
    }
}

impl Agent {
    /// Takes in what is known about the way to an address.
    pub(super) fn next_hop(&mut self, event: NextHopEvent) {
        if self.probes.hear(&event) && !self.is_endpoint(event.address) {
            // Of a VIP nobody else wants to know.
            return;
        }
        let NextHopEvent { address, resolution } = event;
        // A neighbour that was never asked for answers in a moment: nothing to act upon or to tell yet.
        if !matches!(resolution, Resolution::Unresolved(Unresolved::NoNeighbour { .. })) {
            self.awaited.remove(&address);
        }
        let ours = matches!(resolution, Resolution::Local);
        match resolution {
            Resolution::Via(hop) => self.reached(address, &hop),
            Resolution::Local => {
                self.observed.next_hops.remove(&address);
                self.observed.own_addresses.insert(address);
                if self.news.ours.insert(address) && self.news.may_say() {
                    info!(event = "next-hop", %address, "is an address of this machine");
                }
            }
            Resolution::Unresolved(reason) => self.lost(address, &reason),
        }
        if !ours {
            self.news.ours.remove(&address);
            self.observed.own_addresses.remove(&address);
        }
    }

    fn is_endpoint(&self, address: IpAddr) -> bool {
        let mut endpoints = self.config.pools.iter().flat_map(|pool| &pool.endpoints);
        self.awaited.contains(&address) || endpoints.any(|endpoint| endpoint.address == address)
    }

    fn reached(&mut self, address: IpAddr, hop: &NextHop) {
        let now = observe(hop);
        let before = self.observed.next_hops.insert(address, now);
        let path = |hop: &observed::NextHop| (hop.interface, hop.vlan, hop.destination_mac, hop.source_mac);
        let name = &hop.interface_name;
        match before {
            None => debug!(event = "next-hop", %address, interface = name, "resolved"),
            Some(before) if path(&before) == path(&now) => {
                debug!(event = "next-hop", %address, mtu = now.mtu, "same neighbour, other source or MTU");
            }
            Some(_) if self.news.may_say() => {
                info!(event = "next-hop", %address, interface = name, "another next hop");
            }
            Some(_) => {}
        }
    }

    fn lost(&mut self, address: IpAddr, reason: &Unresolved) {
        let served = self.observed.next_hops.remove(&address).is_some();
        let at_first = !served && matches!(reason, Unresolved::NoNeighbour { .. });
        if !at_first && self.news.may_say() {
            warn!(event = "next-hop", %address, %reason, "no next hop; its backends do not serve");
        }
    }

    /// Says which ways are still unknown after waiting.
    pub(super) fn give_up_waiting(&mut self) {
        for address in self.awaited.iter().take(MOST) {
            warn!(event = "next-hop", %address, "no neighbour answers; its backends do not serve yet");
        }
        let more = self.awaited.len().saturating_sub(MOST);
        if more > 0 {
            warn!(event = "next-hop", more, "more addresses have no neighbour that answers");
        }
        self.awaited.clear();
    }

    /// Takes in a verdict. A backend that went down is marked in the kernel at once: its rows fall back to
    /// others until the next tables are there.
    pub(super) fn health(&mut self, event: HealthEvent) {
        let HealthEvent { pool, address, verdict, reason, at } = event;
        if !self.is_checked(&pool, address) {
            return;
        }
        let (verdict, word) = match verdict {
            health::Verdict::Unknown => (Verdict::Unknown, "unknown"),
            health::Verdict::Up => (Verdict::Up, "up"),
            health::Verdict::Down => (Verdict::Down, "down"),
        };
        if verdict == Verdict::Down
            && let Some(index) = self.backend_index(&pool, address)
        {
            reconcile::mark_down(&mut self.loaded.maps, index);
            self.ledger.rest(index);
        }
        info!(event = "health", pool, %address, verdict = word, reason, at = rfc3339(at), "verdict");
        let changed_ms = since_epoch(at);
        let found = Health { verdict, reason, changed_ms };
        let before = self.observed.health.insert((pool.clone(), address), found);
        // A check that begins anew, as after a restart, has passed all along.
        if verdict == Verdict::Up && before.is_some_and(|before| before.verdict == Verdict::Down) {
            self.vindicate(&pool, address);
        }
    }

    /// Whether an event is about an endpoint that is still configured: the channel may hold others.
    fn is_checked(&self, pool: &str, address: IpAddr) -> bool {
        let mut pools = self.config.pools.iter().filter(|known| known.name == pool && known.health.is_some());
        pools.any(|pool| pool.endpoints.iter().any(|endpoint| endpoint.address == address))
    }

    /// Looks for addresses that this machine gained or lost. Of endpoints the routes know more.
    pub(super) fn refresh_addresses(&mut self) {
        let mut addresses = machine::addresses();
        addresses.retain(|address| !self.observed.next_hops.contains_key(address));
        addresses.extend(&self.news.ours);
        self.observed.own_addresses = addresses;
    }

    /// Forgets the ways to all but these addresses.
    pub(super) fn forget_ways(&mut self, targets: &BTreeSet<IpAddr>) {
        self.observed.next_hops.retain(|address, _| targets.contains(address));
        self.news.ours.retain(|address| targets.contains(address));
        self.awaited.retain(|address| targets.contains(address));
        self.refresh_addresses();
    }
}

pub(super) fn observe(hop: &NextHop) -> observed::NextHop {
    observed::NextHop {
        interface: hop.interface_index,
        vlan: hop.vlan.unwrap_or(0),
        destination_mac: hop.destination_mac,
        source_mac: hop.source_mac,
        source: Some(hop.source),
        mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
    }
}

/// Milliseconds since the Unix epoch.
fn since_epoch(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, milliseconds)
}
