//! Rules of `gateway`, except its limits.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use lb_common::abi::Control;

use super::addresses::unicast;
use super::encap::GUE_PORT;
use super::{limits, node, within};
use crate::config::file::{self, Icmp, Listen, Source};
use crate::config::model::{
    AccessList, Admit, Analysis, Config, Gateway, Interface, Provider, Redirects, Replies,
};
use crate::config::problem::{Problems, quoted};
use crate::config::read::{List, Located};

/// Where the maps are pinned unless the file says otherwise.
const PIN_PATH: &str = "/sys/fs/bpf/spillway";

/// Where the agent takes commands unless the file says otherwise.
const ADMIN: &str = "unix:///run/spillway.sock";

/// What the address of a Unix domain socket begins with.
const UNIX: &str = "unix://";

/// Longest path of a Unix domain socket in bytes: `sun_path` less its final zero (unix(7)).
const LONGEST_SOCKET: usize = 107;

/// Longest name of an interface in bytes: the kernel's `IFNAMSIZ` less its final zero.
const LONGEST_INTERFACE: usize = 15;

/// Who is listed in `gateways`.
const OTHERS: &str = "list the addresses that other clusters' gateways send from, or remove the key";

/// Packets a second that a gateway may be told to send by itself.
const REPLIES: RangeInclusive<u32> = 0..=1_000_000;

/// Of how many flows one is followed unless the file says otherwise: it costs little, and a backend with 50 new connections
/// a second has three of them to show.
const ONE_IN: u32 = 16;

pub(super) fn gateway(gateway: Option<&Located<file::Gateway>>, problems: &mut Problems) -> Option<Gateway> {
    let gateway = gateway?;
    if let Some(source) = &gateway.source {
        sources(source, problems);
    }
    let source = gateway.source.as_ref();
    Some(Gateway {
        pin_path: pin_path(gateway.pin_path.as_ref(), PIN_PATH, problems),
        source_v4: source.and_then(|source| source.v4.as_ref()).map(|v4| v4.value),
        source_v6: source.and_then(|source| source.v6.as_ref()).map(|v6| v6.value),
        limits: limits::effective(gateway),
        admin: admin(gateway.listen.as_ref(), problems),
        replies: replies(gateway.icmp.as_ref(), problems),
        evidence: gateway.evidence.as_ref().map(|evidence| one_in(evidence, problems)),
        redirects: redirects(gateway, problems),
        interfaces: interfaces(gateway.interfaces.as_ref()?, "the VIPs' packets", problems),
    })
}

fn redirects(gateway: &file::Gateway, problems: &mut Problems) -> Redirects {
    let port = gateway.gue.as_ref().and_then(|gue| gue.port.as_ref());
    let gateways = gateway.gateways.as_ref().map(|list| node::gateways(list, OTHERS, problems));
    let verdicts = gateways.into_iter().flatten().map(|prefix| (prefix, Admit::Allow));
    Redirects {
        gateways: Arc::new(AccessList::new(verdicts.collect())),
        port: within(port, GUE_PORT, &(1..=u16::MAX), problems),
    }
}

fn replies(icmp: Option<&Located<Icmp>>, problems: &mut Problems) -> Replies {
    let default = Replies::default();
    let Some(icmp) = icmp else { return default };
    Replies {
        echo: within(icmp.echo_per_sec.as_ref(), default.echo, &REPLIES, problems),
        too_big: within(icmp.too_big_per_sec.as_ref(), default.too_big, &REPLIES, problems),
    }
}

/// Pools that ask what clients' packets say have flows followed, and so have policies that ask for how many there are, analyses
/// that measure them, and drills that are aborted by them, also where the gateway says nothing of it.
pub(super) fn follow_flows(config: &mut Config) {
    let measured = |analysis: &Analysis| matches!(analysis.provider, Provider::Dataplane { .. });
    let asked = config.pools.iter().any(|pool| pool.outlier.is_some() || pool.circuit_breaker.is_some())
        || config.failover_policies.iter().any(|policy| policy.spill.is_some())
        || config.analyses.iter().any(measured)
        || !config.drills.is_empty();
    config.gateway.evidence = config.gateway.evidence.or(asked.then_some(ONE_IN));
}

/// Of how many flows one is followed.
fn one_in(evidence: &file::Evidence, problems: &mut Problems) -> u32 {
    within(evidence.one_in.as_ref(), ONE_IN, &(1..=Control::FLOWS), problems)
}

fn sources(source: &Source, problems: &mut Problems) {
    if let Some(v4) = &source.v4 {
        unicast("an outer source", v4, problems);
    }
    if let Some(v6) = &source.v6 {
        unicast("an outer source", v6, problems);
    }
}

/// A directory, or `usual`.
pub(super) fn pin_path(path: Option<&Located<String>>, usual: &str, problems: &mut Problems) -> PathBuf {
    let Some(path) = path else { return usual.into() };
    if !path.starts_with('/') || path.contains('\0') {
        let mend = format!("use a directory on a BPF file system, such as `{usual}`");
        problems.add(&path.place, format!("{} is no absolute path", quoted(path)), mend);
    }
    path.value.clone().into()
}

fn admin(listen: Option<&Located<Listen>>, problems: &mut Problems) -> PathBuf {
    let address = listen.and_then(|listen| listen.admin.as_ref());
    let Some(address) = address else { return ADMIN.trim_start_matches(UNIX).into() };
    let path = address.strip_prefix(UNIX).unwrap_or_default();
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        let mend = format!("use `{UNIX}` and an absolute path, such as `{ADMIN}`");
        problems.add(&address.place, format!("{} is no address of a Unix socket", quoted(address)), mend);
    } else if path.len() > LONGEST_SOCKET {
        let reason = format!("the path of the socket is longer than {LONGEST_SOCKET} bytes");
        problems.add(&address.place, reason, "use a shorter path");
    }
    path.into()
}

/// Interfaces on which `packets` arrive, at least one, each once.
pub(super) fn interfaces(
    list: &Located<List<file::Interface>>,
    packets: &str,
    problems: &mut Problems,
) -> Vec<Interface> {
    if list.is_empty() {
        let mend = format!("list the interface on which {packets} arrive");
        problems.add(&list.place, "there is no interface", mend);
    }
    let mut seen = BTreeMap::new();
    let mut interfaces = Vec::new();
    for interface in &list.value {
        let Some(name) = &interface.name.0 else { continue };
        interface_name(name, problems);
        if let Some(line) = seen.insert(&name.value, name.place.line) {
            let reason = format!("the interface stands in line {line} already");
            problems.add(&name.place, reason, "remove one of the two");
        }
        let mode = interface.xdp_mode.as_ref().map(|mode| mode.value.0).unwrap_or_default();
        interfaces.push(Interface { name: name.value.clone(), mode });
    }
    interfaces
}

/// The kernel's own rule (`dev_valid_name`).
fn interface_name(name: &Located<String>, problems: &mut Problems) {
    let forbidden = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
    let reason = if name.is_empty() {
        "the name is empty".into()
    } else if name.len() > LONGEST_INTERFACE {
        format!("{} is longer than {LONGEST_INTERFACE} bytes", quoted(name))
    } else if name.contains(forbidden) || name.value == "." || name.value == ".." {
        format!("{} cannot be an interface's name", quoted(name))
    } else {
        return;
    };
    problems.add(&name.place, reason, "use a name that `ip link` shows");
}
