use bytemuck::{Pod, Zeroable};

/// Per CPU and service.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct ServiceCounters {
    /// Packets sent to a backend.
    pub packets: u64,
    /// Their bytes, from the inner IP header on.
    pub bytes: u64,
    /// Packets that matched the service and were dropped.
    pub dropped: u64,
    /// Zero.
    pub reserved: u64,
}

/// Per CPU and backend.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct BackendCounters {
    /// Packets sent to it.
    pub packets: u64,
    /// Their bytes, from the inner IP header on.
    pub bytes: u64,
}

const _: () = assert!(size_of::<ServiceCounters>() == 32 && size_of::<BackendCounters>() == 16);
