//! The program on the configured interfaces: on all of them, or on none that it was not on before.

use tracing::{info, warn};

use super::start::RunError;
use crate::config::model::Interface;
use crate::datapath::attach::{self, Attachment};
use crate::datapath::load::{LoadError, Loaded};
use crate::datapath::pins::Pins;
use crate::observe::published::InterfaceState;

/// Puts the program onto every interface, in order. If one fails it is taken off those that this call put it
/// on; where an older link was, the new program stays in it, over the same maps.
pub(super) fn attach(
    loaded: &mut Loaded,
    wanted: &[Interface],
    pins: &Pins,
) -> Result<Vec<Attachment>, RunError> {
    let mut attached = Vec::new();
    for interface in wanted {
        match one(loaded, interface, pins) {
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
            Ok(()) => info!(event = "detached", interface = attachment.name, "balanced no more"),
            Err(reason) => {
                warn!(event = "detached", interface = attachment.name, %reason, "cannot be detached");
            }
        }
    }
}

fn one(loaded: &mut Loaded, interface: &Interface, pins: &Pins) -> Result<Attachment, RunError> {
    let program = loaded.program().map_err(LoadError::from)?;
    let attached = attach::attach(program, interface, pins)?;
    info!(event = "attached", interface = attached.name, mode = attached.mode.name(), "balancing");
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
            Ok(()) => info!(event = "detached", interface = link.interface, "balanced no more"),
            Err(reason) => {
                warn!(event = "detached", interface = link.interface, %reason, "cannot be detached");
            }
        }
    }
}

/// As they are published.
pub(super) fn states(attached: &[Attachment]) -> Vec<InterfaceState> {
    let state = |attachment: &Attachment| InterfaceState {
        name: attachment.name.clone(),
        mode: attachment.mode.name().to_owned(),
        program_id: attachment.program_id,
    };
    attached.iter().map(state).collect()
}
