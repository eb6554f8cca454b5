//! The program for what interfaces send, which lowers the MSS in answers to SYNs and counts refused connections, or does
//! the latter alone. Tunnels are taken apart without it too: where it cannot be, the agent goes on and says so.

use std::collections::BTreeMap;

use nix::net::if_::if_nametoindex;
use tracing::{info, warn};

use crate::config::model::{Interface, NodeConfig};
use crate::datapath::egress;
use crate::datapath::pins::Pins;
use crate::datapath::receiver::{Leaving, Receiver};
use crate::observe::node::Unclamped;

/// The program, and the interfaces that are to have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    leaving: Leaving,
    interfaces: &'a [Interface],
}

impl<'a> Wanted<'a> {
    /// What a configuration wants.
    pub(super) fn of(config: &'a NodeConfig) -> Self {
        let leaving = if config.clamp_mss { Leaving::Clamp } else { Leaving::Refuse };
        let any = config.clamp_mss || config.report.is_some();
        Self { leaving, interfaces: if any { &config.interfaces } else { &[] } }
    }

    const fn mend(self) -> &'static str {
        match self.leaving {
            Leaving::Clamp => "lower `advmss` on the routes to clients by it, or say `clampMss: false`",
            Leaving::Refuse => "let answers leave by another, or remove `report`",
        }
    }
}

/// The interfaces with the program on what they send, and those that refuse it.
#[derive(Debug, Default)]
pub(super) struct Egresses {
    /// Name, and the kernel's number: another interface of that name has another one.
    on: BTreeMap<String, u32>,
    /// Name, and the reason with its mend.
    refused: BTreeMap<String, String>,
}

impl Egresses {
    /// Puts the program onto what all of these send, in place of that of an agent before, and takes it off all others.
    pub(super) fn renew(&mut self, receiver: &mut Receiver, wanted: Wanted<'_>, pins: &Pins) {
        let is_wanted = |name: &String| wanted.interfaces.iter().any(|interface| interface.name == *name);
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
    pub(super) fn follow(&mut self, receiver: &mut Receiver, wanted: Wanted<'_>, pins: &Pins) {
        for Interface { name, .. } in wanted.interfaces {
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
                self.attach(receiver, wanted, (name, index), pins);
            }
        }
    }

    fn attach(
        &mut self,
        receiver: &mut Receiver,
        wanted: Wanted<'_>,
        (name, index): (&str, u32),
        pins: &Pins,
    ) {
        match receiver.look_at_leaving(wanted.leaving, name, pins) {
            Ok(hold) => {
                let (program, hold) = (wanted.leaving.name(), hold.name());
                info!(event = "leaving", interface = name, program, hold, "what it sends is looked at");
                self.on.insert(name.to_owned(), index);
                self.refused.remove(name);
            }
            Err(error) => self.refuse(name, wanted, &error.to_string()),
        }
    }

    /// Says so, unless it has been said.
    fn refuse(&mut self, name: &str, wanted: Wanted<'_>, reason: &str) {
        let mend = wanted.mend();
        let said = format!("{reason}; {mend}");
        if self.refused.get(name) != Some(&said) {
            let lost = match wanted.leaving {
                Leaving::Clamp => "answers to SYNs are not clamped, nor refused connections counted",
                Leaving::Refuse => "refused connections are not counted",
            };
            warn!(event = "leaving", interface = name, reason, mend, "{lost}");
            self.refused.insert(name.to_owned(), said);
        }
    }

    /// What is not looked at and why, as it is published.
    pub(super) fn refused(&self) -> Vec<Unclamped> {
        let one = |(interface, reason): (&String, &String)| Unclamped {
            interface: interface.clone(),
            reason: reason.clone(),
        };
        self.refused.iter().map(one).collect()
    }
}

fn detach(name: &str, pins: &Pins) {
    match egress::detach(name, egress::LEAVING_HANDLE, &pins.egress(name)) {
        Ok(()) => info!(event = "leaving", interface = name, "what it sends is looked at no more"),
        Err(reason) => warn!(event = "leaving", interface = name, %reason, "cannot be detached"),
    }
}
