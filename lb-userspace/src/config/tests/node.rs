//! Nodes' files: what arrives in the model. Their reports are in the corpus.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::world::{root, secrets};
use crate::config::model::{Accept, NodeConfig, Remember, XdpMode};
use crate::config::{check, load, load_node, parse_node};

fn good(name: &str) -> NodeConfig {
    let path = root().join("tests/fixtures/config/good").join(name);
    let text = fs::read_to_string(&path).unwrap();
    parse_node(&text, name, secrets().path()).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_key_arrives_in_the_model() {
    let config = good("node-every-key.yaml");
    let interfaces: Vec<_> = config.interfaces.iter().map(|one| (one.name.as_str(), one.mode)).collect();
    let modes = [("eth0", XdpMode::Auto), ("eth1.100", XdpMode::Native), ("eth2", XdpMode::Generic)];
    assert_eq!(interfaces, modes);
    let gateways: Vec<_> = config.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["192.0.2.1/32", "198.51.100.0/28", "2001:db8::/64"]);
    let addresses: Vec<IpAddr> = ["192.0.2.21", "2001:db8::21"].map(|text| text.parse().unwrap()).into();
    assert_eq!(config.addresses, Some(addresses));
    assert_eq!(config.accept, Accept { ipip: true, gue: Some(6081), vxlan: Some((8472, 16)) });
    assert_eq!((config.mtu, config.clamp_mss), (Some(1480), false));
    assert_eq!(config.remember, Remember { udp: false, tcp: true, flows: 1 << 20 });
    assert_eq!(config.report, Some(6082));
    assert_eq!(config.pin_path, Path::new("/sys/fs/bpf/blue"));
}

#[test]
fn what_is_left_out_has_a_default() {
    let (minimal, written) = (good("node-minimal.yaml"), good("node-defaults-written.yaml"));
    assert_eq!((minimal.mtu, minimal.clamp_mss, minimal.report), (None, true, None));
    assert_eq!((minimal.addresses.as_ref(), minimal.digest.len()), (None, 16));
    assert_eq!(minimal, NodeConfig { digest: minimal.digest.clone(), ..written });
}

#[test]
fn a_tunnel_that_is_not_named_beside_others_is_not_accepted() {
    let accept = |text: &str| {
        let file = format!(
            "apiVersion: spillway/v1\nnode: {{interfaces: [e], gateways: [192.0.2.1], accept: {text}}}\n"
        );
        parse_node(&file, "x", Path::new("")).unwrap_or_else(|problems| panic!("{problems}")).accept
    };
    assert_eq!(accept("{ipip: true}"), Accept { ipip: true, gue: None, vxlan: None });
    assert_eq!(accept("{gue: {}}"), Accept { ipip: false, gue: Some(6080), vxlan: None });
    assert_eq!(accept("{vxlan: {vni: 7}}"), Accept { ipip: false, gue: None, vxlan: Some((4789, 7)) });
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    let file = |count: u32| {
        let gateways: Vec<_> = (0..count).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        format!("apiVersion: spillway/v1\nnode: {{interfaces: [e], gateways: [{}]}}\n", gateways.join(", "))
    };
    assert!(parse_node(&file(4096), "x", Path::new("")).is_ok());
    let report = parse_node(&file(4097), "x", Path::new("")).expect_err("too many").to_string();
    assert!(report.contains("node.gateways: 4097 are more than 4096"), "{report}");
}

#[test]
fn a_file_is_checked_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.yaml");
    let report = |text: &str| {
        fs::write(&path, text).unwrap();
        check(&path).expect_err("bad").to_string()
    };
    let node = report("apiVersion: spillway/v1\nnode: {}\n");
    assert!(node.contains("`gateways` is missing") && !node.contains("clusterSet"), "{node}");
    let gateway = report("apiVersion: spillway/v1\ngateway: {}\n");
    assert!(gateway.contains("`clusterSet` is missing"), "{gateway}");
    fs::write(&path, "apiVersion: spillway/v1\ngateway: {}\n").unwrap();
    let other = load_node(&path).expect_err("another file").to_string();
    assert!(other.contains("is a gateway's file") && other.contains("`spillway run --config`"), "{other}");
    let node = root().join("tests/fixtures/config/good/node-minimal.yaml");
    let other = load(&node).expect_err("another file").to_string();
    assert!(other.contains("is a node's file") && other.contains("`spillway node --config`"), "{other}");
    fs::write(&path, "").unwrap();
    let empty = load_node(&path).expect_err("empty").to_string();
    assert!(empty.contains("the file is empty") && empty.contains("`node`"), "{empty}");
}

#[test]
fn keys_of_tags_arrive_in_the_model_and_make_another_version() {
    let secrets = secrets();
    let of = |name: &str| {
        let path = root().join("tests/fixtures/config/good").join(name);
        let text = fs::read_to_string(path).unwrap();
        parse_node(&text, name, secrets.path()).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let keys = of("node-every-key.yaml").tunnel_keys;
    let epochs: Vec<_> = keys.keys.iter().map(|key| (key.epoch, key.key.k0)).collect();
    assert_eq!(
        (keys.required, epochs),
        (false, vec![(1, 0x0706_0504_0302_0100), (255, 0x0706_0504_0302_0100)])
    );
    let before = of("node-tag-required.yaml");
    assert!(before.tunnel_keys.required);
    assert_eq!(before.tunnel_keys.keys[0].file, secrets.path().join("hash.key"));
    fs::write(secrets.path().join("hash.key"), "ff0102030405060708090a0b0c0d0e0f").unwrap();
    assert_ne!(of("node-tag-required.yaml").digest, before.digest);
}
