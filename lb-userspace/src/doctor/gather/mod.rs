//! Looks at the machine, and judges nothing: netlink, procfs, sysctl and the ethtool ioctl, all of the network
//! namespace of the calling thread. Reads only; most of it needs no privilege.

mod drivers;
mod features;
mod gateway;
mod kernel;
mod links;
mod node;
mod settings;

pub use gateway::gateway;
pub use node::{Wanted, node};

use super::facts::{Ingress, Link, Seen};

/// An interface by its name, with what the driver has on.
fn ingress(name: &str, links: &Seen<Vec<Link>>) -> Ingress {
    let link = links.iter().flatten().find(|link| link.name == name).cloned();
    Ingress { name: name.to_owned(), features: features::active(name), link }
}
