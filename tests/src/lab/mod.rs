//! Networks out of namespaces, on one machine, without a trace afterwards.
//!
//! Namespaces have no name in the file system: they live as long as a descriptor of this process
//! does, so even `kill -9` leaves none. The one thing that outlives a killed process is a
//! [`WorkDir`] with its BPF file system; the next [`WorkDir::sweep`] removes it.

mod agent;
mod client;
mod crew;
mod echo;
mod events;
pub mod firewall;
mod frame_socket;
mod health_service;
mod link;
mod listener;
mod namespace;
mod node;
mod node_agent;
mod offload;
mod pod;
mod program;
mod quic;
mod receiver;
mod second_gateway;
mod server;
mod sink;
mod topology;
mod tunnel_devices;
mod udp_echo;
mod work_dir;

pub use agent::Agent;
pub use client::{Load, Outcome, fetch, fetch_from, fetch_within};
pub use echo::{Echo, Talk, Talks};
pub use events::{Event, EventKind};
pub use frame_socket::FrameSocket;
pub use health_service::HealthService;
pub use link::{End, connect};
pub use namespace::Namespace;
pub use node::{Decapsulation, HEALTH_PORT, Node, UPLOAD_PORT, VIP_PORT};
pub use node_agent::NodeAgent;
pub use offload::offload_checksums;
pub use pod::Pod;
pub use program::{Attached, Objects};
pub use quic::{QuicEcho, QuicIdentity, QuicIds, QuicTalks};
pub use receiver::Receiver;
pub use second_gateway::SecondGateway;
pub use server::Server;
pub use sink::{Sink, Taken};
pub use topology::{ClusterSpec, Segment, TwoClusters, VIP_V4, VIP_V6};
pub use tunnel_devices::TunnelDevices;
pub use udp_echo::{UdpEcho, UdpFlow};
pub use work_dir::WorkDir;

/// Whether this process may build namespaces; tests that need them print `SKIP` and return otherwise.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
