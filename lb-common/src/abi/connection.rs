use super::Redirected;
use bytemuck::{Pod, Zeroable};

/// A recorded connection, under the key that [`Flow::connection`](crate::flow::Flow::connection) gives it.
/// 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Connection {
    /// Index of the backend that has it.
    pub backend: u16,
    /// Any of [`Connection::CLOSING`] and [`Connection::REDIRECTED`].
    pub state: u16,
    /// Index of its service.
    pub service: u32,
    /// The flow hash that selects its rows.
    pub hash: u64,
    /// When its last packet was seen, in nanoseconds of the kernel's monotonic clock.
    pub seen: u64,
}

impl Connection {
    /// A FIN or RST of the client was seen: a SYN begins another connection.
    pub const CLOSING: u16 = 1;
    /// Another cluster's gateway sends its packets here: they have a record of their own, for they may go to this
    /// cluster's nodes alone.
    pub const REDIRECTED: u16 = 2;
    /// Beside a service's index, in the key of such a record.
    const REDIRECTED_SERVICE: u32 = 1 << 31;

    /// What stands for a service in the key of a connection.
    #[inline(always)]
    pub const fn service_in_key(service: u32, redirected: Redirected) -> u32 {
        service | redirected.bits(Self::REDIRECTED_SERVICE)
    }

    /// The state of one that is recorded.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "its bits are the lowest two")]
    pub const fn state_of(closing: bool, redirected: Redirected) -> u16 {
        let state = if closing { Self::CLOSING } else { 0 };
        state | redirected.bits(Self::REDIRECTED as u32) as u16
    }

    /// Whether another cluster's gateway sends its packets here.
    pub const fn redirected(&self) -> Redirected {
        if self.state & Self::REDIRECTED == 0 { Redirected::NO } else { Redirected::YES }
    }

    /// Whether a FIN or RST was seen.
    #[inline(always)]
    pub const fn is_closing(&self) -> bool {
        self.state & Self::CLOSING != 0
    }
}

/// What a connection is recorded as, and which budget that takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Insert {
    /// Begun by the packet at hand.
    New = 0,
    /// Begun before, on a row that was clean then.
    Missed = 1,
    /// As its service records every flow; no budget limits it.
    Full = 2,
    /// In the place of a record that it has already; no budget limits it, for nothing is added.
    Anew = 3,
}

/// Per CPU: what became of packets on rows that are not clean.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct TrackingCounters {
    /// Packets of a recorded connection.
    pub hits: u64,
    /// Connections recorded that were not before.
    pub inserted: u64,
    /// New flows that were not recorded, for the budget or the table was at its end.
    pub refused_new: u64,
    /// Older flows that were not recorded, for the same reasons.
    pub refused_missed: u64,
}

const _: () = assert!(size_of::<Connection>() == 24 && size_of::<TrackingCounters>() == 32);
