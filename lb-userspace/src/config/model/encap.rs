use std::path::PathBuf;

use super::Secret;

/// Encapsulation toward a cluster's nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encap {
    /// The outer protocol.
    pub kind: EncapKind,
    /// Path MTU toward the nodes in bytes (outer IP packet); `None`: the egress interface's.
    pub mtu: Option<u16>,
}

/// The outer protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EncapKind {
    /// IP in IP: protocol 4 or 41 straight behind the outer header (RFC 2003, RFC 2473).
    #[default]
    Ipip,
    /// Generic UDP Encapsulation (draft-ietf-intarea-gue).
    Gue {
        /// UDP port of the nodes, host order.
        port: u16,
        /// Whether packets carry a keyed tag. Only where the set has a key.
        tag: bool,
    },
    /// VXLAN (RFC 7348).
    Vxlan {
        /// UDP port of the nodes, host order.
        port: u16,
        /// Network identifier, below 2^24.
        vni: u32,
        /// Destination MAC of the inner frame.
        mac: [u8; 6],
    },
}

impl EncapKind {
    /// UDP port of the nodes in host order; 0 for IP in IP.
    pub const fn port(self) -> u16 {
        match self {
            Self::Ipip => 0,
            Self::Gue { port, .. } | Self::Vxlan { port, .. } => port,
        }
    }
}

/// A key of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelKey {
    /// Its name on the wire, 1..=255.
    pub epoch: u8,
    /// The key.
    pub key: Secret,
    /// The file that it was read from.
    pub file: PathBuf,
}
