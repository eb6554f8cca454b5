//! What probes through tunnels need: the kernel program for them where their sockets send, its map, and the ways to the
//! nodes. A gateway without such checks has none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_common::abi::{ProbeEntry, ProbeMark};
use nix::net::if_::if_nametoindex;
use tracing::{error, info, warn};

use super::agent::Agent;
use super::start::targets;
use crate::compile::{Probe, ProbeWay, VipWays, probed_vips, probes};
use crate::config::model::Config;
use crate::datapath::egress;
use crate::datapath::inventory::interface_name;
use crate::datapath::load::Loaded;
use crate::datapath::nexthop::{NextHopEvent, Resolution, Resolver};
use crate::datapath::pins::Pins;
use crate::health::{Target, Way, Ways};

/// For so long the program stays where it has no use any more: sockets that are closed still end their connections (Linux
/// keeps TIME-WAIT for 60 s), and what they send then must not leave as it is.
const LINGER: Duration = Duration::from_mins(2);
/// Obstacles that `status` shows.
const SHOWN: usize = 3;

/// The program, and what is known of the ways.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Interfaces with the program: name, the kernel's number, and since when it has no use there.
    on: BTreeMap<String, (u32, Option<Instant>)>,
    /// The VIPs that are asked for, and the ways there.
    asked: BTreeSet<IpAddr>,
    vips: VipWays,
    /// The ways to the nodes, shared with those who probe.
    pub(super) ways: Ways,
    /// Whether what the agent before left was looked through.
    looked: bool,
}

impl Agent {
    /// Asks for the ways to every endpoint, also of a configuration that is to come, and to the VIPs that are probed.
    pub(super) fn ask_ways(&mut self, resolver: &Resolver, pending: Option<&Config>) {
        let configs = [Some(&self.config), pending];
        let asked: BTreeSet<IpAddr> = configs.into_iter().flatten().flat_map(probed_vips).collect();
        let endpoints = configs.into_iter().flatten().flat_map(targets);
        resolver.set_targets(endpoints.chain(asked.iter().copied()).collect());
        self.probes.vips.retain(|vip, _| asked.contains(vip));
        self.probes.asked = asked;
    }

    /// Brings what probes through tunnels need up to date. Their verdicts stay where they cannot be.
    pub(super) fn follow_probes(&mut self) {
        let probes = self
            .image
            .as_ref()
            .map(|image| probes(&self.config, self.ledger.record(), image, &self.probes.vips));
        let trouble = self.probes.follow(&probes.unwrap_or_default(), &mut self.loaded, &self.pins);
        if trouble != self.trouble.probes {
            if let Some(reason) = &trouble {
                warn!(event = "probes", reason, "verdicts stay as they are");
            }
            self.trouble.probes = trouble;
        }
        self.published.probes = self.probes.on.keys().cloned().collect();
        self.publish_or_say();
    }
}

impl Probes {
    /// Takes in how a socket of this machine sends to a VIP; false: it is none that was asked for.
    pub(super) fn hear(&mut self, event: &NextHopEvent) -> bool {
        if !self.asked.contains(&event.address) {
            return false;
        }
        let way = match &event.resolution {
            Resolution::Via(hop) => Ok(super::news::observe(hop)),
            Resolution::Local => Err("it is this machine's own address".to_owned()),
            Resolution::Unresolved(reason) => Err(reason.to_string()),
        };
        self.vips.insert(event.address, way);
        true
    }

    /// Exchanges the program wherever it is, for one that was loaded anew.
    pub(super) fn renew(&mut self, loaded: &mut Loaded, pins: &Pins) {
        for name in self.on.keys() {
            if let Err(reason) = loaded.probe(name, pins) {
                warn!(event = "probes", interface = name, %reason, "the program for probes stays as it was");
            }
        }
    }

    /// What is in the way of probes, as one text.
    fn follow(&mut self, probes: &[Probe], loaded: &mut Loaded, pins: &Pins) -> Option<String> {
        let ways = probes.iter().filter_map(|probe| Some((probe, probe.way.as_ref().ok()?)));
        let ways: Vec<(&Probe, &ProbeWay)> = ways.collect();
        let wanted: BTreeSet<u32> = ways.iter().map(|(_, way)| way.entry.interface).collect();
        let wanted: BTreeSet<String> = wanted.into_iter().map(interface_name).collect();
        if !std::mem::replace(&mut self.looked, true) {
            dismiss_others(&wanted, pins);
        }
        if wanted.is_empty() && self.on.is_empty() && probes.is_empty() {
            return None;
        }
        let blocked = probes.iter().filter_map(|probe| Some((probe, probe.way.as_ref().err()?)));
        let obstacle =
            |(probe, reason): (&Probe, _)| format!("{} of pool {}: {reason}", probe.address, probe.pool);
        let mut obstacles: BTreeSet<String> = blocked.map(obstacle).collect();
        obstacles.extend(wanted.iter().filter_map(|name| self.attach(name, loaded, pins).err()));
        self.open(&ways, loaded).unwrap_or_else(|reason| _ = obstacles.insert(reason));
        self.dismiss_idle(&wanted, pins);
        tell(&obstacles)
    }

    /// Puts the program onto what an interface sends.
    fn attach(&mut self, name: &str, loaded: &mut Loaded, pins: &Pins) -> Result<(), String> {
        let index = if_nametoindex(name).map_err(|error| format!("{name}: {error}"))?;
        if self.on.get(name).is_some_and(|(known, _)| *known == index) {
            return Ok(());
        }
        if self.on.remove(name).is_some() {
            // Of an interface that is no more.
            detach(name, pins);
        }
        let hold = loaded.probe(name, pins).map_err(|error| error.to_string())?;
        info!(
            event = "probes",
            interface = name,
            hold = hold.name(),
            "probes through tunnels are encapsulated"
        );
        self.on.insert(name.to_owned(), (index, None));
        Ok(())
    }

    /// Makes the program and those who probe go by these ways, as far as the program is there.
    fn open(&self, ways: &[(&Probe, &ProbeWay)], loaded: &mut Loaded) -> Result<(), String> {
        let ready: BTreeSet<u32> = self.on.values().map(|(index, _)| *index).collect();
        let ready = ways.iter().filter(|(_, way)| ready.contains(&way.entry.interface));
        let entry = |(probe, way): &(&Probe, &ProbeWay)| (probe.mark, way.entry);
        let entries: BTreeMap<ProbeMark, ProbeEntry> = ready.clone().map(entry).collect();
        let held = loaded.probes.hold(&entries);
        let way = |(probe, way): &(&Probe, &ProbeWay)| {
            let target = Target { pool: probe.pool.clone(), address: probe.address };
            (target, Way { mark: probe.mark, segment: way.segment })
        };
        // What is not in the map would be dropped, and count against the node.
        self.ways.set(if held.is_ok() { ready.map(way).collect() } else { [].into() });
        held.map_err(|reason| {
            error!(event = "probes", %reason, "the map of probes cannot be written");
            format!("the map of probes cannot be written: {reason}")
        })
    }

    /// Takes the program off where it has had no use for long enough.
    fn dismiss_idle(&mut self, wanted: &BTreeSet<String>, pins: &Pins) {
        self.on.retain(|name, (_, idle)| {
            *idle = if wanted.contains(name) { None } else { idle.or_else(|| Some(Instant::now())) };
            let over = idle.is_some_and(|since| since.elapsed() > LINGER);
            if over {
                detach(name, pins);
            }
            !over
        });
    }
}

/// Takes off what the agent before left elsewhere: its sockets are closed.
fn dismiss_others(wanted: &BTreeSet<String>, pins: &Pins) {
    let held = pins.egress_interfaces().unwrap_or_default();
    held.iter().filter(|name| !wanted.contains(*name)).for_each(|name| detach(name, pins));
}

fn detach(name: &str, pins: &Pins) {
    match egress::detach(name, egress::PROBE_HANDLE, &pins.egress(name)) {
        Ok(()) => info!(event = "probes", interface = name, "the program for probes is there no more"),
        Err(reason) => warn!(event = "probes", interface = name, %reason, "cannot be detached"),
    }
}

/// As one text.
fn tell(obstacles: &BTreeSet<String>) -> Option<String> {
    let shown: Vec<_> = obstacles.iter().take(SHOWN).map(String::as_str).collect();
    let more = match obstacles.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" | and {more} more"),
    };
    let text = format!("no probes through the tunnel: {}{more}; or use `via: direct`", shown.join(" | "));
    (!obstacles.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacles_are_one_line_and_not_endless() {
        let obstacles = |many: usize| (0..many).map(|at| format!("o{at}")).collect();
        assert_eq!(tell(&obstacles(0)), None);
        assert_eq!(tell(&obstacles(1)).unwrap(), "no probes through the tunnel: o0; or use `via: direct`");
        assert!(tell(&obstacles(5)).unwrap().contains("o0 | o1 | o2 | and 2 more;"));
    }
}
