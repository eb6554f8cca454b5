use std::collections::BTreeSet;

use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lb_common::abi::{
    AccessFlags, AccessKey, Budget, Connection, FragmentEntry, ProbeEntry, ProbeMark, SourceBucket,
    SourceKey, map, receiver_map,
};
use serde::Serialize;

use super::Failure;
use super::look::{Source, open, pins, record};
use super::output::{Column, Format, Sheet, json, lines};
use super::receiver;
use crate::datapath::connections::Connections;
use crate::datapath::inventory::{PinnedMap, devices, fragments, interface_name, inventory, pinned};
use crate::datapath::maps::{KernelMaps, MapsError};
use crate::datapath::pins::{Pins, Tenant};
use crate::datapath::probes::Probes;
use crate::datapath::sources;
use crate::observe::contents::{Contents, Entry, Key};
use crate::observe::node::contents as node;
use crate::observe::published::Published;
use crate::reconcile::{Maps as _, MemoryMaps};

/// `spillway maps`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every map: what kind it is, how large, and for what.
    List(Source),
    /// The entries of a map that somebody wrote, decoded.
    Dump(Dump),
    /// One entry of a map, decoded.
    Get(Get),
}

#[derive(Debug, Args)]
struct Dump {
    /// The map.
    #[arg(value_parser = name_parser())]
    name: &'static str,
    /// Most entries that are printed.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
struct Get {
    /// The map.
    #[arg(value_parser = name_parser())]
    name: &'static str,
    /// The entry: an index; in `vips` also ADDRESS:PORT/tcp; in `reason_stats` a reason's name; in
    /// `quic_servers` SERVICE/CONFIGURATION/SERVER-ID; in `state` `agent` or `record`; of a node's maps what
    /// `maps dump` shows.
    key: String,
    #[command(flatten)]
    source: Source,
}

fn name_parser() -> impl TypedValueParser<Value = &'static str> {
    let names: BTreeSet<_> = Tenant::ALL.iter().flat_map(|tenant| tenant.maps()).copied().collect();
    let known = names.clone();
    PossibleValuesParser::new(names).try_map(move |name| known.get(&*name).copied().ok_or("no such map"))
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    match &options.verb {
        Verb::List(source) => list(source),
        Verb::Dump(dump) => self::dump(dump),
        Verb::Get(get) => self::get(get),
    }
}

fn dump(dump: &Dump) -> Result<(), Failure> {
    let (pins, most) = (pins(&dump.source.pinned)?, dump.limit.unwrap_or(usize::MAX));
    let format = dump.source.output.format;
    match tenant_with(dump.name, &pins)? {
        Tenant::Node => {
            let seen = receiver::look(&pins, dump.name == receiver_map::OWNED_FLOWS)?;
            print(node::dump(&seen, dump.name).into_iter().take(most), format)
        }
        Tenant::Gateway => {
            Opened::at(&pins, dump.name)?.show(|contents| print(contents.dump(dump.name).take(most), format))
        }
    }
}

fn get(get: &Get) -> Result<(), Failure> {
    let pins = pins(&get.source.pinned)?;
    match tenant_with(get.name, &pins)? {
        Tenant::Node => {
            let seen = receiver::look(&pins, get.name == receiver_map::OWNED_FLOWS)?;
            let entry = node::get(&seen, get.name, &get.key);
            get.source.output.print(&entry.map_err(|error| anyhow!(error))?, line)
        }
        Tenant::Gateway => Opened::at(&pins, get.name)?.show(|contents| {
            let entry = contents.get(get.name, &get.key).map_err(|error| anyhow!(error))?;
            get.source.output.print(&entry, line)
        }),
    }
}

/// Whose pins these are, who must have such a map.
fn tenant_with(name: &str, pins: &Pins) -> Result<Tenant, Failure> {
    // Of pins that are not whole, opening says what is missing.
    let tenant = pins.tenant().unwrap_or(Tenant::Gateway);
    if tenant.maps().contains(&name) {
        return Ok(tenant);
    }
    let place = pins.directory().display();
    Err(anyhow!("the maps at {place} are those of {}, which has no {name}; see `maps list`", tenant.name())
        .into())
}

/// A map in `maps list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    entries: u32,
    bytes: u64,
    purpose: &'static str,
}

fn list(source: &Source) -> Result<(), Failure> {
    let pins = pins(&source.pinned)?;
    let maps = inventory(&pins, pins.tenant().unwrap_or(Tenant::Gateway)).map_err(kernel)?;
    let listed = |PinnedMap { name, kind, entries, bytes }| Listed {
        name,
        kind,
        entries,
        bytes,
        purpose: purpose(name),
    };
    let maps: Vec<_> = maps.into_iter().map(listed).collect();
    source.output.print(&maps, |maps| {
        let [name, kind, purpose] = ["MAP", "TYPE", "PURPOSE"].map(Column::Text);
        let [entries, bytes] = ["ENTRIES", "BYTES"].map(Column::Number);
        let mut sheet = Sheet::new(&[name, kind, entries, bytes, purpose]);
        for map in maps {
            let [entries, bytes] = [map.entries.to_string(), map.bytes.to_string()];
            sheet.row([map.name.to_owned(), map.kind.to_owned(), entries, bytes, map.purpose.to_owned()]);
        }
        sheet.text()
    })
}

fn purpose(name: &str) -> &'static str {
    match name {
        map::CONTROL => "which VIP table is in force; the hash's secret",
        map::VIP_FILTER => "one bit for each VIP: turns other traffic away",
        map::VIPS => "address, port and protocol to service",
        map::PORT_RANGES => "ranges of ports to service",
        map::SERVICES => "service to pool or cluster table; affinity",
        map::POOLS => "pool to node table; last resort",
        map::TABLES => "where the rows of a table lie",
        map::SLAB => "rows of all tables, four in a word",
        map::BACKENDS => "addresses, MACs and interface of each backend",
        map::TUNNELS => "VNI and inner MAC of each pool that is reached over VXLAN",
        map::SERVICE_STATS => "packets, bytes and drops by service",
        map::BACKEND_STATS => "packets and bytes by backend",
        map::REASON_STATS => "packets that were not sent, by reason",
        map::DEVICES => "interfaces that packets may leave by",
        map::CONNECTIONS => "connections on rows that moved lately",
        map::PROBES => "where packets of probes through tunnels go, by mark",
        map::PROBE_STATS => "packets of probes that were encapsulated, and that were not",
        map::FRAGMENTS => "ports of packets of which fragments may follow",
        map::PROGRAMS => "the programs for ICMP, fragments, and what does not fit",
        map::BUDGETS => "connections recorded and answers given in the current second",
        map::TRACKING_STATS => "what became of packets on rows that moved",
        map::QUIC_SERVERS => "server id of a QUIC connection id to backend",
        map::ACCESS_POLICIES => "how services admit by source",
        map::ACCESS_PREFIXES => "sources that are admitted, and that are not",
        map::SOURCE_BUCKETS => "flows that sources may begin",
        map::SAMPLED_FLOWS => "flows that are followed for evidence",
        map::EVIDENCE => "what sampled flows say about each backend",
        map::EVENTS => "what the program tells the agent",
        map::EVENT_BUDGETS => "what was told in the current second",
        map::STATE => "the agent's record: what it was told and found, what is wrong",
        receiver_map::ACCEPTED => "the tunnels that are taken apart",
        receiver_map::OWN_ADDRESSES => "addresses that tunnel packets are sent to",
        receiver_map::PEERS => "who may send tunnel packets",
        receiver_map::TUNNEL_KEYS => "keys of tags, by epoch; never shown",
        receiver_map::TUNNEL_STATS => "packets and bytes that were taken out of tunnels, by kind",
        receiver_map::RECEIVER_STATS => "tunnel packets that were dropped or sent on, by reason",
        receiver_map::CLAMP_STATS => "answers to SYNs that were made to ask for shorter segments",
        receiver_map::REFUSALS => "connections that the node refused, by VIP and port",
        receiver_map::OWNED_FLOWS => "flows that the node took packets of",
        receiver_map::NODE_HOPS => "next hops toward other nodes",
        receiver_map::WANTED_HOPS => "nodes whose next hop is looked for",
        _ => "",
    }
}

/// Everything that the contents are decoded from.
struct Opened {
    maps: KernelMaps,
    snapshot: MemoryMaps,
    published: Option<Published>,
    devices: Vec<u32>,
    connections: Vec<(u64, Connection)>,
    fragments: Vec<(u64, FragmentEntry)>,
    budgets: Vec<Budget>,
    prefixes: Vec<(AccessKey, AccessFlags)>,
    buckets: Vec<(SourceKey, SourceBucket)>,
    probes: Vec<(ProbeMark, ProbeEntry)>,
    service_stats: u32,
    backend_stats: u32,
}

impl Opened {
    /// What is asked for by `name`; of the connections there may be a million, and of prefixes nearly as many, so
    /// they are read only then.
    fn at(pins: &Pins, name: &str) -> Result<Self, Failure> {
        let maps = open(pins)?;
        Ok(Self {
            snapshot: MemoryMaps::of(&maps),
            published: record(&maps, pins)?,
            devices: devices(pins).map_err(kernel)?,
            connections: if name == map::CONNECTIONS { connections(pins)? } else { Vec::new() },
            fragments: if name == map::FRAGMENTS { fragments(pins).map_err(kernel)? } else { Vec::new() },
            budgets: maps.budgets(),
            buckets: if name == map::SOURCE_BUCKETS {
                sources::all(pins).map_err(kernel)?
            } else {
                Vec::new()
            },
            prefixes: if name == map::ACCESS_PREFIXES { prefixes(&maps)? } else { Vec::new() },
            probes: if name == map::PROBES { probes(pins)? } else { Vec::new() },
            service_stats: entries(pins, map::SERVICE_STATS)?,
            backend_stats: entries(pins, map::BACKEND_STATS)?,
            maps,
        })
    }

    fn show(&self, show: impl FnOnce(Contents) -> Result<(), Failure>) -> Result<(), Failure> {
        show(Contents {
            snapshot: &self.snapshot,
            counts: &self.maps,
            service_stats: self.service_stats,
            backend_stats: self.backend_stats,
            devices: &self.devices,
            connections: &self.connections,
            fragments: &self.fragments,
            budgets: &self.budgets,
            prefixes: &self.prefixes,
            buckets: &self.buckets,
            probes: &self.probes,
            published: self.published.as_ref(),
            interface_name: &interface_name,
        })
    }
}

fn connections(pins: &Pins) -> Result<Vec<(u64, Connection)>, Failure> {
    let connections = Connections::open(pins).map_err(kernel)?;
    Ok(connections.all().map_err(anyhow::Error::from)?)
}

fn probes(pins: &Pins) -> Result<Vec<(ProbeMark, ProbeEntry)>, Failure> {
    let probes = Probes::open(pins).map_err(kernel)?;
    Ok(probes.all().map_err(anyhow::Error::from)?.into_iter().collect())
}

fn prefixes(maps: &KernelMaps) -> Result<Vec<(AccessKey, AccessFlags)>, Failure> {
    let mut prefixes = maps.prefixes().map_err(anyhow::Error::from)?;
    prefixes.sort_unstable_by_key(|(key, _)| *key);
    Ok(prefixes)
}

fn entries(pins: &Pins, name: &'static str) -> Result<u32, Failure> {
    Ok(pinned(pins, name).map_err(kernel)?.entries)
}

fn kernel(error: MapsError) -> Failure {
    Failure::of_kernel(error.into())
}

/// Entries as they come: a slab has millions.
fn print<V: Serialize>(entries: impl Iterator<Item = Entry<V>>, format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => lines(entries.map(|entry| line(&entry))),
        Format::Json => json(&Stream(std::cell::RefCell::new(entries))),
    }
}

/// A key and its value as compact JSON.
fn line<V: Serialize>(entry: &Entry<V>) -> String {
    let value = serde_json::to_string(&entry.value).unwrap_or_default();
    match &entry.key {
        Key::Index(index) => format!("{index:>8}  {value}"),
        Key::Text(text) => format!("{text}  {value}"),
    }
}

/// A list that is written while it is made.
struct Stream<I>(std::cell::RefCell<I>);

impl<I: Iterator<Item: Serialize>> Serialize for Stream<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&mut *self.0.borrow_mut())
    }
}
