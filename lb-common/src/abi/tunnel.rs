use super::LinkAddress;
use bytemuck::{Pod, Zeroable};

/// What the headers toward the nodes of a pool need beyond [`BackendEntry`](super::BackendEntry), under the
/// pool's index. Only a pool that is reached over VXLAN has one. 16 bytes.
#[repr(C, align(16))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TunnelEntry {
    /// Second word of the VXLAN header (RFC 7348, section 5): the VNI and a zero byte, native reading of
    /// network order.
    pub vni: u32,
    /// Zero.
    pub reserved: u32,
    /// Destination MAC of the inner frame; `number` is zero.
    pub mac: LinkAddress,
}

impl TunnelEntry {
    /// Of a VNI in host order, of which the lower 24 bits count, and a MAC.
    pub const fn new(vni: u32, mac: [u8; 6]) -> Self {
        Self { vni: (vni << 8).to_be(), reserved: 0, mac: LinkAddress::new(mac, 0) }
    }

    /// The VNI in host order.
    pub const fn number(&self) -> u32 {
        u32::from_be(self.vni) >> 8
    }
}

/// Source MAC of every inner frame: locally administered, "SPLW" in ASCII, and 1. A node that learns it
/// learns nothing about a machine.
pub const INNER_SOURCE: LinkAddress = LinkAddress::new([0x02, 0x53, 0x50, 0x4c, 0x57, 0x01], 0);

const _: () = assert!(size_of::<TunnelEntry>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_lies_as_on_the_wire() {
        let entry = TunnelEntry::new(0x00ab_cdef, [2, 0, 0, 0, 0, 9]);
        assert_eq!(bytemuck::bytes_of(&entry)[..4], [0xab, 0xcd, 0xef, 0]);
        assert_eq!((entry.number(), entry.mac.mac()), (0x00ab_cdef, [2, 0, 0, 0, 0, 9]));
    }
}
