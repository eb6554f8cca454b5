use crate::net::Address;
use crate::row::MAX_INDEX;
use bytemuck::{Pod, Zeroable};

/// The mark (`SO_MARK`) of a socket that probes a backend through its tunnel: what it sends to the VIP is encapsulated to
/// that backend. "SP" in ASCII, and below it fourteen bits that say which backend. The bits above belong to nobody else:
/// what is sent with them and names no probe is dropped.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct ProbeMark(u32);

impl ProbeMark {
    const BASE: u32 = 0x5350_0000;
    /// What a row has for an index, too.
    const INDEX: u32 = MAX_INDEX as u32;

    /// Of the probes of the backend with this index, of which the lower fourteen bits count.
    pub const fn of(backend: u16) -> Self {
        Self(Self::BASE | backend as u32 & Self::INDEX)
    }

    /// A packet's mark, if it is that of a probe.
    #[inline(always)]
    pub const fn of_packet(mark: u32) -> Option<Self> {
        if mark & !Self::INDEX == Self::BASE { Some(Self(mark)) } else { None }
    }

    /// The number, as a socket is given it.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Index of the backend that it names.
    pub const fn backend(self) -> u32 {
        self.0 & Self::INDEX
    }
}

/// Where packets with a mark go. The backend's entry must say the same: an index that has become another's leads nowhere.
/// 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct ProbeEntry {
    /// The backend's address.
    pub destination: Address,
    /// The interface by which the sockets send them, by their route to the VIP. From there they go to the backend's.
    pub interface: u32,
    /// Index of the backend.
    pub backend: u16,
    /// Index of its pool.
    pub pool: u16,
}

/// What became of packets of probes, on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct ProbeCounters {
    /// Packets that were encapsulated.
    pub sent: u64,
    /// Packets that were dropped: their mark names no backend that can be reached so.
    pub dropped: u64,
}

const _: () = assert!(size_of::<ProbeEntry>() == 24 && size_of::<ProbeCounters>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_a_backend_and_is_no_other_mark() {
        for backend in [0, 1, MAX_INDEX] {
            let mark = ProbeMark::of(backend);
            assert_eq!(ProbeMark::of_packet(mark.number()), Some(mark));
            assert_eq!(mark.backend(), u32::from(backend));
        }
        for other in [0, 1, 0x4000, 0x5350_4000, 0x5351_0000, u32::MAX] {
            assert_eq!(ProbeMark::of_packet(other), None, "{other:x}");
        }
    }
}
