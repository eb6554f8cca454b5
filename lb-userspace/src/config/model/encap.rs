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
            Self::Gue { port } | Self::Vxlan { port, .. } => port,
        }
    }
}
