//! The lab itself: it works without a balancer, and leaves nothing behind.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lb_tests::lab::{
    FrameSocket, HEALTH_PORT, Load, Namespace, Objects, TwoClusters, VIP_V4, VIP_V6, WorkDir, fetch,
    fetch_within, is_root,
};

use crate::packets::{CLIENT_PORT, encapsulated_syn};

const PATIENCE: Duration = Duration::from_secs(2);
/// For a node that was brought back: two SYNs may be lost (RFC 6298: a second, then two).
const BOOT_PATIENCE: Duration = Duration::from_secs(5);

/// Builds the lab, or says why the test cannot run.
fn lab_or_skip() -> Option<TwoClusters> {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return None;
    }
    Some(TwoClusters::build(&Objects::from_env().unwrap()).unwrap())
}

#[test]
fn a_node_takes_off_the_outer_header_and_answers_the_client_directly() {
    let Some(lab) = lab_or_skip() else { return };
    let from_gateway = FrameSocket::open(&lab.gateway, "eth0").unwrap();
    let at_client = FrameSocket::open(&lab.client, "eth0").unwrap();
    let macs = (TwoClusters::GATEWAY.host_mac(), TwoClusters::GATEWAY.router_mac());
    let families = [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)];
    for node in &lab.nodes {
        for (outer, vip) in families.iter().flat_map(|o| families.map(|v| (*o, v))) {
            let tunnel = (TwoClusters::GATEWAY.host(outer), node.address(outer));
            let flow = (TwoClusters::CLIENT.host(vip), vip);
            from_gateway.send(&encapsulated_syn(macs, tunnel, flow)).unwrap();
            let answer = at_client.receive(PATIENCE, |frame| is_syn_ack_from(frame, vip)).unwrap();
            assert!(answer.is_some(), "{}: no answer of {vip} through {tunnel:?}", node.name);
        }
    }
}

fn is_syn_ack_from(frame: &[u8], vip: IpAddr) -> bool {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return false };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return false };
    source(&packet) == Some(vip) && tcp.syn() && tcp.ack() && tcp.destination_port() == CLIENT_PORT
}

fn source(packet: &SlicedPacket) -> Option<IpAddr> {
    match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => Some(ip.header().source_addr().into()),
        NetSlice::Ipv6(ip) => Some(ip.header().source_addr().into()),
        NetSlice::Arp(_) => None,
    }
}

#[test]
fn the_clients_packets_reach_the_gateway_with_right_checksums() {
    let Some(lab) = lab_or_skip() else { return };
    let at_gateway = FrameSocket::open(&lab.gateway, "eth0").unwrap();
    for vip in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
        let _ = fetch(&lab.client, SocketAddr::new(vip, 80), "/");
        let frame = at_gateway.receive(PATIENCE, |frame| is_from_client(frame, vip)).unwrap();
        let frame = frame.unwrap_or_else(|| panic!("nothing for {vip} came to the gateway"));
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { unreachable!("is_from_client saw TCP") };
        let right = match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => tcp.to_header().calc_checksum_ipv4(&ip.header().to_header(), tcp.payload()),
            NetSlice::Ipv6(ip) => tcp.to_header().calc_checksum_ipv6(&ip.header().to_header(), tcp.payload()),
            NetSlice::Arp(_) => unreachable!("is_from_client saw TCP"),
        };
        assert_eq!(tcp.checksum(), right.unwrap(), "for {vip}");
    }
}

fn is_from_client(frame: &[u8], vip: IpAddr) -> bool {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return false };
    matches!(packet.transport, Some(TransportSlice::Tcp(_)))
        && source(&packet) == Some(TwoClusters::CLIENT.host(vip))
}

#[test]
fn a_killed_node_is_silent_and_a_revived_one_answers_again() {
    let Some(mut lab) = lab_or_skip() else { return };
    for family in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
        let health = SocketAddr::new(lab.nodes[0].address(family), HEALTH_PORT);
        assert_eq!(fetch(&lab.gateway, health, "/healthz").unwrap(), "eu-1-a");
        lab.nodes[0].kill().unwrap();
        let error = fetch(&lab.gateway, health, "/healthz").unwrap_err();
        assert!(format!("{error:#}").contains("timeout"), "not silent: {error:#}");
        lab.nodes[0].revive().unwrap();
        // The kernel may take up to a second to see that a link is back; the first SYN may be lost.
        let answer = fetch_within(BOOT_PATIENCE, &lab.gateway, health, "/healthz");
        assert_eq!(answer.unwrap(), "eu-1-a");
    }
}

#[test]
fn the_load_reports_who_answered_and_who_did_not() {
    let Some(mut lab) = lab_or_skip() else { return };
    let to = SocketAddr::new(lab.nodes[3].address(VIP_V4.into()), 80);
    let load = Load::start(&lab.client, to, 4, 400).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let before = load.outcomes();
    assert!(before.len() > 100, "only {} requests in half a second", before.len());
    assert!(before.iter().all(|outcome| outcome.answer.as_deref() == Ok("us-1-b")));
    lab.nodes[3].kill().unwrap();
    std::thread::sleep(Duration::from_millis(800));
    let all = load.finish();
    assert!(all.iter().any(|outcome| !outcome.is_ok()));
}

#[test]
fn everything_is_gone_afterwards() {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return;
    }
    let work = WorkDir::new().unwrap();
    let directory = work.path().to_owned();
    assert!(is_mounted(&work.bpf().display().to_string()));
    let namespace = Namespace::new("gone").unwrap();
    let identity = fs::read_link(namespace.path()).unwrap();
    let mut child = namespace.command("sleep").arg("60").spawn().unwrap();
    let where_it_runs = fs::read_link(format!("/proc/{}/ns/net", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(where_it_runs, identity);
    let path = namespace.path();
    drop((namespace, work));
    assert_ne!(fs::read_link(path).ok(), Some(identity));
    assert!(!directory.exists());
    assert!(!is_mounted(&directory.display().to_string()));
}

#[test]
fn a_sweep_removes_what_a_killed_run_left_and_spares_the_living() {
    if !is_root() {
        println!("SKIP: mounts need root");
        return;
    }
    let living = WorkDir::new().unwrap();
    let dead = std::env::temp_dir().join(format!("spillway-lab-dead-{}", std::process::id()));
    fs::create_dir_all(dead.join("bpf")).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    let none: Option<&str> = None;
    nix::mount::mount(Some("bpf"), &dead.join("bpf"), Some("bpf"), nix::mount::MsFlags::empty(), none)
        .unwrap();
    assert!(is_mounted(&dead.display().to_string()));
    assert!(WorkDir::sweep().unwrap() >= 1);
    assert!(!dead.exists());
    assert!(!is_mounted(&dead.display().to_string()));
    assert!(living.bpf().exists());
}

#[test]
fn a_panic_leaves_nothing_either() {
    if !is_root() {
        println!("SKIP: network namespaces need root");
        return;
    }
    let mut seen = None;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let (work, namespace) = (WorkDir::new().unwrap(), Namespace::new("panics").unwrap());
        let path = namespace.path();
        seen = Some((work.path().to_owned(), fs::read_link(&path).unwrap(), path));
        namespace.enter(|| -> anyhow::Result<()> { panic!("on purpose") })
    }));
    assert!(panic.is_err());
    let (directory, identity, path) = seen.unwrap();
    assert_ne!(fs::read_link(path).ok(), Some(identity));
    assert!(!directory.exists() && !is_mounted(&directory.display().to_string()));
}

fn is_mounted(beginning: &str) -> bool {
    mount_points().iter().any(|point| point.starts_with(beginning))
}

fn mount_points() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}
