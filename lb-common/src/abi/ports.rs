use super::VipTable;
use crate::net::NetworkU16;
use bytemuck::{Pod, Zeroable};

/// Ranges of ports that one VIP and protocol can have.
pub const RANGES_PER_LINE: usize = 7;
/// An index that no service has.
const NO_SERVICE: u32 = u32::MAX;

/// The ranges of ports of one VIP and protocol. 64 bytes, one cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct PortRanges {
    /// Zero.
    pub reserved: u64,
    /// By first port; no two have a port in common. Filled from the front.
    pub ranges: [PortRange; RANGES_PER_LINE],
}

/// A range of ports. Eight bytes; zeros hold no port.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct PortRange {
    /// First port, host order; from 1 on.
    pub first: u16,
    /// Number of ports, so that one comparison tells whether a port is among them.
    pub count: u16,
    /// Index of the service.
    pub service: u32,
}

impl PortRanges {
    /// Where line `line` lies: the lines of the two halves of `vips` alternate.
    #[inline(always)]
    pub const fn index(line: u32, table: VipTable) -> u32 {
        line << 1 | (table.base() != 0) as u32
    }

    /// The service whose range holds a port.
    #[inline(always)]
    pub fn service(&self, port: NetworkU16) -> Option<u32> {
        let port = port.get();
        // A number, not an `Option`: the compiler would leave the register of a `None` without a value, and the
        // verifier refuses to have it copied.
        let mut found = NO_SERVICE;
        for range in &self.ranges {
            if port.wrapping_sub(range.first) < range.count {
                found = range.service;
            }
        }
        if found == NO_SERVICE { None } else { Some(found) }
    }

    /// All services that it leads to, some perhaps more than once.
    pub fn services(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().filter(|range| range.count > 0).map(|range| range.service)
    }
}

const _: () = assert!(size_of::<PortRanges>() == 64 && size_of::<PortRange>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_belongs_to_its_range() {
        let mut line = PortRanges::default();
        line.ranges[0] = PortRange { first: 1, count: 1, service: 0 };
        line.ranges[1] = PortRange { first: 8000, count: 1000, service: 1 };
        line.ranges[6] = PortRange { first: 65_000, count: 536, service: 2 };
        for (port, service) in [(1, 0), (8000, 1), (8999, 1), (65_000, 2), (65_535, 2)] {
            assert_eq!(line.service(NetworkU16::new(port)), Some(service), "port {port}");
        }
        for port in [0, 2, 7999, 9000, 64_999] {
            assert_eq!(line.service(NetworkU16::new(port)), None, "port {port}");
        }
        assert!(line.services().eq([0, 1, 2]));
    }
}
