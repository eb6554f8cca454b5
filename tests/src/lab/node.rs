//! A node of a cluster: decapsulates, holds the VIPs, answers HTTP, and can lose power.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use lb_common::abi::{Accepted, LinkAddress, NodeHop};
use lb_common::reason::ReceiverReason;
use lb_common::segment;
use nix::net::if_::if_nametoindex;

use super::topology::{Segment, VIP_V4, VIP_V6};
use super::{End, Namespace, Objects, Pod, Receiver, Server, TunnelDevices, connect};

/// Port of the service on the VIPs (host order).
pub const VIP_PORT: u16 = 80;
/// Port of the health check on the node's own addresses (host order).
pub const HEALTH_PORT: u16 = 8080;
/// Room on the inner links for a 1,500-byte packet and the longest outer headers over IPv6 (112 bytes), in bytes.
pub(super) const TUNNEL_MTU: u16 = 1620;
/// Every host's interface toward the fabric.
pub(super) const INTERFACE: &str = "eth0";

/// Port of the VIPs that leads to a pod where there is one, for the tests' own servers (host order).
pub const UPLOAD_PORT: u16 = 7000;

/// What takes the outer header off at the nodes, and where the packets in them go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decapsulation {
    /// The receiver, which every kernel can run.
    Program,
    /// The kernel's tunnel devices, which not every kernel has.
    Devices(TunnelDevices),
    /// Nothing yet: whoever builds the lab runs agents there.
    Nothing,
    /// The receiver, which clamps segments to a path of so many bytes.
    Clamping(u32),
    /// The same, on a node without the VIPs, whose service proxy translates them to a pod.
    Translated(u32),
}

impl Decapsulation {
    /// What the receiver takes off; none: there is no receiver.
    fn accepted(self) -> Option<Accepted> {
        match self {
            Self::Program => Some(Receiver::usual()),
            Self::Devices(_) | Self::Nothing => None,
            Self::Clamping(mtu) | Self::Translated(mtu) => {
                let usual = Receiver::usual();
                Some(Accepted { segments: segment::limits(&usual, mtu), ..usual })
            }
        }
    }
}

/// A node; its services stop and its namespace goes when dropped.
#[derive(Debug)]
pub struct Node {
    /// Unique name, also what its server answers.
    pub name: String,
    /// Name of its cluster.
    pub cluster: String,
    /// Where it is connected.
    pub segment: Segment,
    /// Share within its pool.
    pub weight: u16,
    /// Its network namespace.
    pub namespace: Namespace,
    /// The pod that the VIPs lead to, if they do not lead to the node itself.
    pub pod: Option<Pod>,
    servers: Vec<Server>,
    receiver: Option<Receiver>,
}

impl Node {
    /// Connects a node to `fabric` (whose interface gets the node's name) and starts its servers.
    pub(super) fn start(
        objects: &Objects,
        fabric: &Namespace,
        (name, cluster, weight): (&str, &str, u16),
        segment: Segment,
        (decapsulation, senders): (Decapsulation, &[IpAddr]),
    ) -> Result<Self> {
        let namespace = Namespace::new(name)?;
        connect(&segment.router_end(fabric, name), &segment.host_end(&namespace, INTERFACE), TUNNEL_MTU)?;
        segment.add_default_routes(&namespace, INTERFACE)?;
        let pod = match decapsulation {
            Decapsulation::Translated(_) => Some(Pod::start(&namespace, segment.behind(), &[UPLOAD_PORT])?),
            _ => hold_vips(&namespace).map(|()| None)?,
        };
        if let Decapsulation::Devices(devices) = decapsulation {
            devices.add(&namespace, segment.host(VIP_V4.into()), segment.host(VIP_V6.into()))?;
        }
        let receiver = match decapsulation.accepted() {
            Some(accepted) => Some(receive(objects, &namespace, segment, accepted, senders)?),
            None => None,
        };
        let mut node = Self {
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            segment,
            weight,
            namespace,
            pod,
            servers: Vec::new(),
            receiver,
        };
        node.serve()?;
        Ok(node)
    }

    /// Its address in the family of `like`.
    pub fn address(&self, like: IpAddr) -> IpAddr {
        self.segment.host(like)
    }

    /// Answers to SYNs that its receiver made to ask for less.
    ///
    /// # Errors
    /// When it has none.
    pub fn clamped(&mut self) -> Result<u64> {
        self.receiver.as_mut().context("no receiver")?.clamped()
    }

    /// Packets that ended at its receiver for a reason.
    ///
    /// # Errors
    /// When it has none.
    pub fn ended(&mut self, reason: ReceiverReason) -> Result<u64> {
        self.receiver.as_mut().context("no receiver")?.ended(reason)
    }

    /// Takes its receiver off: from then on nothing there opens tunnels.
    pub fn end_receiver(&mut self) {
        self.receiver = None;
    }

    /// Cuts it off without a word, as a power loss does: no reset, no unreachable, no answer.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn kill(&mut self) -> Result<()> {
        self.namespace.ip(&format!("link set {INTERFACE} down"))?;
        self.servers.clear();
        Ok(())
    }

    /// Brings it back as after a boot.
    ///
    /// # Errors
    /// When `ip` fails or a port is taken.
    pub fn revive(&mut self) -> Result<()> {
        let end: End = self.segment.host_end(&self.namespace, INTERFACE);
        end.up()?;
        self.segment.add_default_routes(&self.namespace, INTERFACE)?;
        self.serve()
    }

    fn serve(&mut self) -> Result<()> {
        self.servers.clear();
        for port in [VIP_PORT, HEALTH_PORT] {
            self.servers.push(Server::start(&self.namespace, &self.name, port)?);
        }
        Ok(())
    }
}

fn hold_vips(namespace: &Namespace) -> Result<()> {
    namespace.ip(&format!("address add {VIP_V4}/32 dev lo"))?;
    namespace.ip(&format!("address add {VIP_V6}/128 dev lo nodad"))
}

fn receive(
    objects: &Objects,
    namespace: &Namespace,
    segment: Segment,
    accepted: Accepted,
    senders: &[IpAddr],
) -> Result<Receiver> {
    let own = [VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| segment.host(like));
    let mut receiver = Receiver::load(objects, accepted, &own, senders)?;
    // The fabric is next on the way to all others.
    let interface = namespace.enter(|| Ok(if_nametoindex(INTERFACE)?))?;
    let (destination_mac, source_mac) =
        (LinkAddress::new(segment.router_mac(), 0), LinkAddress::new(segment.host_mac(), 0));
    let hop = NodeHop { interface, reserved: 0, destination_mac, source_mac };
    receiver.add_hop(NodeHop::ANY_V4, hop)?;
    receiver.add_hop(NodeHop::ANY_V6, hop)?;
    receiver.attach(namespace, INTERFACE)
}
