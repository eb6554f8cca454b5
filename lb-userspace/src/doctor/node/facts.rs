//! What was seen of a backend node.

use std::net::IpAddr;

use crate::config::model::EncapKind;
use crate::doctor::facts::{Ingress, Link, LocalAddress, Seen, Ways};

/// What a node is to do, as far as it is not written in a file of its own.
#[derive(Debug, Clone)]
pub struct Task {
    /// The VIPs that it answers for.
    pub vips: Vec<IpAddr>,
    /// The gateways that send to it.
    pub gateways: Vec<IpAddr>,
    /// Clients whose way back is to be looked at; none: the default routes.
    pub clients: Vec<IpAddr>,
    /// How the gateways wrap packets.
    pub encap: EncapKind,
    /// Whether a service proxy (kube-proxy, Cilium) takes packets for the VIPs, so that no interface has them.
    pub service_proxy: bool,
}

/// What the receiver's program is called in its object.
pub(super) const RECEIVER: &str = "receiver";

/// A node.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// What it is to do.
    pub task: Task,
    /// Interfaces that tunnel packets arrive by.
    pub interfaces: Vec<Ingress>,
    /// All interfaces of the network namespace.
    pub links: Seen<Vec<Link>>,
    /// All its addresses.
    pub addresses: Seen<Vec<LocalAddress>>,
    /// The ways to the gateways, the clients and the VIPs.
    pub ways: Ways,
    /// Default routes of both families.
    pub defaults: Seen<Vec<DefaultRoute>>,
    /// Settings below `/proc/sys/net/ipv4/conf`, by interface; `all` is one of them.
    pub settings: Vec<(String, Seen<Settings>)>,
}

impl NodeFacts {
    /// What is set for an interface, `all` taken into account: the kernel goes by the larger of the two
    /// (Documentation/networking/ip-sysctl).
    pub fn effective(&self, interface: &str) -> Seen<Settings> {
        let (all, own) = (self.set(ALL)?, self.set(interface)?);
        Ok(Settings {
            rp_filter: all.rp_filter.max(own.rp_filter),
            arp_ignore: all.arp_ignore.max(own.arp_ignore),
            arp_announce: all.arp_announce.max(own.arp_announce),
        })
    }

    fn set(&self, interface: &str) -> Seen<Settings> {
        let found = self.settings.iter().find(|(name, _)| name == interface);
        found.map_or_else(
            || Err(format!("nothing is known of the settings of {interface}")),
            |(_, seen)| seen.clone(),
        )
    }

    /// Interfaces of the kernel's tunnels, of a kind.
    pub(super) fn tunnels(&self, kind: &str) -> Vec<&Link> {
        self.links.iter().flatten().filter(|link| link.is_kind(kind)).collect()
    }

    /// Whether an XDP program is on an interface that tunnel packets arrive by.
    pub(super) fn has_program(&self) -> bool {
        self.interfaces.iter().filter_map(|ingress| ingress.link.as_ref()).any(|link| link.xdp.is_some())
    }

    /// Whether the receiver is there, or a program that may be it: what it is called is told to root.
    pub(super) fn has_receiver(&self) -> bool {
        let links = self.interfaces.iter().filter_map(|ingress| ingress.link.as_ref());
        let mut programs = links.filter_map(|link| link.xdp.as_ref());
        programs.any(|xdp| xdp.name.as_deref().is_none_or(|name| name == RECEIVER))
    }

    pub(super) fn has_v4_vip(&self) -> bool {
        self.task.vips.iter().any(IpAddr::is_ipv4)
    }

    /// Names of the interfaces that tunnel packets arrive by.
    pub(super) fn ingress_names(&self) -> Vec<&str> {
        self.interfaces.iter().map(|ingress| ingress.name.as_str()).collect()
    }
}

/// The settings of all interfaces.
pub const ALL: &str = "all";

/// IPv4 settings of an interface (Documentation/networking/ip-sysctl).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// 0 none, 1 strict, 2 loose.
    pub rp_filter: u8,
    /// From 1 on: ARP is answered only for addresses of the interface that asks.
    pub arp_ignore: u8,
    /// 2: ARP requests are sent with an address of the interface that asks.
    pub arp_announce: u8,
}

/// A route to everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Whether it is one of IPv6.
    pub v6: bool,
    /// Name of its interface.
    pub interface: String,
    /// The router.
    pub via: Option<IpAddr>,
    /// Its own MTU, bytes; `None`: the interface's.
    pub mtu: Option<u32>,
    /// Its own MSS, bytes; `None`: what the MTU leaves.
    pub advmss: Option<u32>,
}
