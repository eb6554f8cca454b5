//! Single entries of the maps.

use super::members::Selection;
use super::quic;
use crate::config::model::{AccessList, AccessPolicy, Affinity, EncapKind, Secret, Tracking, UdpOnChange};
use crate::policy::desired::{Egress, Member, MemberState, Pool, Reach, Service};
use lb_common::abi::{
    AccessFlags, BackendEntry, BackendFlags, Control, LinkAddress, NO_BACKEND, Route, Selector, ServiceEntry,
    ServiceFlags, SourceBucket, TagEpoch, TunnelEntry, TunnelKey, outer_v4_sum,
};
use lb_common::net::{Address, NetworkU16, prefix_mask_v4, prefix_mask_v6};
use std::net::IpAddr;

/// The key of tags, at its first place.
pub(super) fn tunnel_keys(key: Option<(u8, Secret)>) -> (TagEpoch, [TunnelKey; 2]) {
    let Some((epoch, key)) = key else { return Default::default() };
    (TagEpoch::new(epoch, 0), [key.into(), TunnelKey::default()])
}

/// Of [`Control::FLOWS`] flows so many are followed, if of so many one is to be.
pub(crate) fn sampled(one_in: Option<u32>) -> u32 {
    one_in.map_or(0, |one_in| Control::FLOWS / one_in.clamp(1, Control::FLOWS))
}

/// A service's entry.
pub(super) fn service(
    (select, local): (Selector, Option<u16>),
    access: Option<u32>,
    service: &Service,
) -> ServiceEntry {
    let flags = match service.tracking {
        Tracking::Transition => ServiceFlags::default(),
        Tracking::Chain => ServiceFlags::UNTRACKED.with(ServiceFlags::CHAIN),
        Tracking::Full => ServiceFlags::FULLY_TRACKED,
        Tracking::None => ServiceFlags::UNTRACKED,
    };
    let flags = match service.udp_on_change {
        UdpOnChange::Keep => flags,
        UdpOnChange::Move => flags.with(ServiceFlags::UDP_MOVES),
    };
    let flags = if service.quic.is_empty() { flags } else { flags.with(ServiceFlags::QUIC) };
    let flags = if access.is_some() { flags.with(ServiceFlags::ADMISSION) } else { flags };
    let (quic, access) = (quic::lengths(&service.quic), access.unwrap_or(0));
    let local = ServiceEntry::local(local);
    let flow = ServiceEntry { select, local, flags, quic, access, ..ServiceEntry::default() };
    let client = |v4: u8, v6: u8| ServiceEntry {
        flags: flags.with(ServiceFlags::CLIENT_AFFINITY),
        mask_v4: prefix_mask_v4(v4.into()),
        mask_v6: prefix_mask_v6(v6.into()),
        ..flow
    };
    match service.affinity {
        Affinity::Flow => flow,
        Affinity::Client => client(32, 128),
        Affinity::ClientPrefix { v4, v6 } => client(v4, v6),
        Affinity::ThreeTuple => ServiceEntry { flags: flags.with(ServiceFlags::THREE_TUPLE), ..flow },
    }
}

/// An access policy's entry.
pub(super) fn access(policy: &AccessPolicy) -> lb_common::abi::AccessPolicy {
    let flags = super::access::flags(policy.default);
    let flags = if policy.prefixes.is_empty() { flags } else { flags.with(AccessFlags::PREFIXES) };
    let second = u32::try_from(SourceBucket::SECOND).unwrap_or(u32::MAX);
    let interval = second.checked_div(policy.new_flows).unwrap_or(0);
    lb_common::abi::AccessPolicy { flags, interval, seal: policy.prefixes.fingerprint() }
}

/// What says that the prefixes of other clusters' gateways are there. It admits everybody, as that entry does without it:
/// a service meets it whose own policy is being taken away.
pub(super) fn gateways(list: &AccessList) -> lb_common::abi::AccessPolicy {
    lb_common::abi::AccessPolicy { seal: list.fingerprint(), ..lb_common::abi::AccessPolicy::default() }
}

/// Whether packets may be sent to a member.
pub(super) fn serves(member: &Member, selection: &Selection) -> bool {
    member.reach != Reach::Unresolved && (member.state != MemberState::Down || selection.all_serve)
}

/// How a pool's endpoints are reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) encap: EncapKind,
    /// A service of it tracks by chain.
    pub(super) chain: bool,
    /// They are gateways of their cluster.
    pub(super) gateway: bool,
}

/// A backend's entry. Of one that cannot be reached it names no more than the address.
pub(super) fn backend(member: &Member, way: Way, pool: u16, selection: &Selection) -> BackendEntry {
    let mut flags = tunnel_flags(way);
    if serves(member, selection) {
        flags = flags.with(BackendFlags::SERVES);
    }
    if member.address.is_ipv6() {
        flags = flags.with(BackendFlags::OUTER_V6);
    }
    let port = NetworkU16::new(way.encap.port());
    let destination = Address::from(member.address);
    let base = BackendEntry {
        route: Route { flags, interface: 0 },
        destination,
        port,
        pool,
        ..BackendEntry::default()
    };
    match member.reach {
        Reach::Unresolved => base,
        Reach::Local => {
            BackendEntry { route: Route { flags: flags.with(BackendFlags::LOCAL), interface: 0 }, ..base }
        }
        Reach::Via(egress) => through(&egress, member.address, base),
    }
}

fn tunnel_flags(Way { encap, chain, gateway }: Way) -> BackendFlags {
    match encap {
        EncapKind::Gue { .. } if gateway => BackendFlags::GUE.with(BackendFlags::GATEWAY),
        EncapKind::Ipip => BackendFlags::default(),
        EncapKind::Gue { tag, .. } => {
            let flags = if chain { BackendFlags::GUE.with(BackendFlags::CHAIN) } else { BackendFlags::GUE };
            if tag { flags.with(BackendFlags::TAG) } else { flags }
        }
        EncapKind::Vxlan { .. } => BackendFlags::VXLAN,
    }
}

/// What else headers toward a pool's endpoints need; only VXLAN does.
pub(super) fn tunnel(encap: EncapKind) -> Option<TunnelEntry> {
    match encap {
        EncapKind::Vxlan { vni, mac, .. } => Some(TunnelEntry::new(vni, mac)),
        EncapKind::Ipip | EncapKind::Gue { .. } => None,
    }
}

fn through(egress: &Egress, destination: IpAddr, base: BackendEntry) -> BackendEntry {
    let hop = egress.hop;
    BackendEntry {
        route: Route { interface: hop.interface, ..base.route },
        destination_mac: LinkAddress::new(hop.destination_mac, hop.vlan),
        source_mac: LinkAddress::new(hop.source_mac, 0),
        source: egress.source.into(),
        mtu: egress.mtu,
        header_sum: header_sum(egress.source, destination),
        ..base
    }
}

/// What the program adds the varying words of an outer IPv4 header to; 0 for IPv6, which has no checksum.
fn header_sum(source: IpAddr, destination: IpAddr) -> u16 {
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            outer_v4_sum(Address::from(source).v4_word(), Address::from(destination).v4_word())
        }
        _ => 0,
    }
}

/// Position of the member for packets whose rows do not serve: of those that do, one of the table before
/// others, the up before the rest, then the lowest address.
pub(super) fn spare(pool: &Pool, selection: &Selection) -> Option<usize> {
    let serving = pool.members.iter().enumerate().filter(|(_, member)| serves(member, selection));
    let (position, _) = serving.min_by_key(|(position, member)| {
        (!selection.positions.contains(position), member.state, Address::from(member.address).bytes())
    })?;
    Some(position)
}

/// The index, or what stands for none.
pub(super) fn spare_index(index: Option<u16>) -> u16 {
    index.unwrap_or(NO_BACKEND)
}
