use bytemuck::{Pod, Zeroable};

/// A packet that the gateway sends by itself, and which budget that takes from: what of `budgets` is not
/// [`Insert`](super::Insert)'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reply {
    /// The answer to an echo request.
    Echo = 2,
    /// "Fragmentation needed" or "packet too big".
    TooBig = 3,
}

impl Reply {
    /// Its place in [`Control::replies`](super::Control::replies).
    #[inline(always)]
    pub const fn limit(self, limits: [u32; 2]) -> u32 {
        let [echo, too_big] = limits;
        match self {
            Self::Echo => echo,
            Self::TooBig => too_big,
        }
    }
}

/// Entries of `budgets`.
pub const BUDGETS: u32 = 4;

/// What was used up of a budget within the current second: what keeps a flood from filling a table, and the
/// gateway from answering one.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Budget {
    /// Second of the kernel's monotonic clock.
    pub second: u64,
    /// Used within it.
    pub used: u64,
}

impl Budget {
    /// Takes one at `now` (nanoseconds) out of `limit` a second; false: they are used up. CPUs that do
    /// this at once may lose each other's count, so that the limit is kept only nearly.
    #[inline(always)]
    pub const fn take(&mut self, now: u64, limit: u32) -> bool {
        // Shifted rather than divided: a "second" of 2^30 ns.
        let second = now >> 30;
        if self.second != second {
            self.second = second;
            self.used = 0;
        }
        if self.used >= limit as u64 {
            return false;
        }
        self.used += 1;
        true
    }
}

const _: () = assert!(size_of::<Budget>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_for_a_second() {
        let mut budget = Budget::default();
        let taken = |budget: &mut Budget, now| (0..5).filter(|_| budget.take(now, 3)).count();
        assert_eq!(taken(&mut budget, 7), 3);
        assert_eq!(taken(&mut budget, 8), 0);
        assert_eq!(taken(&mut budget, 1 << 30), 3);
        assert!(!budget.take(1 << 30, 0));
    }
}
