//! How a packet ends.

use crate::tables::Tables;
use lb_common::reason::Reason;

/// What the kernel is asked to do with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// On to the kernel's own stack.
    Pass,
    /// Away with it.
    Drop,
    /// Out of the interface it came in on.
    Transmit,
    /// Out of the interface with this index.
    Redirect(u32),
}

/// An end before transmission: passed or dropped, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// [`Action::Pass`] or [`Action::Drop`].
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

impl End {
    /// Not our packet.
    pub const NOT_OURS: Self = Self::pass(Reason::NotOurs);

    /// To the kernel's stack.
    #[inline(always)]
    pub const fn pass(reason: Reason) -> Self {
        Self { action: Action::Pass, reason }
    }

    /// Dropped.
    #[inline(always)]
    pub const fn drop(reason: Reason) -> Self {
        Self { action: Action::Drop, reason }
    }

    /// Counts the end. Other people's traffic is not counted: it must cost nothing.
    #[inline(always)]
    pub fn counted(self, tables: &impl Tables) -> Action {
        if self.reason as u32 != Reason::NotOurs as u32 {
            tables.count_reason(self.reason);
        }
        self.action
    }
}
