//! Rules of `services[].ports`, and that no port of a VIP has two services.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use lb_common::abi::RANGES_PER_LINE;

use super::names::label;
use super::within;
use crate::config::file::{self, File, elements};
use crate::config::model::{Protocol, ServicePort};
use crate::config::problem::{Place, Problems, quoted};
use crate::config::read::{List, Located};
use crate::config::scalar::{Integer, Ports};

pub(super) fn ports(list: &Located<List<file::ServicePort>>, problems: &mut Problems) -> Vec<ServicePort> {
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
    let Located { value, place } = port.port.as_ref()?;
    let (first, last) = match *value {
        Ports::One(value) => {
            let number = Located { value, place: place.clone() };
            (within(Some(&number), 0, &(0..=u16::MAX), problems), None)
        }
        Ports::Range(first, last) => {
            if let Some((reason, mend)) = no_range(first, last) {
                problems.add(place, reason, mend);
            }
            (first.try_into().ok()?, Some(last.try_into().ok()?))
        }
    };
    let name = port.name.as_ref().map(|name| name.value.clone());
    Some(ServicePort { name, protocol: protocol(port), port: first, last })
}

/// Why these are no ports from a first to a last, and what to write.
fn no_range(first: u64, last: u64) -> Option<(String, String)> {
    let most = u64::from(u16::MAX);
    if first == 0 || first > most || last > most {
        let mend = format!("use 1 to {most}; `port: 0` is any port");
        Some((format!("{first}-{last} is out of range"), mend))
    } else if last < first {
        Some((format!("{first}-{last} ends before it begins"), format!("write `{last}-{first}`")))
    } else if last == first {
        Some((format!("{first}-{last} is one port"), format!("write `{first}`")))
    } else {
        None
    }
}

/// First and last port, unless they are missing or wrong, which is reported with their service.
fn bounds(port: &file::ServicePort) -> Option<(u16, Option<u16>)> {
    match port.port.as_ref()?.value {
        Ports::One(number) => Some((number.0.try_into().ok()?, None)),
        Ports::Range(first, last) if no_range(first, last).is_none() => {
            Some((first.try_into().ok()?, Some(last.try_into().ok()?)))
        }
        Ports::Range(..) => None,
    }
}

pub(super) fn protocol(port: &file::ServicePort) -> Protocol {
    port.protocol.as_ref().map_or(Protocol::Tcp, |protocol| protocol.value.0)
}

/// Reports a VIP, protocol and port that stands twice, in one service or in two, and ranges that have a port in
/// common. A port within a range is the closer match. The caller has bounded their number.
pub(super) fn no_vip_twice(file: &File, problems: &mut Problems) {
    let mut taken = Taken::default();
    for service in elements(file.services.as_ref()) {
        let (Some(vips), Some(ports)) = (service.vips.as_ref(), service.ports.as_ref()) else { continue };
        let owner = service.name.as_ref().map_or("", |name| name.value.as_str());
        for vip in &vips.value {
            for port in &ports.value {
                let Some((first, last)) = bounds(port) else { continue };
                let side = (vip.value, protocol(port));
                match last {
                    None => taken.port(side, first, (owner, &vip.place), problems),
                    Some(last) => taken.range(side, first, last, (owner, &vip.place), problems),
                }
            }
        }
    }
}

/// A VIP and a protocol.
type Side = (IpAddr, Protocol);
/// A service's name, and where its VIP stands.
type Owner<'f> = (&'f str, &'f Place);

/// What has a service already.
#[derive(Default)]
struct Taken<'f> {
    ports: BTreeMap<(Side, u16), Owner<'f>>,
    /// Last port and owner by first port.
    ranges: BTreeMap<Side, BTreeMap<u16, (u16, Owner<'f>)>>,
}

impl<'f> Taken<'f> {
    fn port(&mut self, side: Side, port: u16, owner: Owner<'f>, problems: &mut Problems) {
        let other = match self.ports.entry((side, port)) {
            Entry::Vacant(free) => {
                free.insert(owner);
                return;
            }
            Entry::Occupied(other) => *other.get(),
        };
        twice(side, &spell(port, None), other, owner, problems);
    }

    fn range(&mut self, side: Side, first: u16, last: u16, owner: Owner<'f>, problems: &mut Problems) {
        let ranges = self.ranges.entry(side).or_default();
        let before = ranges.range(..=last).next_back().filter(|(_, (end, _))| *end >= first);
        if let Some((start, (end, other))) = before {
            return twice(side, &spell(first.max(*start), Some(last.min(*end))), *other, owner, problems);
        }
        ranges.insert(first, (last, owner));
        if ranges.len() == RANGES_PER_LINE + 1 {
            let reason = format!("{} has more than {RANGES_PER_LINE} ranges of ports", describe(side));
            problems.add(owner.1, reason, "join ranges, or use `port: 0`, or spread them over several VIPs");
        }
    }
}

fn twice(side: Side, ports: &str, other: Owner<'_>, owner: Owner<'_>, problems: &mut Problems) {
    let (line, name) = (other.1.line, quoted(other.0));
    let reason = format!("{}{ports} stands in line {line} already, for {name}", describe(side));
    problems.add(owner.1, reason, "remove the VIP or the port from one of the two");
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
    for (side, owners) in listeners(file) {
        for (place, name) in owners.keys().filter_map(|name| Some((places.get(name)?, *name))) {
            let Some((other, ports)) = owners.iter().find(|(other, _)| **other != name) else { continue };
            let (key, other) = (describe(side), quoted(other));
            let reason = format!("`three-tuple` needs its VIPs to itself, and {key}{ports} is for {other}");
            problems.add(place, reason, "give one of the two another VIP, or use another affinity");
        }
    }
}

fn takes_all_ports(service: &file::Service, problems: &mut Problems) {
    for port in service.ports.as_ref().map_or(&[][..], |ports| &ports.value) {
        let Some(at) = port.port.as_ref().filter(|at| at.value != Ports::One(Integer(0))) else { continue };
        let reason = format!("`three-tuple` takes all ports of a protocol, not {} alone", at.value);
        problems.add(&at.place, reason, "use `port: 0`, or another affinity");
    }
}

/// For each VIP and protocol: the services that listen there, with some of their ports.
fn listeners(file: &File) -> BTreeMap<Side, BTreeMap<&str, String>> {
    let mut listeners: BTreeMap<_, BTreeMap<&str, String>> = BTreeMap::new();
    for service in elements(file.services.as_ref()) {
        let (Some(vips), Some(ports)) = (service.vips.as_ref(), service.ports.as_ref()) else { continue };
        let name = service.name.as_ref().map_or("", |name| name.value.as_str());
        for (vip, port) in vips.value.iter().flat_map(|vip| ports.value.iter().map(move |port| (vip, port))) {
            let Some((first, last)) = bounds(port) else { continue };
            let names = listeners.entry((vip.value, protocol(port))).or_default();
            names.entry(name).or_insert_with(|| spell(first, last));
        }
    }
    listeners
}

fn spell(first: u16, last: Option<u16>) -> String {
    match (first, last) {
        (0, None) => ", any port,".to_owned(),
        (port, None) => format!(" port {port}"),
        (first, Some(last)) => format!(" ports {first}-{last}"),
    }
}

fn describe((vip, protocol): Side) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    format!("{vip} {protocol}")
}
