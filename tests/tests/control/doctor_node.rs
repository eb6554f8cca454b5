//! `spillway doctor --node`: nothing is wrong, then one thing.

use std::fs;

use lb_tests::lab::{End, Namespace, TunnelDevices, VIP_V4, WorkDir, connect};

use super::doctor_report::{Report, doctor};
use super::gateway_world::{World, binary};

/// Whatever else is said of a node: its link is a veth, and two things cannot be seen from there.
const ALWAYS: [&str; 3] =
    ["hint offloads eth0", "hint urpf 198.51.100.10", "hint firewall IP protocols 4 and 41"];

/// A node with the receiver, and nothing to be said against it.
fn healthy() -> World {
    let world = World::new(1);
    let node = &world.nodes[0].namespace;
    node.sysctl("net/ipv4/conf/all/arp_ignore", "1").unwrap();
    node.sysctl("net/ipv4/conf/all/arp_announce", "2").unwrap();
    node.ip("route change default via 10.50.1.1 dev eth0 advmss 1440").unwrap();
    node.ip("neighbour replace 10.50.1.1 lladdr 02:00:00:32:01:01 dev eth0 nud permanent").unwrap();
    world
}

fn examine(node: &Namespace, gateway: &str, more: &[&str]) -> Report {
    let vip = VIP_V4.to_string();
    doctor(node, &[&["--node", "--vip", &vip, "--gateway", gateway], more].concat())
}

fn of(world: &World, more: &[&str]) -> Report {
    examine(&world.nodes[0].namespace, "10.50.1.1", more)
}

/// What is said beside what is always said.
fn said(report: &Report) -> Vec<String> {
    report.said().into_iter().filter(|one| !ALWAYS.contains(&one.as_str())).collect()
}

#[test]
fn of_a_healthy_node_nothing_bad_is_said() {
    let world = healthy();
    let report = of(&world, &[]);
    assert_eq!(report.said(), ALWAYS, "{:#}", report.json);
    assert_eq!((report.code, report.json["side"].as_str()), (Some(0), Some("node")));
    assert_eq!(report.about("receiver", "eth0")[1], "the receiver's program is on it");
    assert_eq!(report.about("rp_filter", "eth0")[1], "is off");
    assert_eq!(report.about("vip", "198.51.100.10")[1], "is on lo");
    assert_eq!(report.about("gateway", "10.50.1.1")[1], "is reached by eth0");
}

#[test]
fn a_vip_that_no_interface_has() {
    let world = healthy();
    world.nodes[0].namespace.ip(&format!("address del {VIP_V4}/32 dev lo")).unwrap();
    let report = of(&world, &[]);
    assert_eq!((said(&report), report.code), (vec!["error vip 198.51.100.10".to_owned()], Some(1)));
    let mend = report.about("vip", "198.51.100.10")[2];
    assert!(mend.starts_with("`ip address add 198.51.100.10/32 dev lo`"), "{mend}");
    assert_eq!(said(&of(&world, &["--service-proxy"])), ["hint vip 198.51.100.10"]);
    world.nodes[0].namespace.ip(&format!("route add local {VIP_V4}/32 dev lo")).unwrap();
    assert_eq!(said(&of(&world, &[])), [""; 0], "a local route will do");
}

#[test]
fn a_strict_reverse_path_filter_behind_the_receiver() {
    let world = healthy();
    let node = &world.nodes[0].namespace;
    node.sysctl("net/ipv4/conf/all/rp_filter", "1").unwrap();
    assert_eq!(said(&of(&world, &[])), ["hint rp_filter eth0"], "the way back is the way in");
    second_link(node);
    node.ip("route add 203.0.113.0/24 via 10.60.0.1 dev eth1").unwrap();
    assert_eq!(said(&of(&world, &["--client", "203.0.113.7"])), ["error rp_filter eth0"]);
    node.ip("route change default via 10.60.0.1 dev eth1 advmss 1440").unwrap();
    let report = of(&world, &[]);
    assert_eq!((said(&report), report.code), (vec!["error rp_filter eth0".to_owned()], Some(1)));
    let [_, says, mend] = report.about("rp_filter", "eth0");
    assert_eq!(
        says,
        "is strict (1): decapsulated packets are dropped, for the way back to clients is not eth0"
    );
    assert!(
        mend.starts_with("`sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0`"),
        "{mend}"
    );
}

/// An interface with a router that answers.
fn second_link(node: &Namespace) {
    node.ip("link add eth1 type veth peer name far1").unwrap();
    node.ip("link set far1 up").unwrap();
    node.ip("link set eth1 up").unwrap();
    node.ip("address add 10.60.0.2/24 dev eth1").unwrap();
    node.ip("neighbour replace 10.60.0.1 lladdr 02:00:00:60:00:01 dev eth1 nud permanent").unwrap();
}

#[test]
fn an_mss_without_room_for_the_outer_header() {
    let world = healthy();
    let node = &world.nodes[0].namespace;
    node.ip("route change default via 10.50.1.1 dev eth0").unwrap();
    let report = of(&world, &["--encap", "gue"]);
    let [severity, says, _] = report.about("mss", "default route by eth0");
    assert!(severity == "ok" && says.ends_with("the receiver's `clamp` is on what eth0 sends"), "{says}");
    // By an interface without it.
    second_link(node);
    node.ip("link set eth1 mtu 1600").unwrap();
    node.ip("route change default via 10.60.0.1 dev eth1").unwrap();
    let report = of(&world, &["--encap", "gue"]);
    let [severity, says, mend] = report.about("mss", "default route by eth1");
    assert_eq!(severity, "warning");
    assert_eq!(
        says,
        "clients are told an MSS of 1560: with 32 bytes of gue their packets are 1632, and eth0 takes 1600"
    );
    assert!(mend.starts_with("`ip route change default via 10.60.0.1 dev eth1 advmss 1528`;"), "{mend}");
    assert_eq!(report.about("firewall", "UDP port 6080")[0], "hint");
}

#[test]
fn no_way_back() {
    let world = healthy();
    let node = &world.nodes[0].namespace;
    node.ip("route del default").unwrap();
    let report = of(&world, &[]);
    assert_eq!(said(&report), ["warning return IPv4 clients"]);
    let report = of(&world, &["--client", "203.0.113.7"]);
    assert_eq!(said(&report), ["error return 203.0.113.7"]);
    assert!(report.about("return", "203.0.113.7")[2].starts_with("`ip route add 203.0.113.7 via ROUTER`"));
    assert_eq!(said(&of(&world, &["--client", "10.50.1.1"])), [""; 0]);
}

#[test]
fn a_vip_of_the_nodes_own_link_must_not_be_answered_for() {
    let world = healthy();
    let node = &world.nodes[0].namespace;
    node.sysctl("net/ipv4/conf/all/arp_ignore", "0").unwrap();
    assert_eq!(said(&of(&world, &[])), ["hint arp eth0"], "no VIP is on this link");
    node.ip("address add 198.51.100.99/24 dev eth0").unwrap();
    let report = of(&world, &[]);
    assert_eq!(said(&report), ["error arp eth0"]);
    let mend = report.about("arp", "eth0")[2];
    assert_eq!(mend, "`sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2`");
}

#[test]
fn an_interface_that_is_not_there() {
    let world = healthy();
    let report = of(&world, &["--interface", "eth9"]);
    let [severity, says, mend] = report.about("interface", "eth9");
    assert_eq!([severity, says], ["error", "there is no interface of this name"]);
    assert!(mend.starts_with("name one of this machine's: lo, "), "{mend}");
}

#[test]
fn the_kernels_own_tunnel_devices() {
    if !TunnelDevices::Vxlan.exist().unwrap() {
        println!("SKIP the_kernels_own_tunnel_devices: this kernel has no vxlan devices");
        return;
    }
    let (gateway, node) = (Namespace::new("gateway").unwrap(), Namespace::new("node").unwrap());
    let end = |namespace, last: u8| End {
        namespace,
        interface: "eth0",
        mac: [2, 0, 0, 51, 1, last],
        addresses: vec![format!("10.51.1.{last}/24")],
    };
    connect(&end(&gateway, 1), &end(&node, 2), 1600).unwrap();
    let examine = |encap| examine(&node, "10.51.1.1", &["--encap", encap]);
    let [severity, says, mend] = examine("vxlan").about("receiver", "vxlan").map(str::to_owned);
    assert_eq!(severity, "error", "{says}");
    assert!(mend.starts_with("`ip link add spillvx4 type vxlan id VNI dstport 4789"), "{mend}");

    TunnelDevices::Vxlan.add(&node, [10, 51, 1, 2].into(), "2001:db8::2".parse().unwrap()).unwrap();
    let report = examine("vxlan");
    assert_eq!(report.about("receiver", "vxlan")[0], "ok");
    assert_eq!(report.about("rp_filter", "spillvx4")[0], "ok");
    assert_eq!(examine("ipip").about("receiver", "ipip")[0], "error", "of another kind");

    node.sysctl("net/ipv4/conf/spillvx4/rp_filter", "1").unwrap();
    let report = examine("vxlan");
    let [severity, _, mend] = report.about("rp_filter", "spillvx4");
    assert_eq!(severity, "error");
    assert!(mend.contains("net.ipv4.conf.spillvx4.rp_filter=0"), "{mend}");

    node.ip("link set spillvx4 down").unwrap();
    node.ip("link set spillvx6 down").unwrap();
    let report = examine("vxlan");
    assert_eq!(report.about("receiver", "vxlan")[2], "`ip link set dev spillvx4 up`");
}

#[test]
fn the_file_of_a_node_says_what_options_would() {
    let world = healthy();
    let node = &world.nodes[0].namespace;
    node.ip("route change default via 10.50.1.1 dev eth0 advmss 1428").unwrap();
    let (work, vip) = (WorkDir::new().unwrap(), VIP_V4.to_string());
    let file = work.path().join("node.yaml");
    let write = |gateways: &str| {
        let accept = "accept: {gue: {}}";
        let text = format!(
            "apiVersion: spillway/v1\nnode: {{interfaces: [eth0], gateways: [{gateways}], {accept}}}\n"
        );
        fs::write(&file, text).unwrap();
    };
    let path = file.to_str().unwrap();
    let by_file = |more: &[&str]| doctor(node, &[&["--config", path, "--vip", &vip], more].concat());
    // Of the two addresses one is the node's own, as where all nodes are in the file.
    write("10.50.1.1, 10.50.1.2");
    let report = by_file(&[]);
    assert_eq!((said(&report), report.code), (vec!["hint firewall UDP port 6080".to_owned()], Some(0)));
    assert_eq!(report.json["side"], "node");
    assert_eq!(report.about("gateway", "10.50.1.1")[1], "is reached by eth0");
    assert_eq!(report.about("receiver", "eth0")[1], "the receiver's program is on it");
    let refused = |words: &[&str]| {
        let output = node.command(binary()).args(["doctor", "--config", path]).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&[]).contains("name them with --vip"));
    write("10.50.0.0/16");
    assert!(refused(&["--vip", &vip]).contains("with --gateway"));
    assert_eq!(said(&by_file(&["--gateway", "10.50.1.1", "--encap", "ipip"])), [""; 0]);
}
