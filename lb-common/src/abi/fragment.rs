use crate::net::NetworkU16;
use bytemuck::{Pod, Zeroable};

/// What the first fragment of a packet told and the later ones do not, under the key that
/// [`Flow::fragment`](crate::flow::Flow::fragment) gives them. Eight bytes.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct FragmentEntry {
    /// Client's port.
    pub source_port: NetworkU16,
    /// VIP's port.
    pub destination_port: NetworkU16,
    /// IP protocol number.
    pub protocol: u32,
}

/// Entries of `fragments`: packets of which fragments may be under way at once.
pub const FRAGMENTS: u32 = 16_384;

const _: () = assert!(size_of::<FragmentEntry>() == 8);
