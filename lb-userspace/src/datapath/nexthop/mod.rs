//! Next hops from the kernel: routes and neighbours watched, resolution provoked, no MAC configured.
//!
//! ```text
//! netlink messages → decode → View ┐
//! RTM_GETROUTE answers → Answer    ┴→ decide → Resolution → NextHopEvent
//! ```
//!
//! `view`, `decode`, `decide` and `schedule` do no I/O and read no clock; `netlink` is the socket and
//! `resolver` the loop between them. The kernel answers the routing question itself, so policy rules,
//! next-hop objects, multipath and learned path MTUs are followed without being modelled here.
//!
//! Limits, all of them the kernel's:
//! - of a multipath route one path is used per backend, the one that the kernel hashes it to;
//! - a neighbour that changes its MAC without saying so is found when its entry is next confirmed (the
//!   kernel's reachable time, then `keep_alive`, then its probes: up to 83 s by default);
//! - more neighbours than `net.ipv4.neigh.default.gc_thresh3` (1,024 by default) do not fit, which the
//!   log says.

mod decide;
mod decode;
mod look;
mod netlink;
mod resolver;
mod schedule;
mod view;

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

pub use look::{Silence, Way, look};
pub use netlink::{LookError, StartError};
pub use resolver::{Resolver, Timing};

/// Where a packet to a backend leaves this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Index of the interface that transmits; for a VLAN sub-interface, its parent.
    pub interface_index: u32,
    /// Name of the interface `interface_index`.
    pub interface_name: String,
    /// Our MAC: that of the interface the route names (a VLAN sub-interface may have its own).
    pub source_mac: [u8; 6],
    /// The next hop's MAC: the gateway's, or the backend's when it is on the link.
    pub destination_mac: [u8; 6],
    /// 802.1Q tag to push, in host byte order; `None` for untagged.
    pub vlan: Option<u16>,
    /// The source address the kernel would choose (`RTA_PREFSRC`).
    pub source: IpAddr,
    /// Largest IP packet in bytes: the route's MTU (configured or learned) where there is one and it
    /// is the smaller, else the interface's.
    pub mtu: u32,
}

/// What is known about the way to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Packets can be sent.
    Via(NextHop),
    /// The address is of this very machine: packets go up the stack, unencapsulated.
    Local,
    /// Packets cannot be sent, and why.
    Unresolved(Unresolved),
}

/// Why an address has no next hop. The text says what to look at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unresolved {
    /// No route matches (`ENETUNREACH`).
    #[error("no route leads to it; `ip route get` says the same")]
    NoRoute,
    /// A route matches, but of a type that forwards nothing to one host.
    #[error("its route is of type {0}")]
    NotUnicast(RouteKind),
    /// The kernel refused or did not answer the question; the text is the kernel's.
    #[error("the kernel gave no route: {0}")]
    NoAnswer(String),
    /// The next hop's MAC is not known (yet); it is being asked for.
    #[error("{gateway} on {interface} has not answered to ARP or neighbour discovery")]
    NoNeighbour {
        /// Interface the neighbour should be on.
        interface: String,
        /// The gateway, or the address itself when it is on the link.
        gateway: IpAddr,
    },
    /// The egress interface is not up or has no carrier.
    #[error("interface {interface} is down or without carrier")]
    LinkDown {
        /// Name of the interface.
        interface: String,
    },
    /// The route names an interface that is not (yet) known.
    #[error("the route leaves through interface index {index}, which is not in this network namespace")]
    UnknownLink {
        /// Interface index.
        index: u32,
    },
    /// The egress has no Ethernet header, so there is no MAC to write.
    #[error("interface {interface} is not Ethernet")]
    NotEthernet {
        /// Name of the interface.
        interface: String,
    },
    /// A tag that one 802.1Q header on a parent in this namespace cannot express.
    #[error("VLAN interface {interface} is 802.1ad or stacked; only one 802.1Q tag can be written")]
    UnsupportedVlan {
        /// Name of the VLAN sub-interface.
        interface: String,
    },
    /// The route encapsulates (MPLS, segment routing, …), which this datapath does not repeat.
    #[error("its route through {interface} adds an encapsulation of its own")]
    Encapsulating {
        /// Name of the interface.
        interface: String,
    },
    /// The kernel found no source address for the route.
    #[error("interface {interface} has no usable source address of its family")]
    NoSource {
        /// Name of the interface.
        interface: String,
    },
}

/// Route types that are not an answer to "where do I send it".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Silently dropped (`EINVAL`).
    Blackhole,
    /// Dropped with "host unreachable" (`EHOSTUNREACH`).
    Unreachable,
    /// Dropped with "administratively prohibited" (`EACCES`).
    Prohibit,
    /// To all hosts of the link.
    Broadcast,
    /// To a group.
    Multicast,
    /// Any other `RTN_*` number.
    Other(u8),
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blackhole => f.write_str("blackhole"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Prohibit => f.write_str("prohibit"),
            Self::Broadcast => f.write_str("broadcast"),
            Self::Multicast => f.write_str("multicast"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

/// The way to `address` is now `resolution`. Sent once when an address becomes a target, then on
/// every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHopEvent {
    /// The target.
    pub address: IpAddr,
    /// What is known about it now.
    pub resolution: Resolution,
}
