use crate::net::{Address, Family};
use crate::reason::Reason;
use bytemuck::{Pod, Zeroable};

/// Bytes of the ring buffer: a power of two, and whole pages on every machine.
pub const EVENT_BYTES: u32 = 64 << 10;

/// Something an operator should know of. 48 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Event {
    /// An [`EventKind`].
    pub kind: u32,
    /// Index of the service.
    pub service: u32,
    /// 4 or 6.
    pub family: u32,
    /// Zero.
    pub reserved: u32,
    /// Client.
    pub source: Address,
    /// VIP.
    pub destination: Address,
}

impl Event {
    /// The packet's family.
    pub const fn family(&self) -> Family {
        if self.family == 6 { Family::V6 } else { Family::V4 }
    }
}

/// What is told of, each at most once in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// [`Reason::NoBackend`].
    NoBackend = 0,
    /// [`Reason::MissingEntry`].
    MissingEntry = 1,
    /// [`Reason::TooBig`].
    TooBig = 2,
    /// [`Reason::RateLimited`].
    RateLimited = 3,
    /// A connection was not recorded: a budget or the table was at its end.
    NotRecorded = 4,
}

impl EventKind {
    /// Every kind, by number.
    pub const ALL: [Self; 5] =
        [Self::NoBackend, Self::MissingEntry, Self::TooBig, Self::RateLimited, Self::NotRecorded];

    /// What the end of a packet for the reason with this number is told as; `None`: it is not.
    #[inline(always)]
    pub const fn of_reason(reason: u32) -> Option<Self> {
        const NO_BACKEND: u32 = Reason::NoBackend as u32;
        const MISSING_ENTRY: u32 = Reason::MissingEntry as u32;
        const TOO_BIG: u32 = Reason::TooBig as u32;
        const RATE_LIMITED: u32 = Reason::RateLimited as u32;
        match reason {
            NO_BACKEND => Some(Self::NoBackend),
            MISSING_ENTRY => Some(Self::MissingEntry),
            TOO_BIG => Some(Self::TooBig),
            RATE_LIMITED => Some(Self::RateLimited),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<Event>() == 48);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_dense() {
        for (number, kind) in (0..).zip(EventKind::ALL) {
            assert_eq!(kind as u32, number);
        }
    }
}
