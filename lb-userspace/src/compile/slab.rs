//! Free space of the slab, in rows.

use std::collections::BTreeMap;

/// Which rows of the slab are taken.
#[derive(Debug, Clone)]
pub(super) struct Slab {
    /// Length by first row.
    regions: BTreeMap<u32, u32>,
    rows: u32,
}

impl Slab {
    /// A slab of `rows` rows with nothing in it.
    pub(super) fn new(rows: u32) -> Self {
        Self { regions: BTreeMap::new(), rows }
    }

    /// Marks a region as taken; false if it overlaps another or the end.
    pub(super) fn occupy(&mut self, base: u32, rows: u32) -> bool {
        let end = u64::from(base) + u64::from(rows);
        let clear_below =
            self.regions.range(..=base).next_back().is_none_or(|(first, length)| first + length <= base);
        let clear_above = self.regions.range(base..).next().is_none_or(|(first, _)| u64::from(*first) >= end);
        let fits = clear_below && clear_above && end <= u64::from(self.rows);
        if fits {
            self.regions.insert(base, rows);
        }
        fits
    }

    /// Takes the first gap of `rows` rows, a multiple of four as all regions are.
    pub(super) fn take(&mut self, rows: u32) -> Option<u32> {
        let mut base = 0;
        for (first, length) in &self.regions {
            if first - base >= rows {
                break;
            }
            base = first + length;
        }
        (self.rows - base >= rows).then(|| {
            self.regions.insert(base, rows);
            base
        })
    }

    /// Rows of the slab.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows taken.
    pub(super) fn used(&self) -> u64 {
        self.regions.values().map(|length| u64::from(*length)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_that_fits_is_taken() {
        let mut slab = Slab::new(2048);
        assert!(slab.occupy(0, 256) && slab.occupy(512, 512));
        assert_eq!(slab.take(512), Some(1024));
        assert_eq!(slab.take(256), Some(256));
        assert_eq!(slab.take(512), Some(1536));
        assert_eq!(slab.take(256), None);
        assert_eq!(slab.used(), 2048);
    }

    #[test]
    fn overlaps_are_refused() {
        let mut slab = Slab::new(1024);
        assert!(slab.occupy(256, 256));
        assert!(!slab.occupy(0, 512) && !slab.occupy(256, 256) && !slab.occupy(508, 256));
        assert!(!slab.occupy(1020, 256), "beyond the end");
        assert!(slab.occupy(0, 256) && slab.occupy(512, 512));
    }
}
