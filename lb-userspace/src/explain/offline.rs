//! The maps that a configuration would come to, without a kernel.
//!
//! They are those of a gateway that finds every backend up and reachable, and no VIP or backend among its own
//! addresses: what a configuration alone does not tell is taken to be well. Rows and backends are then the
//! ones of every gateway with this configuration; next hops, and an outer source that is not configured,
//! remain unknown.

use crate::compile::{Cache, CompileError, Ledger, MapImage, Record, Sizes, compile};
use crate::config::model::Config;
use crate::policy;
use crate::policy::observed::Observed;

/// The maps and the names of what they hold.
///
/// # Errors
/// If the configuration asks for more than its limits have room for.
pub fn imagine(config: &Config) -> Result<(MapImage, Record), CompileError> {
    let desired = policy::decide(config, &Observed::all_well(config));
    let mut ledger = Ledger::new(Sizes::of(&config.gateway.limits));
    let image = compile(&desired, &mut ledger, &mut Cache::default(), 0)?;
    Ok((image, ledger.record().clone()))
}
