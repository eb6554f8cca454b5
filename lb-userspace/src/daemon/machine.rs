//! The machine the agent runs on, as far as it decides what may be served.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::config::model::Interface;
use crate::datapath::links;

/// Addresses of this network namespace's interfaces. If the kernel does not tell, none: what is local is
/// then found by its route.
pub(super) fn addresses() -> BTreeSet<IpAddr> {
    getifaddrs().into_iter().flatten().filter_map(|interface| address(&interface)).collect()
}

/// Those of them that gateways may send to: not such that mean something on this machine or one link alone, and
/// not those of interfaces without neighbours, which are tunnels or hold VIPs (`lo`, `dummy0`, `kube-ipvs0`).
///
/// # Errors
/// If the kernel does not tell.
pub(super) fn tunnel_ends() -> io::Result<BTreeSet<IpAddr>> {
    let neighbourless = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_NOARP;
    let interfaces = getifaddrs()?.filter(|interface| !interface.flags.intersects(neighbourless));
    Ok(interfaces.filter_map(|interface| address(&interface)).filter(reachable).collect())
}

/// The smallest MTU of these interfaces, in bytes; `None`: none of them is there.
///
/// # Errors
/// If the kernel does not tell.
pub(super) fn smallest_mtu(interfaces: &[Interface]) -> io::Result<Option<u32>> {
    let indices = interfaces.iter().filter_map(|interface| if_nametoindex(interface.name.as_str()).ok());
    let mtus: io::Result<Vec<u32>> = indices.map(links::mtu).filter(|mtu| !is_gone(mtu)).collect();
    Ok(mtus?.into_iter().min())
}

/// Whether the interface went while it was asked for.
fn is_gone(asked: &io::Result<u32>) -> bool {
    asked.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV))
}

fn address(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn reachable(address: &IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !link_local && !address.is_loopback() && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_one_of_them() {
        assert!(addresses().contains(&IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn nobody_sends_to_loopback_or_link_local_addresses() {
        assert!(
            tunnel_ends()
                .unwrap()
                .is_disjoint(&["127.0.0.1", "::1"].map(|text| text.parse().unwrap()).into())
        );
        let reachable = |text: &str| super::reachable(&text.parse().unwrap());
        assert!(reachable("192.0.2.1") && reachable("fd00::1"));
        assert!(!reachable("fe80::1") && !reachable("127.0.0.2") && !reachable("::"));
    }
}
