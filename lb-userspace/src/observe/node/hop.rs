use lb_common::abi::NodeHop;
use serde::Serialize;

use crate::observe::next_hop::{InterfaceName, mac};

/// The way to another node, as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Egress interface.
    pub interface: String,
    /// MAC of the next hop: the node's own, or a router's.
    pub mac: String,
    /// VLAN of the egress; `None`: untagged.
    pub vlan: Option<u16>,
}

impl Hop {
    /// As the map has it.
    pub fn of(hop: &NodeHop, name: InterfaceName) -> Self {
        let vlan = Some(hop.destination_mac.number).filter(|vlan| *vlan != 0);
        Self { interface: name(hop.interface), mac: mac(&hop.destination_mac), vlan }
    }
}
