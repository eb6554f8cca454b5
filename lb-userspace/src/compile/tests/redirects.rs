//! What goes by way of gateways: to other clusters, and from them to this one.

use super::*;
use crate::config::model::{AccessList, Admit, Prefix};
use lb_common::abi::{AccessPolicy, Redirected, ServiceFlags, VipKey};
use lb_common::flow::Flow;
use lb_common::net::{Family, NetworkU16};
use lb_ebpf::pipeline;
use lb_ebpf::redirect::GATEWAYS;
use lb_ebpf::tables::Tables as _;
use lb_ebpf::track::Segment;

const OWN: [u8; 4] = [192, 0, 2, 1];

/// The world of a gateway in eu, which reaches us by way of its gateways, and takes what those send.
fn between() -> Desired {
    let gateways = [(Prefix::parse("10.0.0.8/29").unwrap(), Admit::Allow)].into();
    let taken = crate::config::model::Redirects { gateways: AccessList::new(gateways).into(), port: 6080 };
    let redirects = Redirects {
        own: Some("eu".into()),
        through: ["us".into()].into(),
        addresses: [OWN.into()].into(),
        taken,
    };
    let mut desired = Desired { redirects, ..world() };
    desired.pools[1].encap = EncapKind::Gue { port: 6080, tag: false };
    desired
}

#[test]
fn gateways_are_marked_and_each_service_knows_its_own_pool() {
    let mut bench = Bench::new();
    let image = bench.compile(&between());
    let record = bench.ledger.record();
    let index = |pool: &str| u32::from(record.pools[pool].index);
    for entry in image.backends.values() {
        assert_eq!(entry.route.flags.has(BackendFlags::GATEWAY), u32::from(entry.pool) == index("us"));
    }
    let services = image.services.values();
    let local: Vec<_> = services.map(|entry| entry.selector(Redirected::YES).single_pool()).collect();
    assert_eq!(local, [Some(index("eu")); 4], "whatever the weights");
    assert_eq!(image.control.redirects, NetworkU16::new(6080));
    let key = VipKey::of_tunnel(Family::V4, IpAddr::from(OWN).into());
    assert!(image.vips.iter().any(|bucket| bucket.find(&key).is_some()));
    // Whoever has no policy any more meets that index on the way, and is to be admitted.
    let named = image.access[&GATEWAYS];
    assert_eq!(AccessPolicy { seal: 0, ..named }, AccessPolicy::default());
    assert_ne!(named.seal, 0);
}

#[test]
fn who_takes_nothing_has_no_key_for_it() {
    let mut desired = between();
    (desired.redirects.addresses, desired.redirects.taken) = Default::default();
    desired.redirects.own = None;
    let image = Bench::new().compile(&desired);
    assert_eq!(image.control.redirects, NetworkU16::new(0));
    assert!(image.access.is_empty() && image.prefixes.is_empty());
    assert!(
        image.services.values().all(|entry| entry.selector(Redirected::YES) == Selector::NONE),
        "without a cluster of its own nothing is local"
    );
    let slots = image.vips.iter().flat_map(|bucket| &bucket.slots);
    assert!(slots.clone().all(|slot| !slot.key.is_of_tunnel()) && slots.count() > 0);
}

/// A connection that came straight, and one of the same addresses and ports that was redirected, have a record each.
#[test]
fn what_was_redirected_never_follows_a_record_to_another_cluster() {
    let mut bench = Bench::new();
    let mut desired = between();
    desired.services.iter_mut().for_each(|service| service.tracking = Tracking::Full);
    let image = bench.compile(&desired);
    let mut maps = MemoryMaps::new(&Sizes::of(&LIMITS));
    reconcile(&image, &mut maps).unwrap();
    let service = bench.ledger.record().services["a/both"].index;
    assert!(maps.service(service).unwrap().flags.has(ServiceFlags::FULLY_TRACKED));
    let pool = |flow: &Flow, redirected| {
        let told = (redirected, || Segment::Middle);
        let choice = pipeline::choose(flow, || None, service, &image.control, &maps, told).unwrap();
        (choice.owner.backend.pool, choice.owner.index)
    };
    let [eu, us] = ["eu", "us"].map(|name| bench.ledger.record().pools[name].index);
    let mut gone_over = 0;
    for flow in (1..200).map(flow) {
        let (straight, redirected) = (pool(&flow, Redirected::NO), pool(&flow, Redirected::YES));
        gone_over += usize::from(straight.0 == us);
        assert_eq!(redirected.0, eu);
        // Once more, now that both are recorded.
        assert_eq!((pool(&flow, Redirected::NO), pool(&flow, Redirected::YES)), (straight, redirected));
    }
    assert!(gone_over > 5, "{gone_over} would have gone to the other cluster");
    let connections = maps.connections.borrow();
    assert_eq!(connections.len(), 2 * 199);
    assert_eq!(connections.values().filter(|one| one.redirected().is()).count(), 199);
}

fn flow(port: u16) -> Flow {
    Flow {
        family: Family::V4,
        source: IpAddr::from([192, 0, 2, 7]).into(),
        destination: IpAddr::from([198, 51, 100, 2]).into(),
        source_port: NetworkU16::new(port),
        destination_port: NetworkU16::new(443),
        protocol: 6,
    }
}
