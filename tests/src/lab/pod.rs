//! What a VIP leads to on a Kubernetes node: the service proxy translates it to a pod's address and port, as kube-proxy's
//! nftables mode does for `externalIPs` with `externalTrafficPolicy: Local`, which leaves the client's address.

use std::net::IpAddr;

use anyhow::Result;

use super::topology::{Segment, VIP_V4, VIP_V6};
use super::{Namespace, connect, firewall};

/// The node's interface toward the pod, and the pod's own.
const NODE_END: &str = "pod0";
const POD_END: &str = "eth0";
/// MTU of the link between, in bytes.
const MTU: u16 = 1500;
/// Ports of the pod are those of the VIP and this.
const SHIFT: u16 = 1000;

/// A pod, behind its node's service proxy; its namespace goes when dropped.
#[derive(Debug)]
pub struct Pod {
    /// Its network namespace.
    pub namespace: Namespace,
}

impl Pod {
    /// Why this machine cannot translate addresses, if it cannot.
    ///
    /// # Errors
    /// As of [`firewall::obstacle`].
    pub fn obstacle() -> Result<Option<String>> {
        firewall::obstacle(&rules([VIP_V4.into(), VIP_V6.into()], &[80]))
    }

    /// Port of the pod to which a port of the VIP leads (both in host order).
    pub const fn port(of_vip: u16) -> u16 {
        of_vip + SHIFT
    }

    /// Connects a pod to `node` and leads these ports of the VIPs there.
    ///
    /// # Errors
    /// When `ip` or `nft` refuse.
    pub(super) fn start(node: &Namespace, segment: Segment, ports: &[u16]) -> Result<Self> {
        let namespace = Namespace::new(&format!("{}'s pod", node.name()))?;
        connect(&segment.router_end(node, NODE_END), &segment.host_end(&namespace, POD_END), MTU)?;
        segment.add_default_routes(&namespace, POD_END)?;
        node.sysctl("net/ipv4/ip_forward", "1")?;
        node.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        let pod = [VIP_V4.into(), VIP_V6.into()].map(|like: IpAddr| segment.host(like));
        firewall::load(node, &rules(pod, ports))?;
        Ok(Self { namespace })
    }
}

/// From the VIPs to a pod's addresses: of IPv4, and of IPv6.
fn rules(pod: [IpAddr; 2], ports: &[u16]) -> String {
    let [v4, v6] = pod;
    table("ip", VIP_V4.into(), &v4.to_string(), ports)
        + &table("ip6", VIP_V6.into(), &format!("[{v6}]"), ports)
}

fn table(family: &str, vip: IpAddr, pod: &str, ports: &[u16]) -> String {
    let rule =
        |port: &u16| format!("{family} daddr {vip} tcp dport {port} dnat to {pod}:{}\n", Pod::port(*port));
    let rules: String = ports.iter().map(rule).collect();
    let hook = "type nat hook prerouting priority dstnat; policy accept;";
    format!("table {family} services {{\nchain external {{\n{hook}\n{rules}}}\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_of_a_vip_leads_to_one_of_the_pod() {
        let rules = rules([[10, 101, 1, 2].into(), [9; 16].into()], &[80]);
        assert!(rules.contains("ip daddr 198.51.100.10 tcp dport 80 dnat to 10.101.1.2:1080\n"), "{rules}");
        assert!(rules.contains("ip6 daddr 2001:db8::10 tcp dport 80 dnat to [909:909:"), "{rules}");
    }
}
