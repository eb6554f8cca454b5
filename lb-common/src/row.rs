//! A row of a selection table: two bytes, the owner's index and the row's mode.
//!
//! Four rows lie in each 64-bit word of the slab.

/// Rows in one word of the slab.
pub const ROWS_PER_WORD: u32 = 4;
/// Indices that fit a row: 14 bits.
pub const MAX_INDEX: u16 = 0x3fff;
/// Where the mode's bits begin, above those of the index.
const MODE: u32 = 14;

/// What a row's owner means for flows that were there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing moved here lately.
    Clean,
    /// The owner changed inside the window.
    Moving,
    /// The window is over; recorded connections still point elsewhere.
    Residue,
    /// As [`Mode::Clean`], and the table remembers another owner of it, who may have connections of services that track
    /// by chain.
    Chained,
}

/// One row, as it lies in the slab: mode in the top two bits, index below.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row(u16);

impl Row {
    /// A row that belongs to `index` (a backend's, or in a cluster table a pool's; only its lower 14
    /// bits are kept).
    #[inline(always)]
    pub const fn new(index: u16, mode: Mode) -> Self {
        let mode = match mode {
            Mode::Clean => 0,
            Mode::Moving => 1,
            Mode::Residue => 2,
            Mode::Chained => 3,
        };
        Self(index & MAX_INDEX | mode << MODE)
    }

    /// The owner's index.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        (self.0 & MAX_INDEX) as u32
    }

    /// The row's mode.
    #[inline(always)]
    pub const fn mode(self) -> Mode {
        match self.0 >> MODE {
            0 => Mode::Clean,
            1 => Mode::Moving,
            2 => Mode::Residue,
            _ => Mode::Chained,
        }
    }

    /// Whether the row is [`Mode::Clean`]; one comparison for any number of rows that are or-ed together.
    #[inline(always)]
    pub const fn is_clean(self) -> bool {
        self.0 <= MAX_INDEX
    }

    /// A row that is clean only if both are; its owner means nothing.
    #[inline(always)]
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same owner in another mode.
    #[must_use]
    pub const fn in_mode(self, mode: Mode) -> Self {
        Self::new(self.0, mode)
    }

    /// Row `number` of the slab out of its word `number / 4`.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the sixteen bits of one row are meant")]
    pub const fn of_word(word: u64, number: u32) -> Self {
        Self((word >> ((number % ROWS_PER_WORD) * 16)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_mode_share_two_bytes() {
        for mode in [Mode::Clean, Mode::Moving, Mode::Residue, Mode::Chained] {
            for index in [0, 1, 255, MAX_INDEX] {
                let row = Row::new(index, mode);
                assert_eq!((row.index(), row.mode()), (u32::from(index), mode));
                assert_eq!(row.is_clean(), mode == Mode::Clean);
                assert_eq!(row.or(Row::new(5, Mode::Clean)).is_clean(), mode == Mode::Clean);
                assert_eq!(row.in_mode(Mode::Clean), Row::new(index, Mode::Clean));
            }
        }
    }

    #[test]
    fn a_word_holds_four_rows_lowest_first() {
        let rows = [1, 2, 3, 4].map(|index| Row::new(index, Mode::Clean));
        let word: u64 = bytemuck::cast(rows);
        for (number, row) in (8..).zip(rows) {
            assert_eq!(Row::of_word(word, number), row);
        }
    }
}
