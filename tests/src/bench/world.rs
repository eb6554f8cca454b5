//! What the gateway's maps hold while it is measured: services on pools of a hundred nodes with 65,536
//! rows, compiled as the agent compiles them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{Array, MapData};
use lb_common::abi::{Control, map};
use lb_common::row::{Mode, ROWS_PER_WORD};
use lb_userspace::compile::image::region_words;
use lb_userspace::compile::{Cache, Ledger, MapImage, Sizes, compile};
use lb_userspace::config::model::{
    Affinity, Algorithm, ClusterState, EncapKind, Limits, OnNoBackend, Protocol, Replies, Secret,
    ServicePort, Tracking, UdpOnChange,
};
use lb_userspace::policy::desired::{
    Cluster, Desired, Egress, Member, MemberState, Pool, Reach, Redirects, Service, Share, Vip, WHOLE,
};
use lb_userspace::policy::observed::NextHop;

/// Served by a pool of IPv4 nodes.
pub(crate) const VIP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10));
/// Served by a pool of IPv6 nodes.
pub(crate) const VIP_4_IN_6: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 11));
/// Served by two pools of IPv4 nodes.
pub(crate) const VIP_TWO_POOLS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 12));
/// Served by a pool of IPv4 nodes, every connection recorded.
pub(crate) const VIP_FULL: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 13));
/// Served by a pool of IPv4 nodes all of whose rows are MOVING.
pub(crate) const VIP_MOVING: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 14));
/// Served by a pool of IPv4 nodes all of whose rows are RESIDUE.
pub(crate) const VIP_RESIDUE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 15));
/// Served by a pool of IPv4 nodes behind GUE.
pub(crate) const VIP_GUE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 16));
/// Served by a pool of IPv4 nodes behind VXLAN.
pub(crate) const VIP_VXLAN: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 17));
/// Served by a pool behind GUE and tracked by chain: its table remembers, the flow's row had no other owner.
pub(crate) const VIP_STILL: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 18));
/// The same, and every row had two other owners.
pub(crate) const VIP_MOVED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 19));
/// Served by a pool of IPv4 nodes behind GUE, with a tag.
pub(crate) const VIP_TAG: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20));
/// Served by a pool of IPv6 nodes.
pub(crate) const VIP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10));
/// Nobody's.
pub(crate) const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5));
/// Of every service.
pub(crate) const PORT: u16 = 443;

/// Entries of the table of connections, as many as an agent's by default.
pub(crate) const CONNECTIONS: u32 = 1 << 20;
/// Pools whose rows are not clean, and what they are.
const UNSETTLED: [(&str, Mode); 2] = [("moving-four", Mode::Moving), ("residue-four", Mode::Residue)];
/// Pools of services that track by chain.
const STILL: &str = "still-four";
const MOVED: &str = "moved-four";
/// Nodes of each pool.
const NODES: u16 = 100;
const ROWS: u32 = 65_536;
const LIMITS: Limits =
    Limits { services: 1024, backends: 1024, rows: 1 << 21, connections: CONNECTIONS, access_prefixes: 16 };
const GUE: EncapKind = EncapKind::Gue { port: 6080, tag: false };
const TAGGED: EncapKind = EncapKind::Gue { port: 6080, tag: true };
const VXLAN: EncapKind = EncapKind::Vxlan { port: 4789, vni: 1, mac: [2, 0, 0, 0, 2, 1] };
/// Longer than any frame of the benchmark.
pub(crate) const MTU: u16 = 1600;

/// A map's value.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Value<T>(pub(crate) T);

// SAFETY: bytemuck's Pod promises more: no padding, and any bytes are a T.
unsafe impl<T: bytemuck::Pod> aya::Pod for Value<T> {}

/// Fills the maps of a program that nobody else uses. Packets leave by the interface with this index.
pub(crate) fn fill(gateway: &mut Ebpf, interface: u32) -> Result<()> {
    let (image, ledger) = compiled(interface)?;
    let MapImage { control, filter, vips, services, pools, tables, tunnels, mut slab, backends, .. } = image;
    for (name, mode) in UNSETTLED {
        let table = &tables[&ledger.record().pools[name].table];
        let rows = slab.get_mut(&table.current).context("a table without rows")?;
        *rows = rows.iter().map(|row| row.in_mode(mode)).collect();
    }
    // What is recorded is decided by the cases, not by a budget.
    let control = Control { inserts: [u32::MAX; 2], ..control };
    put(gateway, map::TUNNELS, tunnels)?;
    put(gateway, map::BACKENDS, backends)?;
    for (row, rows) in slab {
        put(gateway, map::SLAB, (row / ROWS_PER_WORD..).zip(region_words(&rows)))?;
    }
    put(gateway, map::TABLES, tables)?;
    put(gateway, map::POOLS, pools)?;
    put(gateway, map::SERVICES, services)?;
    put(gateway, map::VIPS, (0..).zip(vips))?;
    put(gateway, map::VIP_FILTER, (0..).zip(filter))?;
    put(gateway, map::CONTROL, [(0, control)])
}

/// The tables, with a past: for each of three generations another third of one pool's nodes was not drained.
fn compiled(interface: u32) -> Result<(MapImage, Ledger)> {
    let (mut ledger, mut cache) = (Ledger::new(Sizes::of(&LIMITS)), Cache::default());
    for generation in 0..2 {
        compile(&past(interface, generation), &mut ledger, &mut cache, 0)
            .context("cannot compile the past")?;
    }
    let image =
        compile(&past(interface, 2), &mut ledger, &mut cache, 0).context("cannot compile the tables")?;
    Ok((image, ledger))
}

fn past(interface: u32, generation: usize) -> Desired {
    let mut desired = desired(interface);
    for pool in &mut desired.pools {
        for (number, member) in pool.members.iter_mut().enumerate() {
            let drains = match pool.name.as_str() {
                MOVED => number % 3 != generation,
                STILL => generation == 0 && number == 0,
                _ => false,
            };
            if drains {
                member.state = MemberState::Draining;
            }
        }
    }
    desired
}

fn put<T: bytemuck::Pod>(
    gateway: &mut Ebpf,
    name: &str,
    entries: impl IntoIterator<Item = (u32, T)>,
) -> Result<()> {
    let map = gateway.map_mut(name).with_context(|| format!("the gateway has no map {name}"))?;
    let mut array: Array<&mut MapData, Value<T>> = Array::try_from(map)?;
    for (index, value) in entries {
        array.set(index, Value(value), 0).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

fn desired(interface: u32) -> Desired {
    let pool = |name, cluster, address: &dyn Fn(u8) -> IpAddr| pool(name, cluster, interface, address);
    let cluster = |name: &str| Cluster { name: name.into(), state: ClusterState::Active };
    Desired {
        access: Vec::new(),
        redirects: Redirects::default(),
        config_digest: String::new(),
        replies: Replies { echo: u32::MAX, too_big: u32::MAX },
        evidence: Some(16),
        secret: (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210),
        tunnel_key: Some((1, Secret { k0: 0x0f1e_2d3c_4b5a_6978, k1: 0x8796_a5b4_c3d2_e1f0 })),
        change_window: 300_000,
        roll_delay: 0,
        clusters: ["near", "far", "moving", "residue", "gue", "tagged", "vxlan", "still", "moved"]
            .map(cluster)
            .into(),
        services: vec![
            service("bench/four", VIP_V4, &["near-four"]),
            service("bench/six", VIP_V6, &["near-six"]),
            service("bench/four-in-six", VIP_4_IN_6, &["near-six"]),
            service("bench/two-pools", VIP_TWO_POOLS, &["near-four", "far-four"]),
            Service { tracking: Tracking::Full, ..service("bench/full", VIP_FULL, &["near-four"]) },
            service("bench/moving", VIP_MOVING, &["moving-four"]),
            service("bench/residue", VIP_RESIDUE, &["residue-four"]),
            service("bench/gue", VIP_GUE, &["gue-four"]),
            service("bench/tagged", VIP_TAG, &["tagged-four"]),
            service("bench/vxlan", VIP_VXLAN, &["vxlan-four"]),
            Service { tracking: Tracking::Chain, ..service("bench/still", VIP_STILL, &[STILL]) },
            Service { tracking: Tracking::Chain, ..service("bench/moved", VIP_MOVED, &[MOVED]) },
        ],
        pools: vec![
            pool("near-four", "near", &|node| [192, 168, 1, node].into()),
            pool("far-four", "far", &|node| [192, 168, 2, node].into()),
            pool("moving-four", "moving", &|node| [192, 168, 3, node].into()),
            pool("residue-four", "residue", &|node| [192, 168, 4, node].into()),
            Pool { encap: GUE, ..pool("gue-four", "gue", &|node| [192, 168, 5, node].into()) },
            Pool { encap: TAGGED, ..pool("tagged-four", "tagged", &|node| [192, 168, 9, node].into()) },
            Pool { encap: VXLAN, ..pool("vxlan-four", "vxlan", &|node| [192, 168, 6, node].into()) },
            Pool { encap: GUE, ..pool(STILL, "still", &|node| [192, 168, 7, node].into()) },
            Pool { encap: GUE, ..pool(MOVED, "moved", &|node| [192, 168, 8, node].into()) },
            pool("near-six", "near", &|node| [0x2001, 0xdb8, 2, 0, 0, 0, 0, u16::from(node)].into()),
        ],
    }
}

fn service(name: &str, address: IpAddr, pools: &[&str]) -> Service {
    let port = |protocol| ServicePort { name: None, protocol, port: PORT, last: None };
    let share = |pool: &&str| Share::fixed(*pool, pool.split('-').next().unwrap_or_default(), 50);
    Service {
        name: name.into(),
        vips: vec![Vip { address, local: false }],
        ports: [Protocol::Tcp, Protocol::Udp].map(port).into(),
        affinity: Affinity::Flow,
        tracking: Tracking::Transition,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        on_no_backend: OnNoBackend::Drop,
        quic: Vec::new(),
        shares: pools.iter().map(share).collect(),
    }
}

fn pool(name: &str, cluster: &str, interface: u32, address: &dyn Fn(u8) -> IpAddr) -> Pool {
    let members = (1..).take(NODES.into()).map(|node| member(address(node), node, interface)).collect();
    Pool {
        name: name.into(),
        cluster: cluster.into(),
        weight: 100,
        rows: ROWS,
        encap: EncapKind::Ipip,
        algorithm: Algorithm::Maglev,
        panic: false,
        kept_out: None,
        members,
    }
}

fn member(address: IpAddr, node: u8, interface: u32) -> Member {
    let hop = NextHop {
        interface,
        vlan: 0,
        destination_mac: [2, 0, 0, 0, 1, node],
        source_mac: [2, 0, 0, 0, 0, 1],
        source: None,
        mtu: MTU,
    };
    let source: IpAddr = match address {
        IpAddr::V4(_) => [192, 168, 0, 1].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 2, 0, 0, 0, 0xff, 1].into(),
    };
    let reach = Reach::Via(Egress { hop, source, mtu: MTU });
    let (reason, state) = (String::new(), MemberState::Up);
    Member { address, weight: 100, tenths: WHOLE, server_id: None, state, reason, changed_ms: 0, reach }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_belongs_to_one_of_a_hundred_nodes() {
        let (image, ledger) = compiled(1).unwrap();
        assert_eq!((image.services.len(), image.pools.len(), image.backends.len()), (12, 10, 1000));
        // Two pools remember two earlier owners, and until their windows are over the stable one.
        let rows: usize = image.slab.values().map(|rows| rows.len()).sum();
        assert_eq!(rows, (10 + 2 * 3) * 65_536 + 4096);
        let table = &image.tables[&ledger.record().pools[MOVED].table];
        let [current, newer, older] =
            [table.current, table.earlier[0], table.earlier[1]].map(|base| &image.slab[&base]);
        assert!((0..current.len()).all(|row| {
            let owners = [current, newer, older].map(|rows| rows[row].index());
            owners[0] != owners[1] && owners[1] != owners[2] && owners[0] != owners[2]
        }));
    }
}
