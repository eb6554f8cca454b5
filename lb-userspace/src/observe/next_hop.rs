//! The way out to a backend, as it is printed.

use lb_common::abi::{BackendEntry, BackendFlags, LinkAddress};
use serde::Serialize;

/// How the name of an interface is found.
pub type InterfaceName<'a> = &'a dyn Fn(u32) -> String;

/// Interface and neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextHop {
    /// Egress interface.
    pub interface: String,
    /// The neighbour's MAC.
    pub mac: String,
    /// VLAN of the egress; `None`: untagged.
    pub vlan: Option<u16>,
    /// Path MTU in bytes (outer IP packet).
    pub mtu: u16,
}

impl NextHop {
    /// A backend's; `None` if it has none: it is this machine, or its way is not known.
    pub fn of(backend: &BackendEntry, name: InterfaceName) -> Option<Self> {
        let interface = Some(backend.route.interface).filter(|index| *index != 0)?;
        let vlan = Some(backend.destination_mac.number).filter(|vlan| *vlan != 0);
        let mac = mac(&backend.destination_mac);
        Some(Self { interface: name(interface), mac, vlan, mtu: backend.mtu })
    }
}

/// Whether it is known how a backend is reached, if it is another machine.
pub fn has_way(backend: &BackendEntry) -> bool {
    let flags = backend.route.flags;
    backend.route.interface != 0 || flags.has(BackendFlags::SERVES) || flags.has(BackendFlags::LOCAL)
}

/// A MAC as people write it.
pub fn mac(address: &LinkAddress) -> String {
    address.mac().map(|byte| format!("{byte:02x}")).join(":")
}
