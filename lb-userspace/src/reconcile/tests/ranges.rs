//! Ranges of ports: what a flow meets while they change.

use super::histories::{flows, world};
use super::observer::resolve;
use super::*;
use crate::config::model::{Protocol, ServicePort};
use lb_common::abi::PortRanges;
use std::net::IpAddr;

/// A first port, and of a range the last.
type Span = (u16, Option<u16>);

/// The world, whose first service listens on these ports; flows go to port 443.
fn listening(spans: &[Span]) -> Desired {
    let port = |(port, last): &Span| {
        let (port, last) = (*port, *last);
        ServicePort { name: None, protocol: Protocol::Tcp, port, last }
    };
    let mut desired = world();
    desired.services[0].ports = spans.iter().map(port).collect();
    desired
}

/// Whether all flows to the first service find a backend, or none does.
fn is_served(maps: &MemoryMaps) -> bool {
    let vip = world().services[0].vips[0].address;
    let mut found =
        flows().filter(|flow| IpAddr::from(flow.destination) == vip).map(|flow| resolve(&flow, maps));
    let first = found.next().unwrap().is_ok();
    assert!(found.all(|found| found.is_ok() == first));
    first
}

#[test]
fn ranges_are_exchanged_with_the_table_that_names_them() {
    let mut agent = Agent::new();
    let (one, any) = ((443, None), (0, None));
    let steps: [(&[Span], bool); 8] = [
        (&[one], true),
        (&[(400, Some(500))], true),
        (&[(443, Some(444)), (100, Some(200))], true),
        (&[(100, Some(442)), any], true),
        (&[(100, Some(442)), (444, Some(65_535))], false),
        (&[any], true),
        (&[(1, Some(65_535)), one], true),
        (&[(1, Some(442))], false),
    ];
    for (spans, served) in steps {
        agent.follow_watched(&listening(spans));
        assert_eq!(is_served(&agent.maps), served, "{spans:?}");
    }
}

/// The table of keys stays the same where only the bounds of a range change: its other half is used all the same.
#[test]
fn other_bounds_alone_are_a_change() {
    let mut agent = Agent::new();
    agent.follow(&listening(&[(400, Some(500))]));
    let before = agent.maps.control[0].vips.base();
    agent.follow(&listening(&[(400, Some(440))]));
    assert_ne!(agent.maps.control[0].vips.base(), before);
    assert!(!is_served(&agent.maps));
    assert_eq!(agent.follow(&listening(&[(400, Some(440))])), 0);
    assert_eq!(
        agent.maps.ranges.iter().filter(|line| **line != PortRanges::default()).count(),
        2,
        "one a half"
    );
}
