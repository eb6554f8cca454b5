use crate::net::NetworkU16;
use bytemuck::{Pod, Zeroable};

/// Entries of `peers` and of `own_addresses`.
pub const PEERS: u32 = 4096;

/// What a receiver takes off. 16 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Accepted {
    /// UDP port of GUE; 0: none is accepted.
    pub gue: NetworkU16,
    /// UDP port of VXLAN; 0: none is accepted.
    pub vxlan: NetworkU16,
    /// VNI of VXLAN and a reserved byte, as they lie in the header, read natively.
    pub vni: u32,
    /// What else.
    pub flags: AcceptedFlags,
    /// Zero.
    pub reserved: u32,
}

flag_set! {
    /// Bits of what a receiver takes off.
    AcceptedFlags {
        /// IP in IP.
        IPIP = 0;
    }
}

/// What of one kind of tunnel was taken off, on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TunnelCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of them, without outer headers.
    pub bytes: u64,
}

/// Kinds of tunnels, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TunnelKind {
    /// IP in IP.
    Ipip = 0,
    /// Generic UDP Encapsulation.
    Gue = 1,
    /// VXLAN.
    Vxlan = 2,
}

impl TunnelKind {
    /// Every kind, by number.
    pub const ALL: [Self; 3] = [Self::Ipip, Self::Gue, Self::Vxlan];
}

const _: () = assert!(size_of::<Accepted>() == 16 && size_of::<TunnelCounters>() == 16);
