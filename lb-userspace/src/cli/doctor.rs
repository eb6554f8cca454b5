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
use crate::config::model::EncapKind;
use crate::doctor::gather::{self, Wanted};
use crate::doctor::node::Task;
use crate::doctor::{Finding, gateway, node};

/// `spillway doctor`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Examine a gateway: its configuration file.
    #[arg(long, value_name = "FILE", required_unless_present = "node")]
    config: Option<PathBuf>,
    /// Watch the gateway's counters for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3600))]
    watch: u64,
    /// Examine a backend node, by the options that follow.
    #[arg(long, conflicts_with = "config", requires_all = ["vip", "gateway"])]
    node: bool,
    #[command(flatten)]
    about: Node,
    #[command(flatten)]
    output: Output,
}

/// What is asked of a node.
#[derive(Debug, Args)]
struct Node {
    /// A VIP that the node answers for; may be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "node")]
    vip: Vec<IpAddr>,
    /// A gateway that sends to it; may be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "node")]
    gateway: Vec<IpAddr>,
    /// An interface that tunnel packets arrive by; may be repeated. Left out: those that lead to the gateways.
    #[arg(long, value_name = "NAME", requires = "node")]
    interface: Vec<String>,
    /// How the gateways wrap packets.
    #[arg(long, value_enum, default_value_t, requires = "node")]
    encap: Encap,
    /// The tunnel's UDP port, where it is not the usual one.
    #[arg(long, requires = "node")]
    port: Option<u16>,
    /// A client whose way back is to be looked at; may be repeated. Left out: the default route.
    #[arg(long, value_name = "ADDRESS", requires = "node")]
    client: Vec<IpAddr>,
    /// A service proxy takes packets for the VIPs, as in Kubernetes; no interface has them.
    #[arg(long, requires = "node")]
    service_proxy: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Encap {
    #[default]
    Ipip,
    Gue,
    Vxlan,
}

/// Every finding is printed; with an error among them, the command has failed.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (side, findings) = match &options.config {
        Some(file) => ("gateway", of_gateway(file, Duration::from_secs(options.watch))?),
        None => ("node", of_node(&options.about)?),
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

fn of_node(asked: &Node) -> Result<Vec<Finding>, Failure> {
    let task = Task {
        vips: asked.vip.clone(),
        gateways: asked.gateway.clone(),
        clients: asked.client.clone(),
        encap: asked.kind(),
        service_proxy: asked.service_proxy,
    };
    let wanted = Wanted { task, interfaces: asked.interface.clone() };
    Ok(node::examine(&runtime()?.block_on(gather::node(wanted))))
}

/// One thread: netlink's sockets belong to the network namespace of the thread that opens them.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("the runtime was not started")?)
}

impl Node {
    fn kind(&self) -> EncapKind {
        match self.encap {
            Encap::Ipip => EncapKind::Ipip,
            Encap::Gue => EncapKind::Gue { port: self.port.unwrap_or(GUE_PORT) },
            // Only lengths and the port are looked at.
            Encap::Vxlan => EncapKind::Vxlan { port: self.port.unwrap_or(VXLAN_PORT), vni: 0, mac: [0; 6] },
        }
    }
}

/// As in a configuration that does not name them, host order.
const GUE_PORT: u16 = 6080;
const VXLAN_PORT: u16 = 4789;
