//! Next hops follow the kernel's routes, links and neighbours.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use lb_userspace::datapath::nexthop::{NextHop, Resolution, RouteKind, Timing, Unresolved};

use super::nexthop_world::{Conduct, World, eventually, run, run_words};

/// No timer does the work of a notification: the resync is far away.
fn notified() -> Timing {
    Timing { resync: Duration::from_hours(1), ..Timing::default() }
}

#[test]
fn on_the_link_the_backend_itself_is_the_next_hop() {
    let world = World::new();
    let running = world.resolver(notified());
    running.target(&["10.77.0.2", "fd77::2"]);
    let hop = world.hop_0();
    running.wait_via("10.77.0.2", &hop);
    let source: IpAddr = "fd77::1".parse().unwrap();
    running.wait_via("fd77::2", &NextHop { source, ..hop });
}

#[test]
fn behind_a_router_the_router_is_the_next_hop() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2 mtu 1300");
    world.at_gateway("route add 10.91.0.0/16 via inet6 fe80::2 dev up0");
    world.at_gateway("-6 route add fd90::/64 via fe80::2 dev up0");
    let running = world.resolver(notified());
    running.target(&["10.90.1.1", "10.91.1.1", "fd90::1"]);
    let hop = world.hop_0();
    running.wait_via("10.90.1.1", &NextHop { mtu: 1300, ..hop.clone() });
    running.wait_via("10.91.1.1", &hop);
    let source: IpAddr = "fd77::1".parse().unwrap();
    running.wait_via("fd90::1", &NextHop { source, ..hop });
}

#[test]
fn an_address_of_this_machine_is_local() {
    let world = World::new();
    world.at_gateway("link set lo up");
    let running = world.resolver(notified());
    running.target(&["10.77.0.1", "fd77::1", "10.77.0.7"]);
    running.wait("10.77.0.1", &Resolution::Local);
    running.wait("fd77::1", &Resolution::Local);
    world.at_gateway("address add 10.77.0.7/24 dev up0");
    running.wait("10.77.0.7", &Resolution::Local);
}

#[test]
fn routes_that_come_move_and_go_are_followed() {
    let world = World::new();
    let target = "10.90.1.1";
    let running = world.resolver(notified());
    running.target(&[target]);
    running.wait_unresolved(target, Unresolved::NoRoute);
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    running.wait_via(target, &world.hop_0());
    world.at_gateway("route replace 10.90.0.0/16 via 10.78.0.2");
    running.wait_via(target, &world.hop_1());
    world.at_gateway("route replace blackhole 10.90.0.0/16");
    running.wait_unresolved(target, Unresolved::NotUnicast(RouteKind::Blackhole));
    world.at_gateway("route replace prohibit 10.90.0.0/16");
    running.wait_unresolved(target, Unresolved::NotUnicast(RouteKind::Prohibit));
    world.at_gateway("route delete 10.90.0.0/16");
    running.wait_unresolved(target, Unresolved::NoRoute);
    world.at_gateway("route add default via 10.77.0.2");
    running.wait_via(target, &world.hop_0());
}

#[test]
fn policy_rules_are_obeyed() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    world.at_gateway("route add 10.90.0.0/16 via 10.78.0.2 table 100");
    let running = world.resolver(notified());
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
    world.at_gateway("rule add to 10.90.1.0/24 lookup 100");
    running.wait_via("10.90.1.1", &world.hop_1());
}

#[test]
fn a_neighbour_that_announces_a_new_mac_is_followed() {
    let world = World::new();
    let running = world.resolver(notified());
    running.target(&["10.77.0.2"]);
    running.wait_via("10.77.0.2", &world.hop_0());
    world.at_router("link set down0 address 02:00:00:00:00:99");
    // Whatever it sends next makes it ask for our MAC, which tells its own.
    let router = &world.router;
    run("ip", &["netns", "exec", router, "bash", "-c", "echo > /dev/udp/10.77.0.1/9"]);
    let destination_mac = [2, 0, 0, 0, 0, 0x99];
    running.wait_via("10.77.0.2", &NextHop { destination_mac, ..world.hop_0() });
}

#[test]
fn a_neighbour_that_changes_its_mac_silently_is_found_by_keeping_it_alive() {
    let world = World::new();
    world.hurry_probes();
    let keep_alive = Duration::from_millis(500);
    let running = world.resolver(Timing { keep_alive, ..notified() });
    running.target(&["10.77.0.2"]);
    running.wait_via("10.77.0.2", &world.hop_0());
    world.at_router("link set down0 address 02:00:00:00:00:99");
    world.at_gateway("neigh change 10.77.0.2 dev up0 lladdr 02:00:00:00:00:20 nud stale");
    let destination_mac = [2, 0, 0, 0, 0, 0x99];
    running.wait_via("10.77.0.2", &NextHop { destination_mac, ..world.hop_0() });
}

#[test]
fn a_stale_neighbour_in_use_is_confirmed_and_one_not_in_use_is_left() {
    let world = World::new();
    let keep_alive = Duration::from_millis(500);
    let running = world.resolver(Timing { keep_alive, ..notified() });
    running.target(&["10.77.0.2"]);
    running.wait_via("10.77.0.2", &world.hop_0());
    for neighbour in
        ["10.77.0.2 dev up0 lladdr 02:00:00:00:00:20", "10.78.0.2 dev up1 lladdr 02:00:00:00:00:21"]
    {
        world.at_gateway(&format!("neigh replace {neighbour} nud stale"));
    }
    let stale = |link: &str| world.at_gateway(&format!("neigh show dev {link} nud stale"));
    eventually("the neighbour in use leaves STALE", || !stale("up0").contains("10.77.0.2"));
    assert!(stale("up1").contains("10.78.0.2"));
}

#[test]
fn a_silent_backend_is_unresolved_until_it_answers() {
    let world = World::new();
    let running = world.resolver(notified());
    running.target(&["10.77.0.9"]);
    let gateway = "10.77.0.9".parse().unwrap();
    let reason = Unresolved::NoNeighbour { interface: "up0".into(), gateway };
    running.wait_unresolved("10.77.0.9", reason);
    let failed = || world.at_gateway("neigh show dev up0 nud failed");
    eventually("the kernel gives up", || failed().contains("10.77.0.9"));
    world.at_router("address add 10.77.0.9/24 dev down0");
    running.wait_via("10.77.0.9", &world.hop_0());
}

#[test]
fn a_link_that_goes_down_takes_its_next_hops_along() {
    let world = World::new();
    let running = world.resolver(notified());
    running.target(&["10.77.0.2"]);
    running.wait_via("10.77.0.2", &world.hop_0());
    world.at_router("link set down0 down");
    running.wait_unresolved("10.77.0.2", Unresolved::LinkDown { interface: "up0".into() });
    world.at_router("link set down0 up");
    running.wait_via("10.77.0.2", &world.hop_0());
    world.at_gateway("link set up0 down");
    running.wait_unresolved("10.77.0.2", Unresolved::NoRoute);
}

#[test]
fn changes_of_the_link_itself_are_followed() {
    let world = World::new();
    let running = world.resolver(notified());
    running.target(&["10.77.0.2"]);
    running.wait_via("10.77.0.2", &world.hop_0());
    world.at_gateway("link set up0 mtu 1400");
    running.wait_via("10.77.0.2", &NextHop { mtu: 1400, ..world.hop_0() });
    world.at_gateway("link set up0 address 02:00:00:00:00:77");
    let source_mac = [2, 0, 0, 0, 0, 0x77];
    running.wait_via("10.77.0.2", &NextHop { mtu: 1400, source_mac, ..world.hop_0() });
}

#[test]
fn a_bridge_is_its_own_egress() {
    let world = World::new();
    world.at_gateway("link add br0 address 02:00:00:00:00:10 type bridge");
    world.at_gateway("address flush dev up1");
    world.at_gateway("link set up1 master br0");
    world.at_gateway("link set br0 up");
    world.at_gateway("address add 10.78.0.1/24 dev br0");
    let running = world.resolver(notified());
    running.target(&["10.78.0.2"]);
    let shown = world.at_gateway("-oneline link show dev br0");
    let interface_index = shown.split(':').next().unwrap().parse().unwrap();
    let interface_name = "br0".to_owned();
    running.wait_via("10.78.0.2", &NextHop { interface_index, interface_name, ..world.hop_1() });
}

#[test]
fn an_address_no_longer_targeted_is_silent_and_comes_back_with_an_event() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    let running = world.resolver(notified());
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
    running.target(&[]);
    world.at_gateway("route replace 10.90.0.0/16 via 10.78.0.2");
    assert_eq!(running.next_within(Duration::from_millis(500)), None);
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_1());
}

/// Changes the MTU of the route to 10.90.0.0/16 many times, then moves it to the second link; returns
/// how long that took.
fn storm(world: &World, changes: usize) -> Duration {
    let mut lines = String::new();
    for change in 1..=changes {
        let mtu = 1000 + change % 400;
        writeln!(lines, "route replace 10.90.0.0/16 via 10.77.0.2 mtu {mtu}").unwrap();
    }
    writeln!(lines, "route replace 10.90.0.0/16 via 10.78.0.2").unwrap();
    let batch = tempfile::NamedTempFile::new().unwrap();
    fs::write(batch.path(), lines).unwrap();
    let start = Instant::now();
    run_words(&format!("ip -n {} -batch {}", world.gateway, batch.path().display()));
    start.elapsed()
}

#[test]
fn a_storm_of_changes_leads_to_few_events_and_the_right_end() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    let running = world.resolver(notified());
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
    let took = storm(&world, 4000);
    let events = running.wait_via("10.90.1.1", &world.hop_1());
    // One per settling time, and at the end one for the route and two for its new neighbour.
    let most = took.as_millis() / notified().settle.as_millis() + 3;
    assert!(events as u128 <= most, "{events} events in {took:?}");
}

#[test]
fn notifications_lost_to_an_overrun_are_made_up_for() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    let running = world.resolver_with(notified(), Conduct { privileged: true, backlog: 0 });
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
    // The event of this change is not taken, so the resolver's thread stands still and reads nothing:
    // the storm overruns its socket, and the last change is among those that are lost.
    world.at_gateway("route replace 10.90.0.0/16 via 10.77.0.2 mtu 1400");
    thread::sleep(Duration::from_millis(500));
    storm(&world, 20_000);
    running.wait_via("10.90.1.1", &world.hop_1());
}

#[test]
fn without_privilege_a_neighbour_is_provoked_by_a_datagram() {
    let world = World::new();
    world.at_gateway("route add 10.90.0.0/16 via 10.77.0.2");
    let running = world.resolver_with(notified(), Conduct { privileged: false, backlog: 1000 });
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
}

#[test]
fn what_no_notification_told_is_found_by_the_resync() {
    let world = World::new();
    let namespace = &world.gateway;
    run_words(&format!("ip netns exec {namespace} sysctl -qw net.ipv4.nexthop_compat_mode=0"));
    world.at_gateway("nexthop add id 7 via 10.77.0.2 dev up0");
    world.at_gateway("route add 10.90.0.0/16 nhid 7");
    let running = world.resolver(Timing { resync: Duration::from_secs(1), ..Timing::default() });
    running.target(&["10.90.1.1"]);
    running.wait_via("10.90.1.1", &world.hop_0());
    world.at_gateway("nexthop replace id 7 via 10.78.0.2 dev up1");
    running.wait_via("10.90.1.1", &world.hop_1());
    // Reading it all again changes nothing and so says nothing.
    assert_eq!(running.next_within(Duration::from_secs(2)), None);
}
