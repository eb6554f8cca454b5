//! The compiler as a whole.

mod chain;
mod moving;
mod properties;
mod redirects;
mod vectors;

use super::*;
use crate::config::model::{
    Affinity, Algorithm, ClusterState, EncapKind, Limits, OnNoBackend, Protocol, Replies, ServerId,
    ServicePort, Tracking, UdpOnChange,
};
use crate::policy::desired::{
    Cluster, Desired, Egress, Member, MemberState, Pool, Reach, Redirects, Service, Share, Vip, WHOLE,
};
use crate::policy::observed::NextHop;
use crate::reconcile::{MemoryMaps, reconcile};
use lb_common::abi::{BackendEntry, BackendFlags, NO_BACKEND, Selector, TunnelEntry};
use lb_common::row::ROWS_PER_WORD;
use std::net::IpAddr;

const LIMITS: Limits =
    Limits { services: 16, backends: 64, rows: 32_768, connections: 64, access_prefixes: 16 };

fn via() -> Reach {
    let hop = NextHop {
        interface: 2,
        vlan: 0,
        destination_mac: [2, 0, 0, 0, 0, 1],
        source_mac: [2, 0, 0, 0, 0, 2],
        source: None,
        mtu: 1500,
    };
    Reach::Via(Egress { hop, source: [192, 0, 2, 1].into(), mtu: 1500 })
}

fn member(last: u8, weight: u16, state: MemberState) -> Member {
    let address = [10, 0, 0, last].into();
    let server_id = ServerId::new(&[0xab, last]);
    Member {
        address,
        weight,
        tenths: WHOLE,
        server_id,
        state,
        reason: String::new(),
        changed_ms: 0,
        reach: via(),
    }
}

fn pool(name: &str, cluster: &str, members: Vec<Member>) -> Pool {
    Pool {
        name: name.into(),
        cluster: cluster.into(),
        weight: 1,
        rows: 256,
        algorithm: Algorithm::Maglev,
        panic: false,
        kept_out: None,
        encap: EncapKind::Ipip,
        members,
    }
}

fn up(lasts: std::ops::RangeInclusive<u8>) -> Vec<Member> {
    lasts.map(|last| member(last, 1, MemberState::Up)).collect()
}

fn service(name: &str, last: u8, shares: &[(&str, &str, u16)]) -> Service {
    let share = |&(pool, cluster, weight): &(&str, &str, u16)| Share::fixed(pool, cluster, weight);
    Service {
        name: name.into(),
        vips: vec![Vip { address: [198, 51, 100, last].into(), local: false }],
        ports: vec![ServicePort { name: None, protocol: Protocol::Tcp, port: 443, last: None }],
        affinity: Affinity::Flow,
        tracking: Tracking::Transition,
        udp_on_change: UdpOnChange::Keep,
        access: None,
        on_no_backend: OnNoBackend::Drop,
        quic: Vec::new(),
        shares: shares.iter().map(share).collect(),
    }
}

fn world() -> Desired {
    let cluster = |name: &str| Cluster { name: name.into(), state: ClusterState::Active };
    Desired {
        access: Vec::new(),
        redirects: Redirects::default(),
        config_digest: "d1".into(),
        secret: (1, 2),
        replies: Replies::default(),
        evidence: None,
        tunnel_key: None,
        change_window: 1000,
        roll_delay: 0,
        clusters: vec![cluster("eu"), cluster("us")],
        services: vec![
            service("a/one", 1, &[("eu", "eu", 100)]),
            service("a/both", 2, &[("eu", "eu", 90), ("us", "us", 10)]),
            service("b/both", 3, &[("us", "us", 10), ("eu", "eu", 90)]),
            service("b/one", 4, &[("eu", "eu", 100), ("us", "us", 0)]),
        ],
        pools: vec![pool("eu", "eu", up(1..=4)), pool("us", "us", up(11..=14))],
    }
}

struct Bench {
    ledger: Ledger,
    cache: Cache,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self { ledger: Ledger::new(Sizes::of(&LIMITS)), cache: Cache::default(), now: 0 }
    }

    fn compile(&mut self, desired: &Desired) -> MapImage {
        compile(desired, &mut self.ledger, &mut self.cache, self.now).unwrap()
    }
}

fn pool_table(image: &MapImage, ledger: &Ledger, pool: &str) -> (u32, Vec<u32>) {
    let index = image.pools[&u32::from(ledger.record().pools[pool].index)].table;
    let table = image.tables[&index];
    let row = |row| {
        let number = table.current + row;
        let word = image.slab_word(number / ROWS_PER_WORD).unwrap();
        lb_common::row::Row::of_word(word, number).index()
    };
    (index, (0..1 << table.log2_rows).map(row).collect())
}

#[test]
fn one_pool_is_named_directly_and_equal_lists_share_a_table() {
    let mut bench = Bench::new();
    let image = bench.compile(&world());
    let services = &bench.ledger.record().services;
    let select = |name: &str| image.services[&services[name].index].select;
    let eu = bench.ledger.record().pools["eu"].index;
    assert_eq!(select("a/one"), Selector::pool(eu));
    assert_eq!(select("b/one"), Selector::pool(eu), "a pool of weight 0 has no rows");
    assert_eq!(select("a/both"), select("b/both"));
    assert_eq!(select("a/both").single_pool(), None);
    assert_eq!(image.tables.len(), 3);
    assert!(image.tables.keys().all(|index| *index > 0));
    assert_eq!(services["a/both"].table, select("a/both").table());
}

#[test]
fn nothing_changed_means_the_same_generation_and_image() {
    let mut bench = Bench::new();
    let first = bench.compile(&world());
    let record = bench.ledger.record().clone();
    assert_eq!(bench.compile(&world()), first);
    assert_eq!(bench.ledger.record(), &record);
    assert_eq!(first.generation, 1);
}

#[test]
fn a_new_agent_without_cache_makes_the_same_image() {
    let mut bench = Bench::new();
    let first = bench.compile(&world());
    let json = serde_json::to_string(bench.ledger.record()).unwrap();
    let record: Record = serde_json::from_str(&json).unwrap();
    assert_eq!(&record, bench.ledger.record());
    let mut maps = MemoryMaps::new(bench.ledger.sizes());
    reconcile(&first, &mut maps).unwrap();
    bench = Bench {
        ledger: Ledger::adopt(record, Sizes::of(&LIMITS), &maps, 0).unwrap(),
        cache: Cache::default(),
        now: 0,
    };
    assert_eq!(bench.compile(&world()), first);
}

#[test]
fn a_changed_pool_gets_a_new_table_elsewhere_and_the_others_keep_theirs() {
    let mut bench = Bench::new();
    let first = bench.compile(&world());
    let mut desired = world();
    desired.pools[0].members[1].state = MemberState::Down;
    let second = bench.compile(&desired);
    let (old, new) = (pool_table(&first, &bench.ledger, "eu"), pool_table(&second, &bench.ledger, "eu"));
    assert_ne!(old.0, new.0);
    assert_ne!(first.tables[&old.0].current, second.tables[&new.0].current);
    assert_eq!(second.tables[&new.0].generation, 2);
    let dead = u32::from(bench.ledger.record().pools["eu"].backends[&IpAddr::from([10, 0, 0, 2])].index);
    assert!(old.1.contains(&dead) && !new.1.contains(&dead));
    assert!(!second.backends[&dead].route.flags.has(BackendFlags::SERVES));
    assert_eq!(pool_table(&first, &bench.ledger, "us"), pool_table(&second, &bench.ledger, "us"));
    assert_eq!(bench.ledger.record().tables[&old.0].gone, Some(2));
    assert_eq!(bench.compile(&desired).tables, second.tables, "what stands is found again");
}

#[test]
fn an_index_is_not_given_away_before_its_release() {
    let mut bench = Bench::new();
    bench.compile(&world());
    let index = |bench: &Bench, last: u8| {
        bench.ledger.record().pools["eu"]
            .backends
            .get(&IpAddr::from([10, 0, 0, last]))
            .map(|backend| backend.index)
    };
    let old = index(&bench, 2).unwrap();
    let mut desired = world();
    desired.pools[0].members[1] = member(99, 1, MemberState::Up);
    bench.compile(&desired);
    assert_ne!(index(&bench, 99), Some(old));
    bench.ledger.release_names(1);
    assert_eq!(index(&bench, 2), Some(old), "generation 2 no longer names it");
    bench.ledger.release_names(2);
    assert_eq!(index(&bench, 2), None);
    desired.pools[0].members.push(member(98, 1, MemberState::Up));
    bench.compile(&desired);
    assert_eq!(index(&bench, 98), Some(old));
}

#[test]
fn removed_names_stay_in_quarantine_with_all_they_hold() {
    let mut bench = Bench::new();
    bench.compile(&world());
    let mut desired = world();
    desired.pools.pop();
    desired.services = vec![service("a/one", 1, &[("eu", "eu", 100)])];
    let image = bench.compile(&desired);
    assert_eq!((image.pools.len(), image.services.len(), image.backends.len()), (1, 1, 4));
    let record = bench.ledger.record();
    assert_eq!(record.pools["us"].gone, Some(2));
    assert!(record.pools["us"].backends.values().all(|backend| backend.gone == Some(2)));
    assert_eq!(record.services["b/one"].gone, Some(2));
    bench.ledger.release_tables(2);
    bench.ledger.release_names(2);
    let record = bench.ledger.record();
    assert_eq!((record.pools.len(), record.services.len(), record.tables.len()), (1, 1, 1));
}

#[test]
fn failing_open_serves_all_and_draining_comes_before_it() {
    let mut desired = world();
    for member in &mut desired.pools[0].members {
        member.state = MemberState::Down;
    }
    let mut bench = Bench::new();
    let image = bench.compile(&desired);
    let (_, rows) = pool_table(&image, &bench.ledger, "eu");
    assert!(
        (0..4).all(
            |index| rows.contains(&index) && image.backends[&index].route.flags.has(BackendFlags::SERVES)
        )
    );
    desired.pools[0].members[2].state = MemberState::Draining;
    let image = bench.compile(&desired);
    let (_, rows) = pool_table(&image, &bench.ledger, "eu");
    assert!(rows.iter().all(|index| *index == 2));
    assert!(!image.backends[&0].route.flags.has(BackendFlags::SERVES));
    assert_eq!(image.pools[&0].spare, 2);
}

#[test]
fn what_cannot_be_reached_keeps_its_rows_but_does_not_serve() {
    let mut desired = world();
    desired.pools[0].members[0].reach = Reach::Unresolved;
    desired.pools[0].members[1].reach = Reach::Local;
    let mut bench = Bench::new();
    let image = bench.compile(&desired);
    assert!(pool_table(&image, &bench.ledger, "eu").1.contains(&0));
    let flags = |index: u32| image.backends[&index].route.flags;
    assert!(!flags(0).has(BackendFlags::SERVES));
    assert!(flags(1).has(BackendFlags::SERVES.with(BackendFlags::LOCAL)));
    assert_eq!(image.pools[&0].spare, 1);
    desired.pools[0].members.iter_mut().for_each(|member| member.reach = Reach::Unresolved);
    assert_eq!(bench.compile(&desired).pools[&0].spare, NO_BACKEND);
}

#[test]
fn an_empty_pool_has_no_table() {
    let mut desired = world();
    desired.pools[0].members.clear();
    let image = Bench::new().compile(&desired);
    assert_eq!((image.pools[&0].table, image.pools[&0].spare), (0, NO_BACKEND));
}

#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let full = |limits: Limits, change: fn(&mut Desired)| {
        let mut ledger = Ledger::new(Sizes::of(&limits));
        let mut desired = world();
        change(&mut desired);
        let error = compile(&desired, &mut ledger, &mut Cache::default(), 0).unwrap_err();
        assert_eq!(ledger.record(), &Record::default());
        let CompileError::Full { resource, needed, limit } = error else { panic!("{error}") };
        assert!(error.to_string().contains("gateway.limits"), "{error}");
        (resource, needed, limit)
    };
    let limits = LIMITS;
    assert_eq!(full(Limits { services: 3, ..limits }, |_| ()), (Resource::Services, 4, 3));
    assert_eq!(full(Limits { backends: 7, ..limits }, |_| ()), (Resource::Backends, 8, 7));
    assert_eq!(full(Limits { rows: 4096, ..limits }, |_| ()), (Resource::Rows, 4608, 4096));
    let many_ports = |desired: &mut Desired| {
        let port = |port| ServicePort { name: None, protocol: Protocol::Udp, port, last: None };
        desired.services[0].ports.extend((1..=100).map(port));
    };
    assert_eq!(full(limits, many_ports), (Resource::VipKeys, 108, 64));
}

#[test]
fn a_damaged_record_is_refused() {
    let mut bench = Bench::new();
    bench.compile(&world());
    let sizes = Sizes::of(&LIMITS);
    let adopt = |change: fn(&mut Record)| {
        let mut record = bench.ledger.record().clone();
        change(&mut record);
        Ledger::adopt(record, sizes, &MemoryMaps::new(&sizes), 0).map(|_| ()).unwrap_err()
    };
    let twice = adopt(|record| record.services.get_mut("a/one").unwrap().index = 1);
    assert_eq!(twice, AdoptError::Twice { resource: Resource::Services, index: 1 });
    let beyond =
        adopt(|record| record.pools.get_mut("eu").unwrap().backends.values_mut().next().unwrap().index = 64);
    assert_eq!(beyond, AdoptError::OutOfRange { resource: Resource::Backends, index: 64, limit: 64 });
    let overlap = adopt(|record| {
        let base = record.tables[&1].current;
        let table = record.tables.get_mut(&2).unwrap();
        (table.current, table.stable, table.earlier) = (base, base, [base; 2]);
    });
    assert!(matches!(overlap, AdoptError::Twice { resource: Resource::Rows, .. }), "{overlap}");
    let wild = adopt(|record| record.tables.get_mut(&1).unwrap().log2_rows = 200);
    assert!(matches!(wild, AdoptError::OutOfRange { resource: Resource::Rows, .. }), "{wild}");
}

#[test]
fn a_pools_encapsulation_is_in_its_entries_and_its_table() {
    let mut bench = Bench::new();
    let bare = bench.compile(&world());
    let (_, rows) = pool_table(&bare, &bench.ledger, "eu");
    let encapsulated = |encap| {
        let mut desired = world();
        desired.pools[0].encap = encap;
        desired
    };
    let vxlan = EncapKind::Vxlan { port: 4789, vni: 7, mac: [2, 0, 0, 0, 0, 9] };
    for (encap, flag) in
        [(EncapKind::Gue { port: 6080, tag: false }, BackendFlags::GUE), (vxlan, BackendFlags::VXLAN)]
    {
        let image = bench.compile(&encapsulated(encap));
        let pool = bench.ledger.record().pools["eu"].index;
        let (its, others): (Vec<&BackendEntry>, Vec<_>) =
            image.backends.values().partition(|entry| entry.pool == pool);
        let tunnel = BackendFlags::GUE.with(BackendFlags::VXLAN);
        assert_eq!((its.len(), others.len()), (4, 4));
        for entry in its {
            assert_eq!(entry.route.flags.without(tunnel).with(flag), entry.route.flags);
            assert_eq!(entry.port.get(), encap.port());
        }
        assert!(others.iter().all(|entry| entry.route.flags.without(tunnel) == entry.route.flags));
        assert!(others.iter().all(|entry| entry.port.get() == 0));
        assert_ne!(pool_table(&image, &bench.ledger, "eu").1, rows, "the port is hashed");
        let tunnels = if encap == vxlan {
            vec![(u32::from(pool), TunnelEntry::new(7, [2, 0, 0, 0, 0, 9]))]
        } else {
            Vec::new()
        };
        assert_eq!(image.tunnels.into_iter().collect::<Vec<_>>(), tunnels);
    }
}
