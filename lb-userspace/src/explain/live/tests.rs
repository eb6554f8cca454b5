use super::*;
use crate::config::model::Protocol;
use crate::explain::frame::frame;
use crate::explain::tests::{WORLD, imagined, query};
use crate::explain::{Known, explain};
use lb_common::abi::{BackendFlags, LinkAddress};

/// The index of the interface by which all nodes are reached.
const EGRESS: u32 = 2;

/// Maps whose nodes have next hops.
fn maps() -> (crate::compile::MapImage, crate::compile::Record) {
    let mut maps = imagined(&serde_json::from_str(WORLD).unwrap());
    for backend in maps.0.backends.values_mut() {
        backend.route.interface = EGRESS;
        backend.destination_mac = LinkAddress::new([2, 0, 0, 0, 0x53, 0x11], 7);
        backend.mtu = 1500;
    }
    maps
}

/// Whom a frame is sent to is whom the explanation names, of both families and protocols and each encapsulation.
#[test]
fn what_is_computed_of_the_frame_is_what_is_explained() {
    let (image, record) = maps();
    let mut kinds = std::collections::BTreeSet::new();
    for (protocol, source, destination) in [
        (Protocol::Tcp, "192.0.2.7", "198.51.100.10:443"),
        (Protocol::Udp, "192.0.2.7", "198.51.100.91:443"),
        (Protocol::Tcp, "[2001:db8:ffff::7]", "[2001:db8::10]:443"),
    ] {
        for port in 40_000..40_064 {
            let query = query(protocol, &format!("{source}:{port}"), destination);
            let told = explain(&query, &image, Known::configured(&record), &|index| index.to_string());
            let outcome = Outcome::computed(&frame(&query), EGRESS, &image);
            let live = Live::compare("eth0", 5, &outcome, &outcome);
            assert!(live.equal && live.differences.is_empty());
            let (outer, sent) = (told.outer.unwrap(), live.outer.unwrap());
            assert_eq!((sent.destination, Some(sent.source)), (outer.destination, outer.source));
            assert_eq!(sent.destination_port, outer.destination_port);
            assert!(sent.source_port.is_none_or(|port| port == outer.source_port));
            assert_eq!((sent.mac.as_str(), sent.vlan), ("02:00:00:00:53:11", Some(7)));
            assert_eq!(live.verdict, Verdict::Transmitted);
            kinds.insert(sent.kind);
        }
    }
    assert!(kinds.contains("ipip"), "{kinds:?}");
}

#[test]
fn by_another_interface_it_is_redirected_and_what_is_not_ours_is_passed_as_it_is() {
    let (image, _) = maps();
    let ours = query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443");
    assert_eq!(Outcome::computed(&frame(&ours), EGRESS + 1, &image).verdict, Verdict::Redirected);
    let other = frame(&query(Protocol::Tcp, "192.0.2.7:40000", "192.0.2.99:443"));
    let passed = Outcome { verdict: Verdict::Passed, frame: other.clone() };
    assert_eq!(Outcome::computed(&other, EGRESS, &image), passed);
}

#[test]
fn what_differs_is_named() {
    let (mut image, _) = maps();
    let packet = frame(&query(Protocol::Tcp, "192.0.2.7:40000", "198.51.100.10:443"));
    let computed = Outcome::computed(&packet, EGRESS, &image);
    let what = |live: &Outcome| {
        let live = Live::compare("eth0", 5, &computed, live);
        assert!(!live.equal);
        live.differences.iter().map(|one| one.what).collect::<Vec<_>>()
    };
    assert_eq!(what(&Outcome { verdict: Verdict::Aborted, ..computed.clone() }), ["verdict", "outer"]);
    assert_eq!(what(&Outcome { verdict: Verdict::Redirected, ..computed.clone() }), ["verdict"]);
    for backend in image.backends.values_mut() {
        backend.route.flags = backend.route.flags.without(BackendFlags::SERVES);
    }
    assert_eq!(what(&Outcome::computed(&packet, EGRESS, &image)), ["verdict", "outer"]);
    let mut longer = computed.clone();
    longer.frame.push(0);
    assert_eq!(what(&longer), ["bytes"]);
    let mut other = computed.clone();
    *other.frame.last_mut().unwrap() ^= 1;
    let told = Live::compare("eth0", 5, &computed, &other);
    let last = computed.frame.len() - 1;
    assert!(told.differences[0].live.ends_with(&format!("at {last} of {}", last + 1)), "{told:?}");
}

#[test]
fn verdicts_are_the_kernels() {
    let known = [0, 1, 2, 3, 4, 99].map(|action| Verdict::of_xdp(action).word());
    assert_eq!(known, ["aborted", "dropped", "passed", "transmitted", "redirected", "aborted"]);
}
