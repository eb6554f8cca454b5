use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::backends::way;
use super::look::{Look, Source};
use super::output::{listing, or_dash};
use super::{Failure, Pinned};
use crate::config;
use crate::config::model::Protocol;
use crate::datapath::inventory::interface_name;
use crate::explain::answer::{ClusterStep, NodeStep, Outer};
use crate::explain::{Explanation, Query, connection, explain, offline};

/// `spillway explain`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Transport protocol of the flow.
    #[arg(long, value_enum, ignore_case = true)]
    protocol: Transport,
    /// The client, as ADDRESS:PORT or [IPV6]:PORT.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = place)]
    source: SocketAddr,
    /// What the client sends to, as ADDRESS:PORT or [IPV6]:PORT.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = place)]
    destination: SocketAddr,
    /// Ask about the first packet of a connection, the SYN of TCP, rather than a later one. The two differ only
    /// where rows moved lately.
    #[arg(long)]
    new: bool,
    /// Ask about a QUIC packet with this destination connection id, in hexadecimal.
    #[arg(long, value_name = "HEX", value_parser = bytes)]
    connection_id: Option<Bytes>,
    /// Ask about a packet that another cluster's gateway sent here, which goes to this cluster's nodes alone.
    #[arg(long)]
    redirected: bool,

    /// Explain by this configuration instead of the maps in the kernel, taking every backend to be up. Needs no
    /// privilege.
    #[arg(long, value_name = "FILE", conflicts_with = "pin_path")]
    config: Option<PathBuf>,
    #[command(flatten)]
    answer: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    Tcp,
    Udp,
}

/// A connection id of up to 255 bytes (RFC 8999).
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

fn bytes(text: &str) -> Result<Bytes, &'static str> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<_>> = pairs.iter().map(byte).collect();
    let bytes = bytes.filter(|bytes| rest.is_empty() && bytes.len() < 256 && !text.contains('+'));
    bytes.map(Bytes).ok_or("write pairs of hexadecimal digits: 07c4605e4504cc4f")
}

fn place(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write ADDRESS:PORT, an IPv6 address in brackets: [2001:db8::1]:443")
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let protocol = match options.protocol {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
    };
    let query = Query::new(protocol, options.source, options.destination)
        .map_err(|error| Failure::usage(error.into()))?;
    let query = if options.new { query.first() } else { query };
    let query = if options.redirected { query.redirected() } else { query };
    let query = options.connection_id.as_ref().map_or(query, |Bytes(id)| query.with_connection_id(id));
    let explanation = match &options.config {
        Some(file) => by_file(&query, file)?,
        None => by_pins(&query, &options.answer.pinned)?,
    };
    options.answer.output.print(&explanation, |explanation| text(&query, explanation))
}

fn by_pins(query: &Query, pinned: &Pinned) -> Result<Explanation, Failure> {
    let mut look = Look::at(pinned)?;
    if let Some(key) = connection(query, &look.snapshot) {
        let recorded = look.connections()?.get(key).map(|connection| (key, connection));
        look.snapshot.connections.borrow_mut().extend(recorded);
    }
    look.ask_access(&query.flow());
    Ok(explain(query, &look.snapshot, &look.published.record, &interface_name))
}

fn by_file(query: &Query, file: &Path) -> Result<Explanation, Failure> {
    let config = config::load(file).map_err(|problems| Failure::config(problems.into()))?;
    let (image, record) = offline::imagine(&config).with_context(|| file.display().to_string())?;
    Ok(explain(query, &image, &record, &interface_name))
}

fn text(query: &Query, explanation: &Explanation) -> String {
    let flow = format!("{} {} -> {}", query.protocol_name(), query.source, query.destination);
    listing(&[
        ("flow", flow),
        ("service", or_dash(explanation.service.as_ref())),
        ("hash", or_dash(explanation.hash.as_ref())),
        ("cluster", or_dash(explanation.cluster.as_ref().map(cluster))),
        ("node", or_dash(explanation.node.as_ref().map(node))),
        ("decision", decision(explanation)),
        ("reason", explanation.reason.clone()),
        ("chain", chain(&explanation.chain)),
        ("via", or_dash(explanation.via)),
        ("outer", or_dash(explanation.outer.as_ref().map(outer))),
        ("next hop", or_dash(explanation.next_hop.as_ref().map(way))),
    ])
}

fn cluster(step: &ClusterStep) -> String {
    let name = or_dash(step.name.as_ref());
    let pool = or_dash(step.pool.as_ref());
    match step.row {
        Some(row) => format!("{name}, pool {pool}, row {row} of 4096, {}", step.mode),
        None => format!("{name}, pool {pool}, the only one that takes new flows"),
    }
}

fn node(step: &NodeStep) -> String {
    format!("{}, row {} of {}, {}", or_dash(step.backend), step.row, step.rows, step.mode)
}

fn decision(explanation: &Explanation) -> String {
    let name = explanation.reason_name.map_or_else(String::new, |name| format!(" ({name})"));
    format!("{}{name}", explanation.decision)
}

/// `ipip 192.0.2.1 -> 203.0.113.11`; over UDP with both ports.
/// Whom the backend's receiver asks, in this order.
fn chain(others: &[IpAddr]) -> String {
    if others.is_empty() {
        return or_dash(None::<String>);
    }
    others.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", then ")
}

fn outer(outer: &Outer) -> String {
    let source = outer.source.map_or_else(|| "(by the route)".to_owned(), |source| source.to_string());
    let (kind, destination) = (outer.kind, outer.destination);
    match outer.destination_port {
        None => format!("{kind} {source} -> {destination}"),
        Some(port) => format!("{kind} {source} port {} -> {destination} port {port}", outer.source_port),
    }
}
