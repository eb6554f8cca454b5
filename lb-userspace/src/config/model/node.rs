use std::net::IpAddr;
use std::path::PathBuf;

use lb_common::abi::OWNED_FLOWS;

use super::{Interface, Prefix, TunnelKey};

/// Everything a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Names this version of the file.
    pub digest: String,
    /// Interfaces on which tunnel packets arrive.
    pub interfaces: Vec<Interface>,
    /// Who may send tunnel packets: gateways, and nodes that send on.
    pub gateways: Vec<Prefix>,
    /// Addresses that they are sent to; `None`: this machine's own.
    pub addresses: Option<Vec<IpAddr>>,
    /// The tunnels that are taken apart.
    pub accept: Accept,
    /// The tags that packets are to carry.
    pub tunnel_keys: TunnelKeys,
    /// Path MTU from the gateways to this node, outer headers included, in bytes; `None`: the smallest of its interfaces.
    pub mtu: Option<u16>,
    /// Whether the MSS in its answers to SYNs is lowered to what fits.
    pub clamp_mss: bool,
    /// The flows that are remembered.
    pub remember: Remember,
    /// TCP port at which gateways are told what it refused and has, in host order; `None`: they are not.
    pub report: Option<u16>,
    /// Directory on a BPF file system below which the maps are pinned.
    pub pin_path: PathBuf,
}

/// The tunnels that a receiver takes apart. Ports and network identifiers in host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept {
    /// IP in IP.
    pub ipip: bool,
    /// Port of Generic UDP Encapsulation; `None`: none is.
    pub gue: Option<u16>,
    /// Port and network identifier of VXLAN; `None`: none is.
    pub vxlan: Option<(u16, u32)>,
}

/// The tags that a receiver looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TunnelKeys {
    /// Whether a packet without one is dropped. Only with keys.
    pub required: bool,
    /// What they may be made with; no epoch twice. None: tags are not looked at.
    pub keys: Vec<TunnelKey>,
}

/// The flows that a receiver remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remember {
    /// Those of UDP.
    pub udp: bool,
    /// Those of TCP.
    pub tcp: bool,
    /// How many can be.
    pub flows: u32,
}

impl Default for Remember {
    /// UDP, whose sockets tell nothing.
    fn default() -> Self {
        Self { udp: true, tcp: false, flows: OWNED_FLOWS }
    }
}
