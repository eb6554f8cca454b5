use std::collections::BTreeSet;
use std::path::Path;

use time::OffsetDateTime;
use tracing::{debug, error, info, warn};

use super::leaving::{Egresses, Wanted};
use super::reporting::Reporting;
use super::ways::Ways;
use crate::compile::ReceiverImage;
use crate::config::model::NodeConfig;
use crate::config::{self, Problems};
use crate::daemon::interfaces;
use crate::daemon::machine;
use crate::daemon::reload::{refusal, refuse_changes, summary, tell};
use crate::daemon::start::RunError;
use crate::daemon::trouble::Trouble;
use crate::datapath::attach::Attachment;
use crate::datapath::pins::Pins;
use crate::datapath::receiver::Receiver;
use crate::datapath::state;
use crate::observe::node::NodeState;

/// What the agent knows, and the receiver that it keeps true to it.
pub(super) struct NodeAgent {
    config: NodeConfig,
    pins: Pins,
    receiver: Receiver,
    /// To other nodes.
    pub(super) ways: Ways,
    /// The configured interfaces that the program is on.
    attached: Vec<Attachment>,
    /// What is done with what they send.
    egresses: Egresses,
    /// What the gateways are told.
    reporting: Reporting,
    trouble: Trouble,
    state: NodeState,
    /// What was published last.
    written: Option<NodeState>,
}

impl NodeAgent {
    /// Puts the receiver onto the interfaces, over maps that hold what the configuration says.
    ///
    /// # Errors
    /// If that cannot be done; what was in force before is still.
    pub(super) fn start(config: NodeConfig, pins: &Pins, receiver: Receiver) -> Result<Self, RunError> {
        let now = OffsetDateTime::now_utc();
        let since = counted_since(&receiver).unwrap_or(now);
        let state = NodeState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: now,
            configured: now,
            config_digest: config.digest.clone(),
            adopted: receiver.adopted,
            refused_configs: 0,
            last_error: None,
            refused_since: Some(since),
            unclamped: Vec::new(),
        };
        let ways = Ways::start(pins, &config.gateways)?;
        let (pins, attached, trouble) = (pins.clone(), Vec::new(), Trouble::default());
        let (egresses, reporting) = (Egresses::default(), Reporting::new(&pins, since));
        let mut agent = Self {
            config,
            pins,
            receiver,
            ways,
            attached,
            egresses,
            reporting,
            trouble,
            state,
            written: None,
        };
        agent.put(&agent.config.clone())?;
        agent.publish();
        Ok(agent)
    }

    /// All of a configuration, or nothing of it.
    fn put(&mut self, config: &NodeConfig) -> Result<(), RunError> {
        let before = self.receiver.maps.image().map_err(RunError::Receiver)?;
        let image = image(config).map_err(RunError::Receiver)?;
        let attached = interfaces::attach(&mut self.receiver, &config.interfaces, &self.pins)?;
        if let Err(error) = self.hold(&image) {
            interfaces::withdraw(&attached, &self.pins);
            if let Err(reason) = self.receiver.maps.hold(&before) {
                error!(event = "apply", %reason, "what was in force before cannot be restored");
            }
            return Err(RunError::Receiver(error));
        }
        interfaces::detach_others(&attached, &self.pins);
        self.attached = attached;
        self.egresses.renew(&mut self.receiver, Wanted::of(config), &self.pins);
        self.reporting.follow(config);
        Ok(())
    }

    fn hold(&mut self, image: &ReceiverImage) -> std::io::Result<()> {
        let changes = self.receiver.maps.hold(image)?;
        if changes > 0 {
            info!(event = "applied", changes, addresses = image.own.len(), "what the receiver goes by");
        }
        if changes > 0 && image.own.is_empty() {
            warn!(
                event = "applied",
                "this machine has no address that gateways could send to; see `addresses`"
            );
        }
        Ok(())
    }

    /// Compares the kernel with what the configuration says, and with this machine's interfaces and addresses.
    pub(super) fn follow(&mut self) {
        let wanted = &self.config.interfaces;
        self.trouble.interfaces =
            interfaces::follow(&mut self.receiver, &mut self.attached, wanted, &self.pins);
        self.egresses.follow(&mut self.receiver, Wanted::of(&self.config), &self.pins);
        self.reporting.follow(&self.config);
        let held = image(&self.config).and_then(|image| self.hold(&image)).and_then(|()| self.ways.follow());
        let trouble = held.err().map(|error| RunError::Receiver(error).to_string());
        if let Some(reason) = trouble.as_ref().filter(|reason| self.trouble.tables.as_ref() != Some(reason)) {
            error!(event = "apply", reason, "the maps stay as they are; tried again");
        }
        self.trouble.tables = trouble;
        self.publish();
    }

    /// The files that the configuration in force names: those of keys.
    pub(super) fn key_files(&self) -> impl Iterator<Item = &Path> {
        self.config.tunnel_keys.keys.iter().map(|key| key.file.as_path())
    }

    /// Reads the file again, and puts it in force if it says something else.
    pub(super) fn read(&mut self, file: &Path) {
        let read = config::load_node(file).and_then(|config| {
            fixed(file, &self.config, &config)?;
            Ok(config)
        });
        match read {
            Err(problems) => {
                tell(&problems);
                self.refuse(&summary(&problems));
            }
            Ok(config) if config == self.config => {
                debug!(event = "reload", digest = config.digest, "the configuration is what is in force");
                self.trouble.configuration = None;
            }
            Ok(config) => self.change(config),
        }
        self.publish();
    }

    fn change(&mut self, config: NodeConfig) {
        if let Err(error) = self.put(&config) {
            let mut reason = error.to_string();
            // A mode that could not be changed may have cost the link in the old one.
            match interfaces::attach(&mut self.receiver, &self.config.interfaces, &self.pins) {
                Ok(attached) => self.attached = attached,
                Err(again) => reason = format!("{reason}; and what was attached before is not: {again}"),
            }
            error!(event = "reload", reason, "refused");
            return self.refuse(&reason);
        }
        self.config = config;
        self.ways.set_peers(&self.config.gateways);
        self.trouble = Trouble::default();
        self.state.configured = OffsetDateTime::now_utc();
        self.state.config_digest.clone_from(&self.config.digest);
        info!(event = "reload", digest = self.config.digest, "the changed configuration is in force");
    }

    fn refuse(&mut self, reason: &str) {
        self.state.refused_configs += 1;
        self.trouble.configuration = Some(refusal(reason));
    }

    /// Writes the state, unless it is what was written last.
    fn publish(&mut self) {
        self.trouble.report = self.reporting.trouble();
        self.state.last_error = self.trouble.last();
        self.state.unclamped = self.egresses.refused();
        if self.written.as_ref() == Some(&self.state) {
            return;
        }
        let text = serde_json::to_vec(&self.state).map_err(|error| error.to_string());
        let map = &self.receiver.maps.state;
        match text.and_then(|text| state::write(map, &text).map_err(|error| error.to_string())) {
            Ok(()) => self.written = Some(self.state.clone()),
            Err(reason) => error!(event = "publish", reason, "the state stays as it is"),
        }
    }
}

/// Since when refused connections are counted in maps that were there before, as an agent before wrote.
fn counted_since(receiver: &Receiver) -> Option<OffsetDateTime> {
    let text = state::read(&receiver.maps.state).ok().flatten().filter(|_| receiver.adopted)?;
    let state: NodeState = serde_json::from_slice(&text).ok()?;
    state.refused_since
}

fn image(config: &NodeConfig) -> std::io::Result<ReceiverImage> {
    let own = if config.addresses.is_some() { BTreeSet::new() } else { machine::tunnel_ends()? };
    let mtu = if config.mtu.is_some() { None } else { machine::smallest_mtu(&config.interfaces)? };
    Ok(ReceiverImage::of(config, own, mtu))
}

/// Refuses changes of what a running agent holds on to.
fn fixed(file: &Path, now: &NodeConfig, new: &NodeConfig) -> Result<(), Problems> {
    refuse_changes(
        file,
        &[
            (
                now.remember.flows != new.remember.flows,
                "node.remember.flows",
                "the size of a map that is pinned cannot change",
                "put it back, or end the agent, run `spillway unload` (which ends the receiver) and start it",
            ),
            (
                now.pin_path != new.pin_path,
                "node.pinPath",
                "the pins of a running agent cannot move",
                "put it back, or end the agent, run `spillway unload --pin-path` with the old one, and start it",
            ),
        ],
    )
}
