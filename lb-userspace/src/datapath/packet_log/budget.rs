use std::time::{Duration, Instant};

/// Most lines in a second.
pub(super) const LINES: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// What may still be said in the second that began with its first line.
#[derive(Debug, Default)]
pub(super) struct Budget {
    began: Option<Instant>,
    said: u32,
}

impl Budget {
    /// Takes one line. If there was none left, the time until the next second begins, to which the line counts.
    pub(super) fn spend(&mut self, now: Instant) -> Option<Duration> {
        let past = self.began.map_or(SECOND, |began| now.saturating_duration_since(began));
        let rest = SECOND.saturating_sub(past);
        if rest.is_zero() || self.said >= LINES {
            *self = Self { began: Some(now + rest), said: 0 };
        }
        let spent = self.said == 0 && !rest.is_zero();
        self.said += 1;
        spent.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_second_has_its_lines_and_the_next_has_as_many() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!((0..LINES).all(|line| budget.spend(start + MS * line).is_none()));
        assert_eq!(budget.spend(start + 400 * MS), Some(600 * MS));
        assert!((1..LINES).all(|line| budget.spend(start + 1000 * MS + MS * line).is_none()));
        assert_eq!(budget.spend(start + 1999 * MS), Some(MS));
    }

    #[test]
    fn few_lines_never_wait() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        assert!((0..1000).all(|line| budget.spend(start + 11 * MS * line).is_none()));
    }
}
