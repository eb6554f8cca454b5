//! Rules of a node's file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;

use lb_common::abi::PEERS;

use super::access::well_formed;
use super::addresses::unicast;
use super::encap::{GUE_PORT, LARGEST_VNI, VNI, VXLAN_PORT};
use super::gateway::{interfaces, pin_path};
use super::{tunnel_key, within};
use crate::config::file;
use crate::config::model::{Accept, NodeConfig, Prefix, Remember};
use crate::config::problem::Problems;
use crate::config::read::{List, Located};

/// The smallest MTU that a file may name: as that of a cluster, room for IPv4's smallest and an outer header, in bytes.
const SMALLEST_MTU: u16 = 596;
/// The most flows that can be remembered: they take 7 GiB.
const MOST_FLOWS: u32 = 64 << 20;

/// Where the maps are pinned unless the file says otherwise.
const PIN_PATH: &str = "/sys/fs/bpf/spillway-node";

/// Validates a node's file. Paths of keys are relative to `base`. The digest is left empty.
///
/// `None`: there are problems.
pub(crate) fn node(file: &file::NodeFile, base: &Path, problems: &mut Problems) -> Option<NodeConfig> {
    let node = file.node.as_ref()?;
    let addresses = node.addresses.as_ref().map(|list| addresses(list, problems));
    let accept = accept(node.accept.as_ref(), problems);
    let tunnel_keys = tunnel_key::keys(node.tunnel_keys.as_ref(), accept, base, problems);
    let mtu = node.mtu.as_ref().and_then(|mtu| path_mtu(mtu, problems));
    let clamp_mss = node.clamp_mss.as_ref().is_none_or(|clamp| clamp.value);
    let remember = remember(node.remember.as_ref(), problems);
    let report =
        node.report.as_ref().map(|report| within(report.port.as_ref(), 0, &(1..=u16::MAX), problems));
    let pin_path = pin_path(node.pin_path.as_ref(), PIN_PATH, problems);
    let gateways = node.gateways.as_ref().map(|list| gateways(list, SENDERS, problems));
    let interfaces = interfaces(node.interfaces.as_ref()?, "tunnel packets", problems);
    if !problems.is_empty() {
        return None;
    }
    Some(NodeConfig {
        digest: String::new(),
        interfaces,
        gateways: gateways?,
        addresses,
        accept,
        tunnel_keys,
        mtu,
        clamp_mss,
        remember,
        report,
        pin_path,
    })
}

fn path_mtu(mtu: &Located<file::Mtu>, problems: &mut Problems) -> Option<u16> {
    if mtu.value.0.is_some_and(|bytes| bytes < SMALLEST_MTU) {
        let reason = format!("{} is out of range", mtu.value.0.unwrap_or_default());
        problems.add(&mtu.place, reason, "use `auto`, or 596 to 65535");
    }
    mtu.value.0
}

fn addresses(list: &Located<List<IpAddr>>, problems: &mut Problems) -> Vec<IpAddr> {
    let mend =
        "list the addresses that gateways send to, or remove the key: then they are this machine's own";
    some_but_not_too_many("address", mend, list, problems);
    each_once("the address", list, problems);
    list.iter().for_each(|address| unicast("an address of this node", address, problems));
    list.iter().map(|address| address.value).collect()
}

/// Who is listed in `gateways`.
const SENDERS: &str = "list the addresses that gateways, and nodes that send on, send from";

/// Those who may send tunnel packets; `mend`: who they are.
pub(super) fn gateways(list: &Located<List<Prefix>>, mend: &str, problems: &mut Problems) -> Vec<Prefix> {
    some_but_not_too_many("gateway", mend, list, problems);
    each_once("the prefix", list, problems);
    list.iter().map(|prefix| well_formed(prefix, problems)).collect()
}

/// The kernel has room for so many.
fn some_but_not_too_many<T>(what: &str, mend: &str, list: &Located<List<T>>, problems: &mut Problems) {
    if list.is_empty() {
        problems.add(&list.place, format!("there is no {what}"), mend);
    } else if list.len() > PEERS as usize {
        let reason = format!("{} are more than {PEERS}", list.len());
        problems.add(&list.place, reason, "write shorter prefixes, or fewer entries");
    }
}

fn each_once<T: Ord + Display>(what: &str, list: &List<T>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for element in list {
        if let Some(line) = seen.insert(&element.value, element.place.line) {
            let reason = format!("{what} {} stands in line {line} already", element.value);
            problems.add(&element.place, reason, "remove one of the two");
        }
    }
}

fn accept(accept: Option<&Located<file::Accept>>, problems: &mut Problems) -> Accept {
    let Some(accept) = accept else {
        return Accept { ipip: true, gue: Some(GUE_PORT), vxlan: Some((VXLAN_PORT, VNI)) };
    };
    let ports = 1..=u16::MAX;
    let gue = accept.gue.as_ref().map(|gue| within(gue.port.as_ref(), GUE_PORT, &ports, problems));
    let vxlan = accept.vxlan.as_ref().map(|vxlan| {
        let port = within(vxlan.port.as_ref(), VXLAN_PORT, &ports, problems);
        (port, within(vxlan.vni.as_ref(), VNI, &(0..=LARGEST_VNI), problems))
    });
    let ipip = accept.ipip.as_ref().is_some_and(|ipip| ipip.value);
    if !ipip && gue.is_none() && vxlan.is_none() {
        let mend = "write `ipip: true`, `gue: {}` or `vxlan: {}`, or remove the key: then all are";
        problems.add(&accept.place, "no tunnel is accepted", mend);
    }
    if gue.is_some() && gue == vxlan.map(|(port, _)| port) {
        let mend = "give one of them the port that the gateways send it to";
        problems.add(&accept.place, "GUE and VXLAN have the same port", mend);
    }
    Accept { ipip, gue, vxlan }
}

fn remember(remember: Option<&Located<file::Remember>>, problems: &mut Problems) -> Remember {
    let default = Remember::default();
    let Some(remember) = remember else { return default };
    if let Some(flows) = remember.flows.as_ref().filter(|flows| !(1..=MOST_FLOWS).contains(&flows.value.0)) {
        let reason = format!("{} is out of range", flows.value.0);
        problems.add(&flows.place, reason, format!("use 1 to {MOST_FLOWS}"));
    }
    Remember {
        udp: remember.udp.as_ref().map_or(default.udp, |udp| udp.value),
        tcp: remember.tcp.as_ref().map_or(default.tcp, |tcp| tcp.value),
        flows: remember.flows.as_ref().map_or(default.flows, |flows| flows.value.0),
    }
}
