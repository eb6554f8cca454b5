use anyhow::Context as _;

use super::{Failure, Pinned};
use crate::datapath::pins::Pins;

pub(super) fn run(options: &Pinned) -> Result<(), Failure> {
    let pins = Pins::new(&options.pin_path);
    pins.remove_all().with_context(|| pins.directory().display().to_string())?;
    Ok(())
}
