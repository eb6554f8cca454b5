//! The kernel's own tunnel devices at a node, as `docs/network.md` sets them up.

use std::net::IpAddr;

use anyhow::Result;

use super::Namespace;

/// What takes outer headers off without a program of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelDevices {
    /// `ipip` and `sit` those of IPv4, `ip6tnl` those of IPv6.
    Ipip,
    /// The same, behind the ports of `fou` that take GUE off.
    Gue,
    /// `vxlan`, one for each outer family.
    Vxlan,
}

impl TunnelDevices {
    /// Whether this kernel has them.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or without the `ip` tool.
    pub fn exist(self) -> Result<bool> {
        let namespace = Namespace::new("devices")?;
        Ok(self.add(&namespace, [192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()).is_ok())
    }

    /// Adds them to a node with these addresses.
    ///
    /// # Errors
    /// When the kernel has no such devices.
    pub fn add(self, node: &Namespace, v4: IpAddr, v6: IpAddr) -> Result<()> {
        match self {
            Self::Ipip => ipip(node, v4, v6),
            Self::Gue => {
                node.ip("fou add port 6080 gue")?;
                node.ip("fou add port 6080 gue -6")?;
                ipip(node, v4, v6)
            }
            Self::Vxlan => vxlan(node, v4, v6),
        }
    }
}

fn ipip(node: &Namespace, v4: IpAddr, v6: IpAddr) -> Result<()> {
    node.ip(&format!("link add spill4 type ipip local {v4}"))?;
    node.ip(&format!("link add spill46 type sit local {v4}"))?;
    node.ip(&format!("link add spill6 type ip6tnl mode any local {v6}"))?;
    up(node, &["spill4", "spill46", "spill6"])
}

fn vxlan(node: &Namespace, v4: IpAddr, v6: IpAddr) -> Result<()> {
    let common = "address 02:53:50:4c:57:02 type vxlan id 100 dstport 4789 nolearning";
    node.ip(&format!("link add spillvx4 {common} local {v4}"))?;
    node.ip(&format!("link add spillvx6 {common} local {v6} udp6zerocsumrx"))?;
    up(node, &["spillvx4", "spillvx6"])
}

fn up(node: &Namespace, devices: &[&str]) -> Result<()> {
    devices.iter().try_for_each(|device| node.ip(&format!("link set {device} up")))
}
