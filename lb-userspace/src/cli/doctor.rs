mod installed;
mod report;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};

use self::report::Report;
use super::Failure;
use super::output::Output;
use crate::config;
use crate::config::Problems;
use crate::config::model::{EncapKind, NodeConfig, Prefix};
use crate::doctor::gather::{self, Wanted};
use crate::doctor::node::Task;
use crate::doctor::{Finding, gateway, node};

/// `spillway doctor`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Examine a gateway, or a backend node with Spillway's receiver: its configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "node")]
    config: Option<PathBuf>,
    /// Watch the gateway's counters for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3600))]
    watch: u64,
    /// Examine a backend node without such a file, by the options that follow.
    #[arg(long, conflicts_with = "config", requires_all = ["vip", "gateway"])]
    node: bool,
    #[command(flatten)]
    about: Node,
    #[command(flatten)]
    output: Output,
}

/// What is asked of a node. What is left out is as its file has it, if there is one.
#[derive(Debug, Args)]
struct Node {
    /// A VIP that the node answers for; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    vip: Vec<IpAddr>,
    /// A gateway that sends to it; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// An interface that tunnel packets arrive by; may be repeated. Left out: those that lead to the gateways.
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
    /// How the gateways wrap packets; `ipip` unless said otherwise, with a file the first that it accepts.
    #[arg(long, value_enum)]
    encap: Option<Encap>,
    /// The tunnel's UDP port, where it is not the usual one.
    #[arg(long)]
    port: Option<u16>,
    /// A client whose way back is to be looked at; may be repeated. Left out: the default route.
    #[arg(long, value_name = "ADDRESS")]
    client: Vec<IpAddr>,
    /// A service proxy takes packets for the VIPs, as in Kubernetes; no interface has them.
    #[arg(long)]
    service_proxy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encap {
    Ipip,
    Gue,
    Vxlan,
}

/// Every finding is printed; with an error among them, the command has failed.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let problems = |problems: Problems| Failure::config(problems.into());
    let (side, findings) = match &options.config {
        Some(file) if config::is_of_node(file).map_err(problems)? => {
            ("node", of_node(options.about.by_file(&config::load_node(file).map_err(problems)?)?)?)
        }
        Some(_) if options.about.is_about_a_node() => {
            let reason = "--vip and the options after it are about a node, and the file is a gateway's";
            return Err(anyhow!("{reason}: leave them out, or give a node's file").into());
        }
        Some(file) => ("gateway", of_gateway(file, Duration::from_secs(options.watch))?),
        None => ("node", of_node(options.about.wanted())?),
    };
    let report = Report::new(side, findings);
    options.output.print(&report, Report::text)?;
    match report.errors() {
        0 => Ok(()),
        errors => Err(anyhow!("{errors} of {} findings are errors", report.findings()).into()),
    }
}

fn of_gateway(file: &Path, watch: Duration) -> Result<Vec<Finding>, Failure> {
    let config = config::load(file).map_err(|problems| Failure::config(problems.into()))?;
    let installed = installed::installed(&config.gateway.pin_path, watch);
    Ok(gateway::examine(&runtime()?.block_on(gather::gateway(config, installed))))
}

fn of_node(wanted: Wanted) -> Result<Vec<Finding>, Failure> {
    Ok(node::examine(&runtime()?.block_on(gather::node(wanted))))
}

/// One thread: netlink's sockets belong to the network namespace of the thread that opens them.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("the runtime was not started")?)
}

impl Node {
    /// By the options alone.
    fn wanted(&self) -> Wanted {
        let port = |usual| self.port.unwrap_or(usual);
        let encap = kind(self.encap.unwrap_or(Encap::Ipip), port(GUE_PORT), port(VXLAN_PORT));
        self.with(encap, self.interface.clone(), Vec::new())
    }

    /// By the options, and for what they leave out by the node's file.
    fn by_file(&self, config: &NodeConfig) -> Result<Wanted, Failure> {
        if self.vip.is_empty() {
            return Err(anyhow!(
                "the file does not say which VIPs the node answers for: name them with --vip"
            )
            .into());
        }
        let peers: Vec<_> = config.gateways.iter().filter_map(alone).collect();
        if self.gateway.is_empty() && peers.is_empty() {
            return Err(anyhow!(
                "the file has prefixes of gateways only: name one of the gateways with --gateway"
            )
            .into());
        }
        let accept = config.accept;
        let (gue, (vxlan, _)) = (accept.gue.unwrap_or(GUE_PORT), accept.vxlan.unwrap_or((VXLAN_PORT, 0)));
        let accepted = match (accept.ipip, accept.gue) {
            (true, _) => Encap::Ipip,
            (false, Some(_)) => Encap::Gue,
            (false, None) => Encap::Vxlan,
        };
        let [gue, vxlan] = [gue, vxlan].map(|port| self.port.unwrap_or(port));
        let encap = match kind(self.encap.unwrap_or(accepted), gue, vxlan) {
            EncapKind::Gue { port, .. } => EncapKind::Gue { port, tag: !config.tunnel_keys.keys.is_empty() },
            other => other,
        };
        let named = config.interfaces.iter().map(|interface| interface.name.clone());
        let interfaces = if self.interface.is_empty() { named.collect() } else { self.interface.clone() };
        Ok(self.with(encap, interfaces, if self.gateway.is_empty() { peers } else { Vec::new() }))
    }

    fn with(&self, encap: EncapKind, interfaces: Vec<String>, peers: Vec<IpAddr>) -> Wanted {
        let Self { vip, gateway, client, service_proxy, .. } = self;
        let (vips, gateways, clients) = (vip.clone(), gateway.clone(), client.clone());
        Wanted {
            task: Task { vips, gateways, clients, encap, service_proxy: *service_proxy },
            peers,
            interfaces,
        }
    }

    fn is_about_a_node(&self) -> bool {
        let Self { vip, gateway, interface, encap, port, client, service_proxy } = self;
        let addresses = [vip, gateway, client].iter().any(|list| !list.is_empty());
        addresses || !interface.is_empty() || encap.is_some() || port.is_some() || *service_proxy
    }
}

/// Ports in host order.
fn kind(encap: Encap, gue: u16, vxlan: u16) -> EncapKind {
    match encap {
        Encap::Ipip => EncapKind::Ipip,
        Encap::Gue => EncapKind::Gue { port: gue, tag: false },
        // Only lengths and the port are looked at.
        Encap::Vxlan => EncapKind::Vxlan { port: vxlan, vni: 0, mac: [0; 6] },
    }
}

/// The address of a prefix that holds no other.
fn alone(prefix: &Prefix) -> Option<IpAddr> {
    let longest = if prefix.address.is_ipv4() { 32 } else { 128 };
    (prefix.length == longest).then_some(prefix.address)
}

/// As in a configuration that does not name them, host order.
const GUE_PORT: u16 = 6080;
const VXLAN_PORT: u16 = 4789;
