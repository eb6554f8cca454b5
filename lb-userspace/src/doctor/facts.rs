//! What was seen of a machine, before anything is made of it. Plain data: the checks know nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_ebpf::chain::header;
use lb_ebpf::encapsulate::{gue, outer, vxlan};

use crate::config::model::EncapKind;
use crate::datapath::nexthop::Way;

/// What was looked at, or why it could not be.
pub type Seen<T> = Result<T, String>;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What made it, as `ip -details link` says: `veth`, `vlan`, `ipip`; `None`: a driver.
    pub kind: Option<String>,
    /// Whether somebody has brought it up.
    pub up: bool,
    /// Whether there is something at its other end.
    pub carrier: bool,
    /// Whether its packets have an Ethernet header.
    pub ethernet: bool,
    /// Largest IP packet, bytes.
    pub mtu: u32,
    /// Index of the interface below it; of a VLAN the one that carries it.
    pub parent: Option<u32>,
    /// The tag of a VLAN, host order.
    pub vlan: Option<u16>,
    /// The XDP program on it.
    pub xdp: Option<Xdp>,
    /// Whether the receiver's program for what it sends is there; `None`: the kernel does not say to whom may not load
    /// programs.
    pub clamps: Option<bool>,
    /// What its driver can do for XDP now; `None`: the kernel does not say (before Linux 6.3).
    pub driver: Option<Driver>,
}

/// What a driver can do for XDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// It can run programs.
    pub native: bool,
    /// It transmits what is redirected to it. That may depend on a program there, or at a veth's other end.
    pub transmits: bool,
}

impl Link {
    /// Whether it was made by that kind of driver.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

/// An XDP program on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xdp {
    /// The kernel's number for the program.
    pub id: u32,
    /// Where it runs.
    pub place: Place,
    /// What it is called in its object; `None`: the kernel does not say to whom may not load programs.
    pub name: Option<String>,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the driver.
    Native,
    /// After the socket buffer is allocated.
    Generic,
    /// On the card, or at several places.
    Other,
}

/// An interface that packets come in by, with what has to be asked for one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// Its name, as it was asked for.
    pub name: String,
    /// The interface; `None`: there is none of that name.
    pub link: Option<Link>,
    /// Names of the features that are on, as `ethtool -k` has them in the kernel: `rx-lro`, `rx-vlan-hw-parse`.
    pub features: Seen<BTreeSet<String>>,
}

impl Ingress {
    /// The kernel's number for it.
    pub fn index(&self) -> Option<u32> {
        self.link.as_ref().map(|link| link.index)
    }
}

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// Bits of its subnet.
    pub length: u8,
    /// Name of the interface that has it.
    pub interface: String,
}

impl LocalAddress {
    /// Whether another address is of the same subnet.
    pub fn is_near(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let differing = (ours.to_bits() ^ other.to_bits()).leading_zeros();
                differing >= u32::from(self.length)
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let differing = (ours.to_bits() ^ other.to_bits()).leading_zeros();
                differing >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

/// The ways to the addresses that were asked about.
pub type Ways = Seen<BTreeMap<IpAddr, Way>>;

/// Bytes of what comes between Ethernet and a packet on its way to a node: outer IP header, and what GUE or VXLAN
/// put behind it; `chained`: with what is kept free for what travels with packets under `tracking: chain`.
pub fn overhead(kind: EncapKind, destination: IpAddr, chained: bool) -> u32 {
    let v6 = destination.is_ipv6();
    let ip = if v6 { outer::V6_LENGTH } else { outer::V4_LENGTH };
    bytes(
        ip + match kind {
            EncapKind::Ipip => 0,
            EncapKind::Gue { tag, .. } => gue::LENGTH + header::room(v6, chained, tag),
            EncapKind::Vxlan { .. } => vxlan::LENGTH,
        },
    )
}

/// Bytes that GUE carries besides to another cluster's gateway.
pub fn hop_count() -> u32 {
    bytes(header::Header::LENGTH)
}

/// As an MTU is counted.
fn bytes(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// `ipip`, `gue` or `vxlan`.
pub fn kind_name(kind: EncapKind) -> &'static str {
    match kind {
        EncapKind::Ipip => "ipip",
        EncapKind::Gue { .. } => "gue",
        EncapKind::Vxlan { .. } => "vxlan",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::abi::{BackendEntry, BackendFlags, Features};
    use lb_ebpf::chain::Earlier;
    use lb_ebpf::encapsulate::largest;

    #[test]
    fn the_overhead_is_the_programs() {
        let all = Features::of_bits(u32::MAX);
        let kinds = [
            (EncapKind::Ipip, BackendFlags::default()),
            (EncapKind::Gue { port: 6080, tag: false }, BackendFlags::GUE),
            (EncapKind::Gue { port: 6080, tag: true }, BackendFlags::GUE.with(BackendFlags::TAG)),
            (EncapKind::Vxlan { port: 4789, vni: 1, mac: [2; 6] }, BackendFlags::VXLAN),
        ];
        for (kind, flags) in kinds {
            for (outer, family) in [("192.0.2.1", BackendFlags::default()), ("::1", BackendFlags::OUTER_V6)] {
                let mut entry = BackendEntry { mtu: 1500, ..BackendEntry::default() };
                entry.route.flags = flags.with(family);
                let program = lb_ebpf::encapsulate::overhead(&entry, all, Earlier::NONE);
                let outer: IpAddr = outer.parse().unwrap();
                assert_eq!(overhead(kind, outer, false) as usize, program);
                assert_eq!(largest(&entry, all), 1500 - program);
                if kind == (EncapKind::Gue { port: 6080, tag: false }) {
                    let mut gateway = entry;
                    gateway.route.flags = entry.route.flags.with(BackendFlags::GATEWAY);
                    assert_eq!(
                        largest(&gateway, all),
                        1500 - (overhead(kind, outer, false) + hop_count()) as usize
                    );
                }
                if flags.has(BackendFlags::GUE) {
                    entry.route.flags = entry.route.flags.with(BackendFlags::CHAIN);
                    assert_eq!(largest(&entry, all), 1500 - overhead(kind, outer, true) as usize);
                }
            }
        }
    }

    #[test]
    fn a_subnet_has_its_own_family_and_length() {
        let near = |address: &str, length, other: &str| {
            let address = address.parse().unwrap();
            LocalAddress { address, length, interface: "eth0".into() }.is_near(other.parse().unwrap())
        };
        assert!(near("192.0.2.21", 24, "192.0.2.10") && !near("192.0.2.21", 25, "192.0.2.210"));
        assert!(near("192.0.2.21", 0, "203.0.113.1") && !near("192.0.2.21", 32, "192.0.2.20"));
        assert!(near("2001:db8::1", 64, "2001:db8::2") && !near("2001:db8::1", 64, "2001:db9::2"));
        assert!(!near("192.0.2.21", 0, "2001:db8::1"));
    }
}
