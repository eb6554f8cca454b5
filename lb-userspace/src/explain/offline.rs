//! The maps that a configuration would come to, without a kernel.
//!
//! They are those of a gateway that finds every backend up and reachable, and no VIP or backend among its own
//! addresses: what a configuration alone does not tell is taken to be well. Rows and backends are then the
//! ones of every gateway with this configuration; next hops, and an outer source that is not configured,
//! remain unknown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::compile::{Cache, CompileError, Ledger, MapImage, Record, Sizes, compile};
use crate::config::model::Config;
use crate::policy;
use crate::policy::observed::{NextHop, Observed};

/// The maps and the names of what they hold.
///
/// # Errors
/// If the configuration asks for more than its limits have room for.
pub fn imagine(config: &Config) -> Result<(MapImage, Record), CompileError> {
    let desired = policy::decide(config, &all_well(config));
    let mut ledger = Ledger::new(Sizes::of(&config.gateway.limits));
    let image = compile(&desired, &mut ledger, &mut Cache::default(), 0)?;
    Ok((image, ledger.record().clone()))
}

/// Every backend can be reached; by which way is left open, as interface 0 and the unspecified address.
fn all_well(config: &Config) -> Observed {
    let endpoints = config.pools.iter().flat_map(|pool| &pool.endpoints);
    let next_hops = endpoints.map(|endpoint| (endpoint.address, somehow(endpoint.address))).collect();
    Observed { next_hops, ..Observed::default() }
}

fn somehow(address: IpAddr) -> NextHop {
    let source = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    NextHop {
        interface: 0,
        vlan: 0,
        destination_mac: [0; 6],
        source_mac: [0; 6],
        source: Some(source),
        mtu: u16::MAX,
    }
}
