//! What is to be seen of a backend node.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::links::Kernel;
use super::{ingress, settings};
use crate::datapath::nexthop::{Resolution, Unresolved, Way, look};
use crate::doctor::facts::{Link, LocalAddress, Seen, Ways};
use crate::doctor::node::{ALL, DefaultRoute, NodeFacts, Task};

/// What is asked of a node.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is to do.
    pub task: Task,
    /// Addresses that may send to it, by its file: gateways, but for those that are this very machine's.
    pub peers: Vec<IpAddr>,
    /// Interfaces that tunnel packets arrive by; none: those that lead to the gateways.
    pub interfaces: Vec<String>,
}

/// A node. To be called inside a tokio runtime.
pub async fn node(wanted: Wanted) -> NodeFacts {
    let Wanted { mut task, peers, interfaces } = wanted;
    let (links, addresses, defaults) = dumps().await;
    let is_own = |peer: &IpAddr| addresses.iter().flatten().any(|own: &LocalAddress| own.address == *peer);
    task.gateways.extend(peers.into_iter().filter(|peer| !is_own(peer)));
    let asked = [&task.gateways, &task.clients, &task.vips].into_iter().flatten().copied().collect();
    let ways = look(&asked).await.map_err(|error| error.to_string());
    let names = if interfaces.is_empty() { toward(&task.gateways, &ways, &links) } else { interfaces };
    let interfaces = names.iter().map(|name| ingress(name, &links)).collect();
    let settings = set(&links);
    NodeFacts { task, interfaces, links, addresses, ways, defaults, settings }
}

type Dumps = (Seen<Vec<Link>>, Seen<Vec<LocalAddress>>, Seen<Vec<DefaultRoute>>);

async fn dumps() -> Dumps {
    let netlink = match Kernel::open() {
        Ok(netlink) => netlink,
        Err(why) => return (Err(why.clone()), Err(why.clone()), Err(why)),
    };
    match netlink.links().await {
        Err(why) => (Err(why.clone()), Err(why.clone()), Err(why)),
        Ok(links) => {
            let (addresses, defaults) = (netlink.addresses(&links).await, netlink.defaults(&links).await);
            (Ok(links), addresses, defaults)
        }
    }
}

/// Interfaces by which the node would send to the gateways: their packets mostly arrive there.
fn toward(gateways: &[IpAddr], ways: &Ways, links: &Seen<Vec<Link>>) -> Vec<String> {
    let ways = gateways.iter().filter_map(|gateway| ways.as_ref().ok()?.get(gateway));
    let names: BTreeSet<String> = ways.filter_map(|way| egress(way, links)).collect();
    names.into_iter().collect()
}

/// The IP interface: a next hop names the parent of a VLAN.
fn egress(way: &Way, links: &Seen<Vec<Link>>) -> Option<String> {
    match &way.resolution {
        Resolution::Via(hop) if hop.vlan.is_some() => {
            let mut above = links.iter().flatten().filter(|link| link.parent == Some(hop.interface_index));
            above.find(|link| link.vlan == hop.vlan).map(|link| link.name.clone())
        }
        Resolution::Via(hop) => Some(hop.interface_name.clone()),
        Resolution::Unresolved(
            Unresolved::NoNeighbour { interface, .. } | Unresolved::LinkDown { interface },
        ) => Some(interface.clone()),
        _ => None,
    }
}

/// Settings of all interfaces.
fn set(links: &Seen<Vec<Link>>) -> Vec<(String, Seen<crate::doctor::node::Settings>)> {
    let names = links.iter().flatten().map(|link| link.name.as_str());
    [ALL].into_iter().chain(names).map(|name| (name.to_owned(), settings::of(name))).collect()
}
