//! A second gateway beside the lab's first: the fabric divides flows to the VIPs between both (equal-cost multipath, by
//! addresses and ports), until one is lost.

use std::net::IpAddr;

use anyhow::Result;

use super::node::TUNNEL_MTU;
use super::topology::host;
use super::{Attached, Namespace, Objects, Segment, TwoClusters, VIP_V4, VIP_V6};

/// The second gateway; it goes when dropped.
#[derive(Debug)]
pub struct SecondGateway {
    /// Where its agent runs; its one interface is [`TwoClusters::GATEWAY_INTERFACE`].
    pub namespace: Namespace,
    // What XDP_TX sends out of a veth is lost without a program on the other end.
    _peers: Vec<Attached>,
}

impl SecondGateway {
    /// Connects it to the lab, whose nodes may from now on send on what is not theirs. All flows go to the first gateway
    /// as before.
    ///
    /// # Errors
    /// As [`TwoClusters::build`].
    pub fn join(lab: &TwoClusters, objects: &Objects) -> Result<Self> {
        let namespace = host("gateway-2", &lab.fabric, TwoClusters::SECOND_GATEWAY, TUNNEL_MTU)?;
        // By ports too: the client has one address.
        for family in ["ipv4", "ipv6"] {
            lab.fabric.sysctl(&format!("net/{family}/fib_multipath_hash_policy"), "1")?;
        }
        let nodes = lab.nodes.iter().map(|node| node.name.as_str());
        let peers = ["gateway-2"].into_iter().chain(nodes);
        let peers = peers.map(|peer| Attached::pass(objects, &lab.fabric, peer)).collect::<Result<_>>()?;
        Ok(Self { namespace, _peers: peers })
    }

    /// Divides flows between both.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn divide(lab: &TwoClusters) -> Result<()> {
        route(lab, &[TwoClusters::GATEWAY, TwoClusters::SECOND_GATEWAY])
    }

    /// Leads all flows to one, as a routing protocol does that has lost the other.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn only(lab: &TwoClusters, gateway: Segment) -> Result<()> {
        route(lab, &[gateway])
    }
}

fn route(lab: &TwoClusters, gateways: &[Segment]) -> Result<()> {
    for vip in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
        let hops: Vec<_> = gateways.iter().map(|one| format!("nexthop via {}", one.host(vip))).collect();
        lab.fabric.ip(&format!("route replace {vip} {}", hops.join(" ")))?;
    }
    Ok(())
}
