//! What was seen of a gateway.

use std::net::IpAddr;
use std::path::PathBuf;

use lb_common::reason::Reason;

use crate::config::model::Config;
use crate::doctor::facts::{Ingress, Link, LocalAddress, Seen, Ways};
use crate::observe::published::Reports;

/// A gateway, its file and the kernel's side of both.
#[derive(Debug, Clone)]
pub struct GatewayFacts {
    /// What the file says.
    pub config: Config,
    /// The machine's kernel and what this process may do there.
    pub machine: Machine,
    /// The interfaces that the file names, in its order.
    pub interfaces: Vec<Ingress>,
    /// All interfaces of the network namespace.
    pub links: Seen<Vec<Link>>,
    /// All its addresses.
    pub addresses: Seen<Vec<LocalAddress>>,
    /// The ways to all endpoints.
    pub ways: Ways,
    /// The ways to the VIPs that are probed through tunnels.
    pub probed: Ways,
    /// `rp_filter` of the interfaces that the file names, as it has effect: 0 none, 1 strict, 2 loose.
    pub reverse_path: Vec<(String, Seen<u8>)>,
    /// What is pinned; `None`: nothing.
    pub installed: Seen<Option<Installed>>,
}

/// The kernel, and what this process may ask of it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// As `uname -r` says it.
    pub release: String,
    /// Capabilities that an agent needs and this process does not have.
    pub lacking: Seen<Vec<&'static str>>,
    /// What the programs need and the kernel does not have.
    pub unsupported: Seen<Vec<&'static str>>,
    /// Where the maps are pinned.
    pub pin_path: PathBuf,
    /// Whether that is on a BPF file system.
    pub on_bpf_file_system: bool,
}

/// What an agent has put into the kernel, and what its program counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The agent's process.
    pub pid: u32,
    /// Whether it runs.
    pub running: bool,
    /// Its version.
    pub version: String,
    /// Version of the tables.
    pub generation: u32,
    /// Seconds since they last changed.
    pub age: u64,
    /// Names the configuration in force.
    pub digest: String,
    /// What went wrong last and still stands.
    pub last_error: Option<String>,
    /// Interfaces that the agent has its program on, with the kernel's number of the program.
    pub attached: Vec<(String, u32)>,
    /// Interfaces whose links are pinned.
    pub linked: Vec<String>,
    /// Every backend in force.
    pub backends: Vec<Backend>,
    /// What nodes reported; `None`: none is asked.
    pub reports: Option<Reports>,
    /// Seconds in which the counters below were watched.
    pub watched: u64,
    /// Packets for each service.
    pub traffic: Vec<Traffic>,
    /// Packets that ended for a reason, of those that there were any of.
    pub reasons: Vec<(Reason, Count)>,
}

/// A backend as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its pool.
    pub pool: String,
    /// Its address.
    pub address: IpAddr,
    /// Whether packets are sent to it.
    pub serving: bool,
    /// Why not, as the agent says.
    pub reason: Option<String>,
}

/// A service's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Its name.
    pub service: String,
    /// Packets sent toward its backends.
    pub sent: Count,
    /// Packets dropped.
    pub dropped: Count,
}

/// A counter that was watched for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Since the maps were made.
    pub total: u64,
    /// While it was watched.
    pub grown: u64,
}
