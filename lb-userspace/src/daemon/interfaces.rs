//! The program on the configured interfaces: when a configuration takes force on all of them, or on none that
//! it was not on before; later on those that are there.

use lb_common::abi::Features;
use nix::net::if_::if_nametoindex;
use tracing::{error, info, warn};

use super::agent::Agent;
use super::start::RunError;
use crate::compile::Sizes;
use crate::config;
use crate::config::model::Interface;
use crate::datapath::attach::{self, Attachment, Carrier};
use crate::datapath::load::LoadError;
use crate::datapath::pins::{PinnedMode, Pins};
use crate::observe::published::InterfaceState;

/// Puts the program onto every interface, in order. If one fails it is taken off those that this call put it
/// on; where an older link was, the new program stays in it, over the same maps.
pub(super) fn attach(
    carrier: &mut impl Carrier,
    wanted: &[Interface],
    pins: &Pins,
) -> Result<Vec<Attachment>, RunError> {
    let mut attached = Vec::new();
    for interface in wanted {
        match one(carrier, interface, pins) {
            Ok(attachment) => attached.push(attachment),
            Err(error) => {
                withdraw(&attached, pins);
                return Err(error);
            }
        }
    }
    Ok(attached)
}

/// Takes the program off the interfaces that had no link before.
pub(super) fn withdraw(attached: &[Attachment], pins: &Pins) {
    for attachment in attached.iter().filter(|attachment| attachment.new) {
        match attach::detach(&attachment.link(), pins) {
            Ok(()) => info!(event = "detached", interface = attachment.name, "the program is on it no more"),
            Err(reason) => {
                warn!(event = "detached", interface = attachment.name, %reason, "cannot be detached");
            }
        }
    }
}

fn one(carrier: &mut impl Carrier, interface: &Interface, pins: &Pins) -> Result<Attachment, RunError> {
    let program = carrier.program().map_err(LoadError::from)?;
    let attached = attach::attach(program, interface, pins)?;
    info!(event = "attached", interface = attached.name, mode = attached.mode.name(), "the program is on it");
    Ok(attached)
}

/// Takes the program off all other interfaces.
pub(super) fn detach_others(attached: &[Attachment], pins: &Pins) {
    let wanted = |name: &str| attached.iter().any(|attachment| attachment.name == name);
    for link in pins.links().unwrap_or_default() {
        if wanted(&link.interface) {
            continue;
        }
        match attach::detach(&link, pins) {
            Ok(()) => info!(event = "detached", interface = link.interface, "the program is on it no more"),
            Err(reason) => {
                warn!(event = "detached", interface = link.interface, %reason, "cannot be detached");
            }
        }
    }
}

/// Puts the program into every link that is pinned and whose interface is there, whatever is configured: all
/// packets are to meet the same program.
pub(super) fn exchange(carrier: &mut impl Carrier, pins: &Pins) -> Result<Vec<Attachment>, RunError> {
    let links = pins.links().unwrap_or_default();
    let there = links.into_iter().filter(|link| if_nametoindex(link.interface.as_str()).is_ok());
    let interface = |link: PinnedMode| Interface { name: link.interface, mode: link.mode };
    there.map(|link| one(carrier, &interface(link), pins)).collect()
}

impl Agent {
    /// Sees to it that the program on all interfaces can do this, and no more. Tables that make use of it may be
    /// applied afterwards; those that make use of more must not be in force.
    pub(super) fn provide(&mut self, features: Features) -> Result<(), String> {
        if self.loaded.features() == features {
            return Ok(());
        }
        let sizes = Sizes::of(&self.config.gateway.limits);
        self.loaded.renew(&self.pins, &sizes, features).map_err(|error| error.to_string())?;
        let exchanged = exchange(&mut self.loaded, &self.pins).map_err(|error| error.to_string())?;
        self.probes.renew(&mut self.loaded, &self.pins);
        for attached in &mut self.attached {
            if let Some(now) = exchanged.iter().find(|now| now.name == attached.name) {
                attached.clone_from(now);
            }
        }
        self.published.interfaces = states(&self.attached);
        info!(event = "program", features = features.bits(), "exchanged for what the configuration needs");
        Ok(())
    }

    /// Leaves out of the program what the tables in force have no use for. If that fails, nothing is lost but
    /// time.
    pub(super) fn prune(&mut self) {
        let needed = config::features(&self.config);
        if let Err(reason) = self.provide(needed) {
            warn!(event = "program", reason, "keeps features that the configuration does not need");
        }
        self.published.features = needed.bits();
        self.publish_or_say();
    }

    /// Notes and publishes which interfaces the program is on, now that it is on all that are configured.
    pub(super) fn is_on(&mut self, attached: Vec<Attachment>) {
        self.published.interfaces = states(&attached);
        self.attached = attached;
        self.trouble.interfaces = None;
    }

    /// Takes note of interfaces that are gone, and puts the program onto those that are there (again).
    pub(super) fn follow_interfaces(&mut self) {
        let wanted = &self.config.gateway.interfaces;
        self.trouble.interfaces = follow(&mut self.loaded, &mut self.attached, wanted, &self.pins);
        self.published.interfaces = states(&self.attached);
        self.publish_or_say();
    }
}

/// Takes note of interfaces that are gone, and puts the program onto those that are there (again). What is wrong.
pub(super) fn follow(
    carrier: &mut impl Carrier,
    attached: &mut Vec<Attachment>,
    wanted: &[Interface],
    pins: &Pins,
) -> Option<String> {
    let troubles = wanted.iter().filter_map(|interface| follow_one(carrier, attached, interface, pins).err());
    let troubles: Vec<_> = troubles.collect();
    (!troubles.is_empty()).then(|| troubles.join("; "))
}

fn follow_one(
    carrier: &mut impl Carrier,
    attached: &mut Vec<Attachment>,
    interface: &Interface,
    pins: &Pins,
) -> Result<(), String> {
    let name = &interface.name;
    let index = if_nametoindex(name.as_str()).ok();
    let known = attached.iter().position(|attached| attached.name == *name);
    if known.is_some_and(|at| Some(attached[at].index) == index) {
        return Ok(());
    }
    if let Some(at) = known {
        forget(&attached.remove(at), pins);
    }
    if index.is_none() {
        return Err(format!("interface {name} is gone; its packets are taken again when it is back"));
    }
    match one(carrier, interface, pins) {
        Ok(attachment) => attached.push(attachment),
        Err(error) => {
            error!(event = "attached", interface = name, reason = %error, "not attached; tried again");
            return Err(error.to_string());
        }
    }
    Ok(())
}

/// The interface of that attachment is no more; its link leads nowhere.
fn forget(gone: &Attachment, pins: &Pins) {
    warn!(event = "detached", interface = gone.name, "the interface is gone");
    if let Err(reason) = attach::detach(&gone.link(), pins) {
        warn!(event = "detached", interface = gone.name, %reason, "its link stays pinned");
    }
}

/// As they are published.
fn states(attached: &[Attachment]) -> Vec<InterfaceState> {
    let state = |attachment: &Attachment| InterfaceState {
        name: attachment.name.clone(),
        mode: attachment.mode.name().to_owned(),
        program_id: attachment.program_id,
    };
    attached.iter().map(state).collect()
}
