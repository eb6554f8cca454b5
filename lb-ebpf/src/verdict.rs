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

/// An end before a backend: passed, dropped or answered, and why. One word, which stays in a register on its way
/// back through the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End(u32);

impl End {
    const PASS: u32 = 1 << 31;
    const REPLY: u32 = 1 << 30;
    const KIND: u32 = Self::PASS | Self::REPLY;
    /// Not our packet.
    pub const NOT_OURS: Self = Self::pass(Reason::NotOurs);
    /// None yet: [`unusual::message`](crate::pipeline::unusual::message) begins anew with it.
    pub const MESSAGE: Self = Self(Self::KIND);
    /// None yet: [`unusual::part`](crate::pipeline::unusual::part) begins anew with it.
    pub const PART: Self = Self(Self::KIND | 1);
    /// None yet: [`redirected`](crate::pipeline::redirected) begins anew with it.
    pub const REDIRECTED: Self = Self(Self::KIND | 2);

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

    /// Answered: the frame has become the answer.
    #[inline(always)]
    pub const fn reply(reason: Reason) -> Self {
        Self(reason as u32 | Self::REPLY)
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
        self.0 & !Self::KIND
    }

    /// [`Action::Pass`], [`Action::Drop`], or [`Action::Transmit`] of an answer.
    #[inline(always)]
    pub const fn action(self) -> Action {
        match self.0 & Self::KIND {
            0 => Action::Drop,
            Self::REPLY => Action::Transmit,
            _ => Action::Pass,
        }
    }

    /// Whether it is the kernel's.
    #[inline(always)]
    pub const fn is_pass(self) -> bool {
        self.0 & Self::KIND == Self::PASS
    }

    /// Whether the packet went neither to the kernel nor to a backend.
    #[inline(always)]
    pub const fn lost(self) -> bool {
        self.0 & Self::PASS == 0
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
