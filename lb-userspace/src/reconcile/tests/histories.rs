//! Random changes of a small world.

use crate::config::model::{
    Affinity, Algorithm, ClusterState, EncapKind, Limits, OnNoBackend, Protocol, QuicConfig, Replies,
    ServerId, ServicePort, Tracking, UdpOnChange,
};
use crate::policy::desired::{
    Cluster, Desired, Egress, Member, MemberState, Pool, Reach, Redirects, Service, Share, Vip, WHOLE,
};
use crate::policy::observed::NextHop;
use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use proptest::prelude::*;
use proptest::sample::subsequence;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const LIMITS: Limits =
    Limits { services: 8, backends: 64, rows: 65_536, connections: 64, access_prefixes: 16 };
const CLUSTERS: [&str; 3] = ["ap", "eu", "us"];
const VIPS: u8 = 4;

/// What happens to an agent.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It is to serve this.
    Follow(Box<Desired>),
    /// A probe fails.
    MarkDown(u16),
    /// It is replaced.
    Restart,
}

pub(super) fn histories() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => desired().prop_map(|desired| Change::Follow(desired.into())),
        1 => (0_u16..20).prop_map(Change::MarkDown),
        1 => Just(Change::Restart),
    ];
    prop::collection::vec(change, 2..7)
}

fn desired() -> impl Strategy<Value = Desired> {
    let pools = CLUSTERS.into_iter().map(pool).collect::<Vec<_>>();
    let services = (0..4).map(service).collect::<Vec<_>>();
    let present = |count| subsequence((0..count).collect::<Vec<_>>(), 0..=count);
    let vips = Just((0..VIPS).collect::<Vec<_>>()).prop_shuffle();
    (pools, services, present(3), present(4), vips, 0_u64..2).prop_map(
        |(pools, services, some, served, vips, key)| {
            let keep =
                |all: Vec<Pool>, some: &[usize]| some.iter().map(|&one| all[one].clone()).collect::<Vec<_>>();
            let pools = keep(pools, &some);
            let services = served.iter().map(|&one| {
                let mut service = services[one].clone();
                service.vips.iter_mut().for_each(|vip| vip.address = vip_address(vips[one]));
                service.shares.retain(|share| pools.iter().any(|pool| pool.name == share.pool));
                service
            });
            world_of(services.collect(), pools, key)
        },
    )
}

fn world_of(services: Vec<Service>, pools: Vec<Pool>, key: u64) -> Desired {
    let cluster = |name: &str| Cluster { name: name.into(), state: ClusterState::Active };
    let clusters = CLUSTERS.map(cluster).to_vec();
    Desired {
        config_digest: String::new(),
        secret: (1, key),
        tunnel_key: None,
        change_window: 1000,
        roll_delay: 0,
        replies: Replies::default(),
        evidence: None,
        clusters,
        services,
        pools,
        access: Vec::new(),
        redirects: Redirects::default(),
    }
}

fn pool(cluster: &'static str) -> impl Strategy<Value = Pool> {
    let members = subsequence((1_u8..=6).collect::<Vec<_>>(), 0..=6)
        .prop_flat_map(|lasts| lasts.into_iter().map(member).collect::<Vec<_>>());
    let algorithm = prop_oneof![Just(Algorithm::Maglev), Just(Algorithm::Hrw)];
    let form = (prop_oneof![Just(256), Just(512)], encap(), algorithm);
    (members, form).prop_map(move |(members, (rows, encap, algorithm))| Pool {
        algorithm,
        panic: false,
        kept_out: None,
        name: format!("web-{cluster}"),
        cluster: cluster.into(),
        weight: 1,
        rows,
        encap,
        members,
    })
}

fn encap() -> impl Strategy<Value = EncapKind> {
    let vxlan = |vni, last| EncapKind::Vxlan { port: 4789, vni, mac: [2, 0, 0, 0, 0, last] };
    prop_oneof![
        2 => Just(EncapKind::Ipip),
        1 => Just(EncapKind::Gue { port: 6080, tag: false }),
        2 => (0_u32..2, 1_u8..3).prop_map(move |(vni, last)| vxlan(vni, last)),
    ]
}

fn member(last: u8) -> impl Strategy<Value = Member> {
    let state = prop_oneof![
        4 => Just(MemberState::Up),
        1 => Just(MemberState::Unknown),
        1 => Just(MemberState::Draining),
        2 => Just(MemberState::Down),
    ];
    let reach = prop_oneof![
        4 => Just(Reach::Via(egress(2))),
        1 => Just(Reach::Via(egress(3))),
        1 => Just(Reach::Local),
        2 => Just(Reach::Unresolved),
    ];
    (0_u16..3, state, reach).prop_map(move |(weight, state, reach)| Member {
        address: [10, 0, 0, last].into(),
        weight,
        server_id: server_id(last),
        state,
        reason: String::new(),
        tenths: WHOLE,
        changed_ms: 0,
        reach,
    })
}

fn egress(interface: u32) -> Egress {
    let hop = NextHop {
        interface,
        vlan: 0,
        destination_mac: [2, 0, 0, 0, 0, 1],
        source_mac: [2, 0, 0, 0, 0, 2],
        source: None,
        mtu: 1500,
    };
    Egress { hop, source: [192, 0, 2, 1].into(), mtu: 1500 }
}

fn service(number: u8) -> impl Strategy<Value = Service> {
    let affinity = prop_oneof![
        3 => Just(Affinity::Flow),
        1 => Just(Affinity::Client),
        1 => Just(Affinity::ClientPrefix { v4: 24, v6: 56 }),
        1 => Just(Affinity::ThreeTuple),
    ];
    let quic = prop::collection::btree_set(0_u8..7, 0..3);
    (prop::array::uniform3(0_u16..3), affinity, prop_oneof![Just(443), Just(0)], any::<bool>(), quic)
        .prop_map(move |(weights, affinity, port, local, quic)| {
            let share =
                |(&cluster, weight): (&&str, u16)| Share::fixed(format!("web-{cluster}"), cluster, weight);
            Service {
                name: format!("shop/{number}"),
                vips: vec![Vip { address: vip_address(number), local }],
                ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port, last: None }],
                affinity,
                tracking: Tracking::None,
                udp_on_change: UdpOnChange::Keep,
                access: None,
                on_no_backend: OnNoBackend::Drop,
                quic: quic.into_iter().map(configuration).collect(),
                shares: CLUSTERS.iter().zip(weights).map(share).collect(),
            }
        })
}

/// The last byte of an endpoint's address.
fn server_id(last: u8) -> Option<ServerId> {
    ServerId::new(&[last])
}

fn configuration(id: u8) -> QuicConfig {
    QuicConfig { id, server_id_length: 1, nonce_length: 4 }
}

/// The even ones are IPv4, the odd IPv6.
fn vip_address(number: u8) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::new(198, 51, 100, number).into()
    } else {
        Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()]).into()
    }
}

/// Three pools of four endpoints, all up; a service of each, and one of all.
pub(super) fn world() -> Desired {
    let member = |last: u8| Member {
        address: [10, 0, 0, last].into(),
        weight: 1,
        server_id: server_id(last),
        state: MemberState::Up,
        reason: String::new(),
        tenths: WHOLE,
        changed_ms: 0,
        reach: Reach::Via(egress(2)),
    };
    let pool = |cluster: &str| Pool {
        name: format!("web-{cluster}"),
        cluster: cluster.into(),
        weight: 1,
        rows: 256,
        encap: EncapKind::Ipip,
        algorithm: Algorithm::Maglev,
        panic: false,
        kept_out: None,
        members: (1..=4).map(member).collect(),
    };
    let share = |cluster: &str| Share::fixed(format!("web-{cluster}"), cluster, 1);
    let service = |(number, clusters): (u8, &[&str])| Service {
        name: format!("shop/{number}"),
        vips: vec![Vip { address: vip_address(number), local: false }],
        ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port: 443, last: None }],
        affinity: Affinity::Flow,
        tracking: Tracking::None,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        on_no_backend: OnNoBackend::Drop,
        quic: vec![configuration(0)],
        shares: clusters.iter().map(|cluster| share(cluster)).collect(),
    };
    let lists: [&[&str]; 4] = [&["ap"], &["eu"], &["us"], &["ap", "eu", "us"]];
    world_of((0..).zip(lists).map(service).collect(), CLUSTERS.map(pool).to_vec(), 1)
}

/// Some clients of each VIP.
pub(super) fn flows() -> impl Iterator<Item = Flow> {
    (0..VIPS).flat_map(|vip| (0..24).map(move |client| flow(vip, client)))
}

fn flow(vip: u8, client: u8) -> Flow {
    let destination = vip_address(vip);
    let source: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, client).into(),
        IpAddr::V6(_) => Ipv6Addr::from([0x2001, 0xdb8, 7, client.into(), 0, 0, 0, 1]).into(),
    };
    Flow {
        family: Family::of(destination),
        source: source.into(),
        destination: destination.into(),
        source_port: NetworkU16::new(40_000 + u16::from(client) * 7),
        destination_port: NetworkU16::new(443),
        protocol: 6,
    }
}
