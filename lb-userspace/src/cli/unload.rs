use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{Failure, Pinned};
use crate::datapath::egress;
use crate::datapath::lock::{LockError, PinLock};
use crate::datapath::pins::{Pins, Tenant};

/// `spillway unload`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    pinned: Pinned,
    /// Even while an agent runs: it balances nothing from then on, until it is started again.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let pins = Pins::new(&options.pinned.pin_path);
    if !pins.directory().exists() {
        return Ok(());
    }
    let _lock = if options.force { None } else { Some(lock(&pins)?) };
    let place = || pins.directory().display().to_string();
    // A filter is not gone with its pin.
    let handle = match pins.tenant() {
        Some(Tenant::Gateway) => egress::PROBE_HANDLE,
        Some(Tenant::Node) | None => egress::LEAVING_HANDLE,
    };
    for interface in pins.egress_interfaces().with_context(place)? {
        egress::detach(&interface, handle, &pins.egress(&interface))
            .map_err(|error| Failure::of_kernel(error.into()))?;
    }
    pins.remove_all().with_context(place)?;
    Ok(())
}

/// No agent is to start in the middle of it, nor to run without knowing.
fn lock(pins: &Pins) -> Result<PinLock, Failure> {
    let refused = |error| match error {
        LockError::Held { directory } => anyhow!(
            "an agent runs on the maps at {directory}; end it first, or take them away under it with --force"
        ),
        failed @ LockError::Failed { .. } => failed.into(),
    };
    PinLock::take(pins).map_err(|error| Failure::of_kernel(refused(error)))
}
