//! Rules of `services`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::addresses::unicast;
use super::names::{Names, label, namespaced, resolve};
use super::within;
use crate::config::file::{self, File, elements};
use crate::config::model::{Affinity, Protocol, Service, ServicePort};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::{List, Located};

/// A client's prefix lengths unless the file says otherwise, in bits.
const CLIENT_PREFIX: (u8, u8) = (24, 56);

pub(super) fn service(
    service: &Located<file::Service>,
    names: &Names<'_>,
    problems: &mut Problems,
) -> Option<Service> {
    if let Some(name) = service.name.as_ref() {
        namespaced(name, problems);
    }
    let vips = service.vips.as_ref().map(|vips| self::vips(vips, problems));
    let ports = service.ports.as_ref().map(|ports| self::ports(ports, problems));
    let pools = service.pools.as_ref().map(|pools| self::pools(pools, names, problems));
    Some(Service {
        name: service.name.as_ref()?.value.clone(),
        vips: vips?,
        ports: ports?,
        affinity: affinity(service.affinity.as_ref(), problems),
        pools: pools?,
        tracking: service.tracking.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        udp_on_change: service.udp_on_change.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        on_no_backend: service.on_no_backend.as_ref().map(|choice| choice.value.0).unwrap_or_default(),
        quic: super::quic::configs(service, problems),
        allow_local: service.allow_local.as_ref().is_some_and(|allow| allow.value),
    })
}

fn vips(list: &Located<List<IpAddr>>, problems: &mut Problems) -> Vec<IpAddr> {
    if list.is_empty() {
        problems.add(&list.place, "there is no VIP", "list at least one address");
    }
    list.iter().for_each(|vip| unicast("a VIP", vip, problems));
    list.iter().map(|vip| vip.value).collect()
}

fn ports(list: &Located<List<file::ServicePort>>, problems: &mut Problems) -> Vec<ServicePort> {
    if list.is_empty() {
        problems.add(&list.place, "there is no port", "list at least one; `port: 0` is any port");
    }
    let mut names = BTreeMap::new();
    for name in list.iter().filter_map(|port| port.name.as_ref()) {
        label(name, problems);
        if let Some(line) = names.insert(name.as_str(), name.place.line) {
            let reason = format!("a port {} stands in line {line} already", quoted(name));
            problems.add(&name.place, reason, "give one of the two another name");
        }
    }
    list.iter().filter_map(|port| self::port(port, problems)).collect()
}

fn port(port: &file::ServicePort, problems: &mut Problems) -> Option<ServicePort> {
    let number = port.port.as_ref()?;
    Some(ServicePort {
        name: port.name.as_ref().map(|name| name.value.clone()),
        protocol: protocol(port),
        port: within(Some(number), 0, &(0..=u16::MAX), problems),
    })
}

/// The port number, unless it is missing or out of range, which is reported with its service.
fn number(port: &file::ServicePort) -> Option<u16> {
    port.port.as_ref()?.value.0.try_into().ok()
}

pub(super) fn protocol(port: &file::ServicePort) -> Protocol {
    port.protocol.as_ref().map_or(Protocol::Tcp, |protocol| protocol.value.0)
}

fn affinity(affinity: Option<&Located<file::Affinity>>, problems: &mut Problems) -> Affinity {
    const V4: RangeInclusive<u8> = 1..=32;
    const V6: RangeInclusive<u8> = 1..=128;
    match affinity.map(|affinity| &affinity.value) {
        None | Some(file::Affinity::Flow) => Affinity::Flow,
        Some(file::Affinity::Client) => Affinity::Client,
        Some(file::Affinity::ThreeTuple) => Affinity::ThreeTuple,
        Some(file::Affinity::Prefix(lengths)) => Affinity::ClientPrefix {
            v4: within(lengths.v4.as_ref(), CLIENT_PREFIX.0, &V4, problems),
            v6: within(lengths.v6.as_ref(), CLIENT_PREFIX.1, &V6, problems),
        },
    }
}

/// Pools exist, each once, each in a cluster of its own, not all without weight.
fn pools(list: &Located<List<String>>, names: &Names<'_>, problems: &mut Problems) -> Vec<String> {
    if list.is_empty() {
        problems.add(&list.place, "there is no pool", "list at least one");
    }
    let mut seen = BTreeMap::new();
    let mut pools = Vec::new();
    for name in &list.value {
        if let Some(line) = seen.insert(name.as_str(), name.place.line) {
            let reason = format!("the pool stands in line {line} already");
            problems.add(&name.place, reason, "remove one of the two; a pool's share is its `weight`");
        } else if let Some(pool) = resolve("pool", name, &names.pools, problems) {
            pools.push((name, &pool.value));
        }
    }
    one_pool_in_a_cluster(&pools, problems);
    if list.len() == pools.len() {
        some_weight(&pools, &list.place, problems);
    }
    list.iter().map(|name| name.value.clone()).collect()
}

/// A reference to a pool and the pool.
type Use<'f> = (&'f Located<String>, &'f file::Pool);

/// A service's shares are those of clusters, by name: two pools in one could not be told apart.
fn one_pool_in_a_cluster(pools: &[Use<'_>], problems: &mut Problems) {
    let mut clusters: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, pool) in pools {
        let Some(cluster) = pool.cluster.as_ref() else { continue };
        if let Some(other) = clusters.insert(cluster, name) {
            let [this, other, cluster] = [name.as_str(), other, cluster.as_str()].map(quoted);
            let reason = format!("{this} and {other} are both in cluster {cluster}");
            problems.add(&name.place, reason, "put the endpoints of both into one pool");
        }
    }
}

fn some_weight(pools: &[Use<'_>], place: &Place, problems: &mut Problems) {
    if !pools.is_empty() && pools.iter().all(|(_, pool)| super::pools::weight(pool) == 0) {
        problems.add(place, "all pools have weight 0", "give at least one of these pools a weight above 0");
    }
}

/// Reports a VIP, protocol and port that stands twice, in one service or in two. The caller has bounded
/// their number.
pub(super) fn no_vip_twice(file: &File, problems: &mut Problems) {
    let mut taken = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let (Some(vips), Some(ports)) = (service.vips.as_ref(), service.ports.as_ref()) else { continue };
        let owner = service.name.as_ref().map_or("", |name| name.value.as_str());
        for vip in &vips.value {
            for port in &ports.value {
                let Some(number) = number(port) else { continue };
                let key = (vip.value, protocol(port), number);
                let Some((other, line)) = taken.insert(key, (owner, vip.place.line)) else { continue };
                let reason =
                    format!("{} stands in line {line} already, for {}", describe(key), quoted(other));
                problems.add(&vip.place, reason, "remove the VIP or the port from one of the two");
            }
        }
    }
}

/// Reports a service of affinity `three-tuple` that does not take all ports of its protocols, or not alone on each
/// of its VIPs: ports that are not looked at cannot tell services apart. The caller has bounded their number.
pub(super) fn three_tuple_is_alone(file: &File, problems: &mut Problems) {
    let mut places = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let (Some(affinity), Some(name)) = (&service.affinity, service.name.as_ref()) else { continue };
        if matches!(affinity.value, file::Affinity::ThreeTuple) {
            takes_all_ports(service, problems);
            places.insert(name.as_str(), &affinity.place);
        }
    }
    for ((vip, protocol), owners) in listeners(file) {
        for (place, name) in owners.keys().filter_map(|name| Some((places.get(name)?, *name))) {
            let Some((other, port)) = owners.iter().find(|(other, _)| **other != name) else { continue };
            let key = describe((vip, protocol, *port));
            let reason =
                format!("`three-tuple` needs its VIPs to itself, and {key} is for {}", quoted(other));
            problems.add(place, reason, "give one of the two another VIP, or use another affinity");
        }
    }
}

fn takes_all_ports(service: &file::Service, problems: &mut Problems) {
    for port in service.ports.as_ref().map_or(&[][..], |ports| &ports.value) {
        let Some(at) = port.port.as_ref().filter(|at| at.value.0 != 0) else { continue };
        let reason = format!("`three-tuple` takes all ports of a protocol, not {} alone", at.value.0);
        problems.add(&at.place, reason, "use `port: 0`, or another affinity");
    }
}

/// For each VIP and protocol: the services that listen there, with one of their ports.
fn listeners(file: &File) -> BTreeMap<(IpAddr, Protocol), BTreeMap<&str, u16>> {
    let mut listeners: BTreeMap<_, BTreeMap<&str, u16>> = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let (Some(vips), Some(ports)) = (service.vips.as_ref(), service.ports.as_ref()) else { continue };
        let name = service.name.as_ref().map_or("", |name| name.value.as_str());
        for (vip, port) in vips.value.iter().flat_map(|vip| ports.value.iter().map(move |port| (vip, port))) {
            let Some(number) = number(port) else { continue };
            listeners.entry((vip.value, protocol(port))).or_default().entry(name).or_insert(number);
        }
    }
    listeners
}

fn describe((vip, protocol, port): (IpAddr, Protocol, u16)) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    match port {
        0 => format!("{vip} {protocol}, any port,"),
        port => format!("{vip} {protocol} port {port}"),
    }
}
