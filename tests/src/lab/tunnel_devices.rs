//! The kernel's own tunnel devices at a node, as `docs/network.md` sets them up.

use std::net::IpAddr;

use anyhow::Result;

use super::Namespace;

/// What takes outer headers off without a program of ours: `ipip` and `sit` those of IPv4, `ip6tnl` those of
/// IPv6.
#[derive(Debug)]
pub struct TunnelDevices;

impl TunnelDevices {
    /// Whether this kernel has them.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or without the `ip` tool.
    pub fn exist() -> Result<bool> {
        let namespace = Namespace::new("devices")?;
        Ok(Self::add(&namespace, [192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()).is_ok())
    }

    /// Adds them to a node with these addresses.
    ///
    /// # Errors
    /// When the kernel has no such devices.
    pub fn add(node: &Namespace, v4: IpAddr, v6: IpAddr) -> Result<()> {
        node.ip(&format!("link add spill4 type ipip local {v4}"))?;
        node.ip(&format!("link add spill46 type sit local {v4}"))?;
        node.ip(&format!("link add spill6 type ip6tnl mode any local {v6}"))?;
        ["spill4", "spill46", "spill6"]
            .iter()
            .try_for_each(|device| node.ip(&format!("link set {device} up")))
    }
}
