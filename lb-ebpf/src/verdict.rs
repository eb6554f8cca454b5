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

/// An end before transmission: passed or dropped, and why. One word, which stays in a register on its way
/// back through the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(u32);

impl End {
    const PASS: u32 = 1 << 31;
    /// Not our packet.
    pub const NOT_OURS: Self = Self::pass(Reason::NotOurs);

    /// To the kernel's stack.
    #[inline(always)]
    pub const fn pass(reason: Reason) -> Self {
        Self(reason as u32 | Self::PASS)
    }

    /// Dropped.
    #[inline(always)]
    pub const fn drop(reason: Reason) -> Self {
        Self(reason as u32)
    }

    /// The word it is.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// From [`End::word`].
    #[inline(always)]
    pub const fn of_word(word: u32) -> Self {
        Self(word)
    }

    /// Number of the [`Reason`].
    #[inline(always)]
    pub const fn reason(self) -> u32 {
        self.0 & !Self::PASS
    }

    /// [`Action::Pass`] or [`Action::Drop`].
    #[inline(always)]
    pub const fn action(self) -> Action {
        if self.0 & Self::PASS == 0 { Action::Drop } else { Action::Pass }
    }

    /// Counts the end. Other people's traffic is not counted: it must cost nothing.
    #[inline(always)]
    pub fn counted(self, tables: &impl Tables) -> Action {
        if self != Self::NOT_OURS {
            tables.count_reason(self.reason());
        }
        self.action()
    }
}
