use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::ifaddrs::getifaddrs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{error, info, warn};

use super::start::{RunError, targets};
use crate::compile::{Cache, Ledger, compile};
use crate::config::model::Config;
use crate::datapath::attach::{attach, detach};
use crate::datapath::load::Loaded;
use crate::datapath::nexthop::{NextHop, NextHopEvent, Resolution};
use crate::datapath::pins::Pins;
use crate::datapath::state;
use crate::health::{self, HealthEvent};
use crate::observe::published::{self, InterfaceState, Published};
use crate::policy::desired::MemberState;
use crate::policy::observed::{Health, Observed, Verdict};
use crate::policy::{self, observed};
use crate::reconcile;

/// What the agent knows, and the kernel's maps that it keeps true to it.
pub(super) struct Agent {
    config: Config,
    pins: Pins,
    loaded: Loaded,
    ledger: Ledger,
    cache: Cache,
    observed: Observed,
    /// Endpoint addresses whose way has been asked for and not been told yet.
    awaited: BTreeSet<IpAddr>,
    published: published::Agent,
}

impl Agent {
    /// `adopted`: what the agent before left; its verdicts hold until a probe says otherwise.
    pub(super) fn new(
        config: Config,
        pins: Pins,
        loaded: Loaded,
        ledger: Ledger,
        adopted: Option<&Published>,
    ) -> Self {
        let awaited = targets(&config);
        let health = adopted.map(verdicts).unwrap_or_default();
        let observed = Observed { health, own_addresses: own_addresses(), ..Observed::default() };
        let published = introduce(adopted.is_some());
        Self { config, pins, loaded, ledger, cache: Cache::default(), observed, awaited, published }
    }

    /// Endpoint addresses that nothing was said about yet.
    pub(super) fn unresolved(&self) -> usize {
        self.awaited.len()
    }

    /// Takes in what is known about the way to an address.
    pub(super) fn next_hop(&mut self, event: NextHopEvent) {
        self.awaited.remove(&event.address);
        match event.resolution {
            Resolution::Via(hop) => {
                info!(event = "next-hop", address = %event.address, interface = hop.interface_name, "resolved");
                self.observed.next_hops.insert(event.address, observe(&hop));
            }
            Resolution::Local => {
                self.observed.next_hops.remove(&event.address);
                self.observed.own_addresses.insert(event.address);
            }
            Resolution::Unresolved(reason) => {
                warn!(event = "next-hop", address = %event.address, %reason, "unresolved; its backends do not serve");
                self.observed.next_hops.remove(&event.address);
            }
        }
    }

    /// Takes in a verdict. A backend that went down is marked in the kernel at once: its rows fall back to
    /// others until the next tables are there.
    pub(super) fn health(&mut self, event: HealthEvent) {
        let HealthEvent { pool, address, verdict, reason, at } = event;
        let verdict = match verdict {
            health::Verdict::Unknown => Verdict::Unknown,
            health::Verdict::Up => Verdict::Up,
            health::Verdict::Down => Verdict::Down,
        };
        if verdict == Verdict::Down
            && let Some(index) = self.backend_index(&pool, address)
        {
            reconcile::mark_down(&mut self.loaded.maps, index);
        }
        let word = match verdict {
            Verdict::Unknown => "unknown",
            Verdict::Up => "up",
            Verdict::Down => "down",
        };
        info!(event = "health", pool, %address, verdict = word, reason, at = rfc3339(at), "verdict");
        let changed_ms = milliseconds(at);
        self.observed.health.insert((pool, address), Health { verdict, reason, changed_ms });
    }

    /// Looks for addresses that this machine gained or lost.
    pub(super) fn refresh_addresses(&mut self) {
        self.observed.own_addresses = own_addresses();
    }

    /// Brings the tables up to date; what fails is said and tried again at the next event.
    pub(super) fn follow(&mut self) {
        if let Err(reason) = self.converge() {
            error!(event = "apply", reason, "the tables stay as they are");
            self.published.last_error = Some(reason);
            if let Err(reason) = self.publish() {
                error!(event = "publish", reason, "the record stays as it is");
            }
        }
    }

    /// Policy, compile, reconcile. The record of a generation is published before its first change is applied,
    /// and again when what it replaced is released: it names at any moment all that the kernel may hold.
    pub(super) fn converge(&mut self) -> Result<(), String> {
        let desired = policy::decide(&self.config, &self.observed);
        let image =
            compile(&desired, &mut self.ledger, &mut self.cache).map_err(|error| error.to_string())?;
        self.published.last_error = None;
        self.publish()?;
        let changes = reconcile::reconcile(&image, &mut self.loaded.maps);
        self.ledger.release(image.generation);
        self.published.applied = OffsetDateTime::now_utc();
        self.publish()?;
        if changes > 0 {
            let at = rfc3339(SystemTime::now());
            info!(event = "applied", generation = image.generation, changes, at, "tables applied");
        }
        Ok(())
    }

    /// Puts the program onto the configured interfaces and takes it off all others.
    pub(super) fn attach(&mut self) -> Result<(), RunError> {
        let mut interfaces = Vec::new();
        for interface in &self.config.gateway.interfaces {
            let program = self.loaded.program().map_err(crate::datapath::load::LoadError::from)?;
            let attached = attach(program, interface, &self.pins)?;
            let mode = attached.mode.name();
            info!(event = "attached", interface = attached.name, mode, "balancing");
            let program_id = attached.program_id;
            interfaces.push(InterfaceState { name: attached.name, mode: mode.to_owned(), program_id });
        }
        self.published.interfaces = interfaces;
        self.detach_others();
        self.publish().map_err(RunError::Apply)
    }

    fn detach_others(&self) {
        let wanted = |name: &str| self.published.interfaces.iter().any(|interface| interface.name == name);
        for link in self.pins.links().unwrap_or_default() {
            if !wanted(&link.interface)
                && let Err(reason) = detach(&link, &self.pins)
            {
                warn!(event = "attached", interface = link.interface, %reason, "cannot be detached");
            }
        }
    }

    fn publish(&self) -> Result<(), String> {
        let published = Published { agent: self.published.clone(), record: self.ledger.record().clone() };
        let text = serde_json::to_vec(&published).map_err(|error| error.to_string())?;
        let map = self.loaded.maps.mapping(lb_common::abi::map::STATE);
        state::write(map, &text).map_err(|error| error.to_string())
    }

    fn backend_index(&self, pool: &str, address: IpAddr) -> Option<u16> {
        self.ledger.record().pools.get(pool)?.backends.get(&address).map(|backend| backend.index)
    }
}

fn introduce(adopted: bool) -> published::Agent {
    let now = OffsetDateTime::now_utc();
    published::Agent {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: now,
        configured: now,
        applied: now,
        adopted,
        interfaces: Vec::new(),
        last_error: None,
    }
}

fn verdicts(published: &Published) -> std::collections::BTreeMap<(String, IpAddr), Health> {
    let pools = published.record.pools.iter();
    let backends = pools.flat_map(|(name, pool)| pool.backends.iter().map(move |backend| (name, backend)));
    backends
        .filter_map(|(pool, (address, backend))| {
            let verdict = match backend.state {
                MemberState::Up => Verdict::Up,
                MemberState::Down => Verdict::Down,
                MemberState::Unknown | MemberState::Draining => return None,
            };
            let health = Health { verdict, reason: backend.reason.clone(), changed_ms: backend.last_change };
            Some(((pool.clone(), *address), health))
        })
        .collect()
}

fn observe(hop: &NextHop) -> observed::NextHop {
    observed::NextHop {
        interface: hop.interface_index,
        vlan: hop.vlan.unwrap_or(0),
        destination_mac: hop.destination_mac,
        source_mac: hop.source_mac,
        source: Some(hop.source),
        mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
    }
}

/// Addresses of this machine. If the kernel does not tell, none: what is local is then found by its route.
fn own_addresses() -> BTreeSet<IpAddr> {
    let addresses = getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    addresses
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .collect()
}

fn milliseconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}
