//! The program for what interfaces send, which lowers the MSS in answers to SYNs. Tunnels are taken apart without it too:
//! where it cannot be, the agent goes on and says so.

use std::collections::BTreeMap;

use nix::net::if_::if_nametoindex;
use tracing::{info, warn};

use crate::config::model::{Interface, NodeConfig};
use crate::datapath::egress;
use crate::datapath::pins::Pins;
use crate::datapath::receiver::{Leaving, Receiver};
use crate::observe::node::Unclamped;

const MEND: &str = "lower `advmss` on the routes to clients by it, or say `clampMss: false`";

/// The interfaces with the program on what they send, and those that refuse it.
#[derive(Debug, Default)]
pub(super) struct Clamps {
    /// Name, and the kernel's number: another interface of that name has another one.
    on: BTreeMap<String, u32>,
    /// Name and reason.
    refused: BTreeMap<String, String>,
}

/// The interfaces that are to have it.
pub(super) fn wanted(config: &NodeConfig) -> &[Interface] {
    if config.clamp_mss { &config.interfaces } else { &[] }
}

impl Clamps {
    /// Puts the program onto what all of these send, in place of that of an agent before, and takes it off all others.
    pub(super) fn renew(&mut self, receiver: &mut Receiver, wanted: &[Interface], pins: &Pins) {
        let is_wanted = |name: &String| wanted.iter().any(|interface| interface.name == *name);
        for name in pins.egress_interfaces().unwrap_or_default() {
            if !is_wanted(&name) {
                detach(&name, pins);
            }
        }
        self.refused.retain(|name, _| is_wanted(name));
        self.on.clear();
        self.follow(receiver, wanted, pins);
    }

    /// Takes note of interfaces that are gone, and puts the program onto what those send that are there (again).
    pub(super) fn follow(&mut self, receiver: &mut Receiver, wanted: &[Interface], pins: &Pins) {
        for Interface { name, .. } in wanted {
            let index = if_nametoindex(name.as_str()).ok();
            if index.is_some() && self.on.get(name).copied() == index {
                continue;
            }
            if self.on.remove(name).is_some() {
                // Of an interface that is no more.
                detach(name, pins);
            }
            // What is not there is told of by those who put the receiver onto it.
            if let Some(index) = index {
                self.attach(receiver, name, index, pins);
            }
        }
    }

    fn attach(&mut self, receiver: &mut Receiver, name: &str, index: u32, pins: &Pins) {
        match receiver.look_at_leaving(Leaving::Clamp, name, pins) {
            Ok(hold) => {
                info!(event = "clamp", interface = name, hold = hold.name(), "answers to SYNs are clamped");
                self.on.insert(name.to_owned(), index);
                self.refused.remove(name);
            }
            Err(error) => self.refuse(name, error.to_string()),
        }
    }

    /// Says so, unless it has been said.
    fn refuse(&mut self, name: &str, reason: String) {
        if self.refused.get(name) != Some(&reason) {
            warn!(event = "clamp", interface = name, reason, mend = MEND, "answers to SYNs are not clamped");
            self.refused.insert(name.to_owned(), reason);
        }
    }

    /// What is not clamped and why, as it is published.
    pub(super) fn refused(&self) -> Vec<Unclamped> {
        let one = |(interface, reason): (&String, &String)| Unclamped {
            interface: interface.clone(),
            reason: format!("{reason}; {MEND}"),
        };
        self.refused.iter().map(one).collect()
    }
}

fn detach(name: &str, pins: &Pins) {
    match egress::detach(name, egress::LEAVING_HANDLE, &pins.egress(name)) {
        Ok(()) => info!(event = "clamp", interface = name, "answers to SYNs are clamped there no more"),
        Err(reason) => warn!(event = "clamp", interface = name, %reason, "cannot be detached"),
    }
}
