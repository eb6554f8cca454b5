//! Two clusters of nodes behind one gateway, around a routing fabric.
//!
//! ```text
//!   client ─┐                 ┌─ eu-1-a, eu-1-b
//!           ├─ fabric (routes)┤
//!  gateway ─┘                 └─ us-1-a, us-1-b
//! ```
//!
//! The fabric routes the VIPs to the gateway; the gateway sends encapsulated packets back over the
//! same interface; nodes hold the VIPs on `lo` and answer the client directly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::node::{INTERFACE, TUNNEL_MTU};
use super::{Attached, Decapsulation, End, Namespace, Node, Objects, TunnelDevices, connect};

/// The service's IPv4 address (RFC 5737 documentation range).
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// The service's IPv6 address (RFC 3849 documentation range).
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// MTU of the client's link in bytes: what the internet has.
const CLIENT_MTU: u16 = 1500;

/// A link's subnets: `10.x.y.0/24` and `fd00:x:y::/64`; `.1` is the fabric's end, `.2` the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    x: u8,
    y: u8,
}

impl Segment {
    /// The link numbered `x`, `y`.
    pub const fn new(x: u8, y: u8) -> Self {
        Self { x, y }
    }

    /// The host's address in the family of `like`.
    pub fn host(self, like: IpAddr) -> IpAddr {
        self.address(like, 2)
    }

    /// The fabric's address in the family of `like`.
    pub fn router(self, like: IpAddr) -> IpAddr {
        self.address(like, 1)
    }

    /// The link behind the host of this one, toward what is on it.
    #[must_use]
    pub const fn behind(self) -> Self {
        Self::new(self.x + 100, self.y)
    }

    /// The host's MAC.
    pub const fn host_mac(self) -> [u8; 6] {
        [2, 0, 0, self.x, self.y, 2]
    }

    /// The fabric's MAC.
    pub const fn router_mac(self) -> [u8; 6] {
        [2, 0, 0, self.x, self.y, 1]
    }

    fn address(self, like: IpAddr, last: u8) -> IpAddr {
        let (x, y) = (u16::from(self.x), u16::from(self.y));
        match like {
            IpAddr::V4(_) => Ipv4Addr::new(10, self.x, self.y, last).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0xfd00, x, y, 0, 0, 0, 0, u16::from(last)).into(),
        }
    }

    fn addresses(self, last: u8) -> Vec<String> {
        let (v4, v6) = (self.address(VIP_V4.into(), last), self.address(VIP_V6.into(), last));
        vec![format!("{v4}/24"), format!("{v6}/64")]
    }

    pub(super) fn host_end<'a>(self, namespace: &'a Namespace, interface: &'a str) -> End<'a> {
        End { namespace, interface, mac: self.host_mac(), addresses: self.addresses(2) }
    }

    pub(super) fn router_end<'a>(self, namespace: &'a Namespace, interface: &'a str) -> End<'a> {
        End { namespace, interface, mac: self.router_mac(), addresses: self.addresses(1) }
    }

    pub(super) fn add_default_routes(self, namespace: &Namespace, interface: &str) -> Result<()> {
        let (v4, v6) = (self.router(VIP_V4.into()), self.router(VIP_V6.into()));
        namespace.ip(&format!("route replace default via {v4} dev {interface}"))?;
        namespace.ip(&format!("-6 route replace default via {v6} dev {interface}"))
    }
}

/// A cluster to build.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// Its name; nodes are called `NAME-a`, `NAME-b`, …
    pub name: &'static str,
    /// Each node's share within the pool.
    pub nodes: Vec<u16>,
}

/// The lab: everything goes when it is dropped.
#[derive(Debug)]
pub struct TwoClusters {
    /// Sends requests to the VIPs.
    pub client: Namespace,
    /// Routes between all others.
    pub fabric: Namespace,
    /// Where the gateway agent runs; its one interface is [`Self::GATEWAY_INTERFACE`].
    pub gateway: Namespace,
    /// All nodes, cluster by cluster.
    pub nodes: Vec<Node>,
    _peer: Attached,
}

impl TwoClusters {
    /// The gateway's interface.
    pub const GATEWAY_INTERFACE: &str = INTERFACE;
    /// Where the client is connected.
    pub const CLIENT: Segment = Segment::new(0, 1);
    /// Where the gateway is connected.
    pub const GATEWAY: Segment = Segment::new(0, 2);
    /// Where a second gateway is connected, if there is one ([`SecondGateway`](super::SecondGateway)).
    pub const SECOND_GATEWAY: Segment = Segment::new(0, 3);

    /// Builds the lab with clusters `eu-1` and `us-1` of two equal nodes.
    ///
    /// # Errors
    /// Without root, without the `ip` tool, or when the kernel refuses a program.
    pub fn build(objects: &Objects) -> Result<Self> {
        Self::with_clusters(objects, &Self::of_nodes(&[1, 1]))
    }

    /// Builds the lab with one node in each cluster, which takes the outer header off with the kernel's tunnel
    /// devices.
    ///
    /// # Errors
    /// As [`Self::build`], and when this kernel has no such devices.
    pub fn with_tunnel_devices(objects: &Objects, devices: TunnelDevices) -> Result<Self> {
        Self::with_nodes(objects, Decapsulation::Devices(devices))
    }

    /// Builds the lab with one node in each cluster, on which nothing takes the outer header off yet.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn with_bare_nodes(objects: &Objects) -> Result<Self> {
        Self::with_decapsulation(objects, &Self::of_nodes(&[1]), Decapsulation::Nothing)
    }

    /// The same with other clusters.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn with_bare_clusters(objects: &Objects, clusters: &[ClusterSpec]) -> Result<Self> {
        Self::with_decapsulation(objects, clusters, Decapsulation::Nothing)
    }

    /// Builds the lab with other clusters.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn with_clusters(objects: &Objects, clusters: &[ClusterSpec]) -> Result<Self> {
        Self::with_decapsulation(objects, clusters, Decapsulation::Program)
    }

    fn of_nodes(nodes: &[u16]) -> [ClusterSpec; 2] {
        ["eu-1", "us-1"].map(|name| ClusterSpec { name, nodes: nodes.to_vec() })
    }

    /// Builds the lab with one node in each cluster, of another kind.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn with_nodes(objects: &Objects, decapsulation: Decapsulation) -> Result<Self> {
        Self::with_decapsulation(objects, &Self::of_nodes(&[1]), decapsulation)
    }

    fn with_decapsulation(
        objects: &Objects,
        clusters: &[ClusterSpec],
        decapsulation: Decapsulation,
    ) -> Result<Self> {
        let fabric = fabric()?;
        let client = host("client", &fabric, Self::CLIENT, CLIENT_MTU)?;
        let gateway = host("gateway", &fabric, Self::GATEWAY, TUNNEL_MTU)?;
        for vip in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
            fabric.ip(&format!("route add {vip} via {}", Self::GATEWAY.host(vip)))?;
        }
        let peer = Attached::pass(objects, &fabric, gateway.name())?;
        // Thousands of short connections would use up the client's ports for a minute each.
        client.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
        let nodes = start_nodes(objects, &fabric, clusters, decapsulation)?;
        Ok(Self { client, fabric, gateway, nodes, _peer: peer })
    }

    /// The node of that name.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }
}

fn fabric() -> Result<Namespace> {
    let fabric = Namespace::new("fabric")?;
    fabric.sysctl("net/ipv4/ip_forward", "1")?;
    fabric.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    Ok(fabric)
}

pub(super) fn host(name: &str, fabric: &Namespace, segment: Segment, mtu: u16) -> Result<Namespace> {
    let namespace = Namespace::new(name)?;
    connect(&segment.router_end(fabric, name), &segment.host_end(&namespace, INTERFACE), mtu)?;
    segment.add_default_routes(&namespace, INTERFACE)?;
    Ok(namespace)
}

fn start_nodes(
    objects: &Objects,
    fabric: &Namespace,
    clusters: &[ClusterSpec],
    decapsulation: Decapsulation,
) -> Result<Vec<Node>> {
    let senders = senders(clusters);
    let mut nodes = Vec::new();
    for (x, cluster) in (1..).zip(clusters) {
        for ((y, letter), weight) in (1..).zip('a'..='z').zip(&cluster.nodes) {
            let name = format!("{}-{letter}", cluster.name);
            let who = (name.as_str(), cluster.name, *weight);
            nodes.push(Node::start(objects, fabric, who, Segment::new(x, y), (decapsulation, &senders))?);
        }
    }
    Ok(nodes)
}

/// Who may send tunnel packets to a node: the gateways, and other nodes that send on.
fn senders(clusters: &[ClusterSpec]) -> Vec<IpAddr> {
    let nodes = (1..).zip(clusters).flat_map(|(x, cluster)| {
        let many = u8::try_from(cluster.nodes.len()).unwrap_or(u8::MAX);
        (1..=many).map(move |y| Segment::new(x, y))
    });
    let all = [TwoClusters::GATEWAY, TwoClusters::SECOND_GATEWAY].into_iter().chain(nodes);
    all.flat_map(|segment| [VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| segment.host(like))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_addresses_of_both_families() {
        let segment = Segment::new(1, 12);
        assert_eq!(segment.host(VIP_V4.into()).to_string(), "10.1.12.2");
        assert_eq!(segment.router(VIP_V6.into()).to_string(), "fd00:1:c::1");
        assert_eq!(segment.addresses(2), ["10.1.12.2/24", "fd00:1:c::2/64"]);
        assert_ne!(segment.host_mac(), segment.router_mac());
    }
}
