//! When each neighbour in use is next asked for. Pure: the time is an argument.
//!
//! A neighbour without a MAC is asked for at once, then ever more rarely. One with a MAC is touched at
//! a steady pace, because packets sent below the stack do not refresh its entry.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::view::NeighbourKey;

/// How often to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) keep_alive: Duration,
    /// Pause after the first unanswered attempt; doubles with each.
    pub(super) retry: Duration,
    pub(super) longest_retry: Duration,
}

#[derive(Debug)]
struct Entry {
    known: bool,
    attempts: u32,
    due: Instant,
}

/// The neighbours in use, each with the time of its next provocation.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    entries: BTreeMap<NeighbourKey, Entry>,
}

impl Schedule {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, entries: BTreeMap::new() }
    }

    /// Replaces the set of neighbours in use: each with whether it has a MAC. New ones, and those that
    /// lost theirs, are due now; the others keep their pace.
    pub(super) fn want(&mut self, wanted: &BTreeMap<NeighbourKey, bool>, now: Instant) {
        self.entries.retain(|key, _| wanted.contains_key(key));
        for (key, &known) in wanted {
            let entry = self.entries.entry(*key).or_insert(Entry { known, attempts: 0, due: now });
            if entry.known != known {
                let due = if known { now + self.pace.keep_alive } else { now };
                *entry = Entry { known, attempts: 0, due };
            }
        }
    }

    /// The neighbours to provoke now; each gets its next time.
    pub(super) fn due(&mut self, now: Instant) -> Vec<NeighbourKey> {
        let pace = self.pace;
        let due = self.entries.iter_mut().filter(|(_, entry)| entry.due <= now);
        due.map(|(key, entry)| {
            entry.due = now + pause(pace, entry);
            entry.attempts = entry.attempts.saturating_add(1);
            *key
        })
        .collect()
    }

    /// When the next neighbour is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.values().map(|entry| entry.due).min()
    }
}

fn pause(pace: Pace, entry: &Entry) -> Duration {
    if entry.known {
        return pace.keep_alive;
    }
    let factor = 1u32.checked_shl(entry.attempts).unwrap_or(u32::MAX);
    pace.retry.saturating_mul(factor).min(pace.longest_retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        keep_alive: Duration::from_secs(30),
        retry: Duration::from_secs(1),
        longest_retry: Duration::from_secs(10),
    };

    fn key(last: u8) -> NeighbourKey {
        NeighbourKey { link: 1, address: [10, 0, 0, last].into() }
    }

    fn wanted<const N: usize>(entries: [(u8, bool); N]) -> BTreeMap<NeighbourKey, bool> {
        entries.into_iter().map(|(last, known)| (key(last), known)).collect()
    }

    #[test]
    fn an_unknown_neighbour_is_asked_for_at_once_then_ever_more_rarely() {
        let start = Instant::now();
        let mut schedule = Schedule::new(PACE);
        schedule.want(&wanted([(1, false)]), start);
        let mut asked = Vec::new();
        for second in 0..40 {
            let now = start + Duration::from_secs(second);
            schedule.want(&wanted([(1, false)]), now);
            if !schedule.due(now).is_empty() {
                asked.push(second);
            }
        }
        assert_eq!(asked, [0, 1, 3, 7, 15, 25, 35]);
    }

    #[test]
    fn the_back_off_does_not_overflow() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(PACE);
        schedule.want(&wanted([(1, false)]), now);
        for _ in 0..100 {
            assert_eq!(schedule.due(now), [key(1)]);
            now = schedule.next().unwrap();
        }
    }

    #[test]
    fn a_known_neighbour_is_kept_alive_and_asked_for_at_once_when_lost() {
        let start = Instant::now();
        let mut schedule = Schedule::new(PACE);
        schedule.want(&wanted([(1, true)]), start);
        assert_eq!(schedule.due(start), [key(1)]);
        assert_eq!(schedule.next(), Some(start + PACE.keep_alive));

        let lost = start + Duration::from_secs(5);
        schedule.want(&wanted([(1, false)]), lost);
        assert_eq!(schedule.due(lost), [key(1)]);
        assert_eq!(schedule.next(), Some(lost + PACE.retry));

        let found = start + Duration::from_secs(6);
        schedule.want(&wanted([(1, true)]), found);
        assert_eq!(schedule.due(found), []);
        assert_eq!(schedule.next(), Some(found + PACE.keep_alive));
    }

    #[test]
    fn a_neighbour_no_longer_wanted_is_forgotten() {
        let now = Instant::now();
        let mut schedule = Schedule::new(PACE);
        schedule.want(&wanted([(1, true), (2, false)]), now);
        schedule.want(&wanted([(2, false)]), now);
        assert_eq!(schedule.due(now), [key(2)]);
        schedule.want(&wanted([]), now);
        assert_eq!(schedule.next(), None);
    }
}
