//! What is to be seen of a gateway.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::links::Kernel;
use super::{ingress, kernel, settings};
use crate::compile::probed_vips;
use crate::config::Config;
use crate::datapath::nexthop::look;
use crate::doctor::facts::Seen;
use crate::doctor::gateway::{GatewayFacts, Installed};
use crate::doctor::node::ALL;

/// A gateway with this configuration, and what an agent has put into the kernel. To be called inside a tokio runtime.
pub async fn gateway(config: Config, installed: Seen<Option<Installed>>) -> GatewayFacts {
    let netlink = Kernel::open();
    let links = match &netlink {
        Ok(netlink) => netlink.links().await,
        Err(why) => Err(why.clone()),
    };
    let addresses = match (&netlink, &links) {
        (Ok(netlink), Ok(links)) => netlink.addresses(links).await,
        (Err(why), _) | (_, Err(why)) => Err(why.clone()),
    };
    let ways = look(&endpoints(&config)).await.map_err(|error| error.to_string());
    let probed = look(&probed_vips(&config)).await.map_err(|error| error.to_string());
    let names = config.gateway.interfaces.iter().map(|interface| &interface.name);
    let interfaces = names.clone().map(|name| ingress(name, &links)).collect();
    let reverse_path = names.map(|name| (name.clone(), reverse_path(name))).collect();
    let machine = kernel::machine(&config.gateway.pin_path);
    GatewayFacts { config, machine, interfaces, links, addresses, ways, probed, reverse_path, installed }
}

/// The kernel goes by the larger of the interface's and that of all.
fn reverse_path(interface: &str) -> Seen<u8> {
    Ok(settings::of(ALL)?.rp_filter.max(settings::of(interface)?.rp_filter))
}

fn endpoints(config: &Config) -> BTreeSet<IpAddr> {
    config.pools.iter().flat_map(|pool| &pool.endpoints).map(|endpoint| endpoint.address).collect()
}
