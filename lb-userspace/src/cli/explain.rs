mod live;
mod text;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

use super::look::{Look, Source};
use super::{Failure, Pinned};
use crate::config;
use crate::config::model::Protocol;
use crate::datapath::inventory::interface_name;
use crate::explain::{Explanation, Known, Live, Query, connection, explain, offline};
use serde::Serialize;

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
    /// Run such a packet through the program that is loaded, too, as if it came in by a balanced interface, and say whether
    /// that does the same; exit code 5 if it does not. Nothing is sent, but it counts as one packet (two, if the first differs);
    /// with `--new` it takes one of the source's new flows where these are limited.
    #[arg(long, conflicts_with_all = ["config", "redirected"])]
    live: bool,
    /// The interface that the packet of `--live` comes in by; without it, the first by name of those that are balanced.
    #[arg(long, value_name = "NAME", requires = "live")]
    interface: Option<String>,

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
    let answer = match &options.config {
        Some(file) => by_file(&query, file)?.into(),
        None if options.live => live::run(&query, options)?,
        None => by_pins(&query, &look(&query, &options.answer.pinned)?).into(),
    };
    options.answer.output.print(&answer, |answer| text::text(&query, answer))?;
    match &answer.live {
        Some(live) if !live.equal => {
            Err(Failure::violation(anyhow!("the loaded program does not do what is explained")))
        }
        _ => Ok(()),
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    explanation: Explanation,
    /// What the loaded program did; left out if it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Live>,
}

impl From<Explanation> for Answer {
    fn from(explanation: Explanation) -> Self {
        Self { explanation, live: None }
    }
}

/// Copies what is pinned, with what the kernel knows of the flow alone.
fn look(query: &Query, pinned: &Pinned) -> Result<Look, Failure> {
    let mut look = Look::at(pinned)?;
    if let Some(key) = connection(query, &look.snapshot) {
        let recorded = look.connections()?.get(key).map(|connection| (key, connection));
        look.snapshot.connections.borrow_mut().extend(recorded);
    }
    look.ask_access(&query.flow());
    Ok(look)
}

fn by_pins(query: &Query, look: &Look) -> Explanation {
    explain(query, &look.snapshot, look.known(), &interface_name)
}

fn by_file(query: &Query, file: &Path) -> Result<Explanation, Failure> {
    let config = config::load(file).map_err(|problems| Failure::config(problems.into()))?;
    let (image, record) = offline::imagine(&config).with_context(|| file.display().to_string())?;
    Ok(explain(query, &image, Known::configured(&record), &interface_name))
}
