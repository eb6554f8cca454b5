//! A pool's node table: weighted Maglev (Eisenbud et al., "Maglev: A Fast and Reliable Software Network
//! Load Balancer", NSDI 2016, section 3.4), as a pure function of the members.
//!
//! 1. Members in order of address (sixteen bytes), then port.
//! 2. Each prefers rows `offset + j · skip (mod rows)`, j = 0, 1, …; offset and skip are hashes of address
//!    and port under a public key, and an odd skip visits every row of a power of two.
//! 3. In rounds over the members, `credit += weight`; a member whose credit has reached the largest weight
//!    pays that and takes the first row of its preference that is still free.
//!
//! Preferences are walked, never stored, and taken rows are bits: 65,536 rows stay in the first-level cache.

use super::node::{Member, contenders};
use lb_common::siphash::{Key, siphash13};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const KEY: Key = Key::from_bytes(b"spillway.maglev1");
const OFFSET: u8 = 1;
const SKIP: u8 = 2;
/// Where fewer than one in so many members has a turn in a round, the rounds without one are not walked.
const SPARSE: u64 = 16;

/// The owner of each row, as a position in `members`, whose order does not matter otherwise. `rows` is a
/// power of two, at least 64. Empty if there are no members. At most 65,536 members.
pub fn table(members: &[Member], rows: u32) -> Vec<u16> {
    debug_assert!(rows.is_power_of_two() && rows >= 64, "rows: {rows}");
    let mut walkers = walkers(members, rows - 1);
    let Some(largest) = walkers.iter().map(|walker| walker.weight).max() else { return Vec::new() };
    let weights = walkers.iter().map(|walker| u64::from(walker.weight)).sum::<u64>();
    let turns = Turns { rows: vec![0; rows as usize], taken: vec![0; rows as usize / 64], free: rows };
    if weights * SPARSE < u64::from(largest) * walkers.len() as u64 {
        turns.by_calendar(&mut walkers, largest)
    } else {
        turns.by_rounds(&mut walkers, largest)
    }
}

/// A member on its way through its preferences.
struct Walker {
    credit: u32,
    weight: u32,
    row: u32,
    skip: u32,
    member: u16,
}

fn walkers(members: &[Member], mask: u32) -> Vec<Walker> {
    let walker = |(position, member): (u16, Member)| Walker {
        credit: 0,
        weight: member.weight,
        row: hash(&member, OFFSET) & mask,
        skip: (hash(&member, SKIP) & mask) | 1,
        member: position,
    };
    contenders(members).into_iter().map(walker).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the hash modulo a power of two is its low bits")]
fn hash(member: &Member, purpose: u8) -> u32 {
    let mut message = [0; 19];
    message[..18].copy_from_slice(&member.identity());
    message[18] = purpose;
    siphash13(KEY, &message) as u32
}

/// The rows, while they are taken.
struct Turns {
    rows: Vec<u16>,
    taken: Vec<u64>,
    free: u32,
}

impl Turns {
    fn by_rounds(mut self, walkers: &mut [Walker], largest: u32) -> Vec<u16> {
        while self.free > 0 {
            for walker in &mut *walkers {
                walker.credit += walker.weight;
                if walker.credit >= largest && self.free > 0 {
                    walker.credit -= largest;
                    self.take(walker);
                }
            }
        }
        self.rows
    }

    /// The same turns in the same order: a member has its k-th in round ⌈k · largest / weight⌉.
    fn by_calendar(mut self, walkers: &mut [Walker], largest: u32) -> Vec<u16> {
        let round = |turn: u64, weight: u32| (turn * u64::from(largest)).div_ceil(u64::from(weight));
        let first = |(position, walker): (usize, &Walker)| Reverse((round(1, walker.weight), position, 1));
        let mut calendar: BinaryHeap<_> = walkers.iter().enumerate().map(first).collect();
        while self.free > 0
            && let Some(Reverse((_, position, turn))) = calendar.pop()
        {
            let walker = &mut walkers[position];
            self.take(walker);
            calendar.push(Reverse((round(turn + 1, walker.weight), position, turn + 1)));
        }
        self.rows
    }

    /// Gives a member the first free row of its preference. There must be one.
    #[inline]
    fn take(&mut self, walker: &mut Walker) {
        let mask = self.rows.len() - 1;
        loop {
            let row = walker.row as usize & mask;
            let (word, bit) = (&mut self.taken[row / 64], 1 << (row % 64));
            walker.row = walker.row.wrapping_add(walker.skip);
            if *word & bit == 0 {
                *word |= bit;
                self.rows[row] = walker.member;
                self.free -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_common::net::Address;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn walking(weights: &[u32]) -> (Vec<Walker>, u32, Turns) {
        let address = |last: u32| Address::from(IpAddr::from(Ipv4Addr::from(0x0a00_0000 + last)));
        let member = |(last, &weight)| Member { address: address(last), port: 0, weight };
        let members: Vec<_> = (0..).zip(weights).map(member).collect();
        let turns = Turns { rows: vec![0; 1024], taken: vec![0; 16], free: 1024 };
        (walkers(&members, 1023), weights.iter().copied().max().unwrap_or(0), turns)
    }

    proptest! {
        #[test]
        fn the_calendar_has_the_turns_of_the_rounds(weights in prop::collection::vec(1_u32..65_536, 1..40)) {
            let ((mut some, largest, turns), (mut others, _, same)) = (walking(&weights), walking(&weights));
            prop_assert_eq!(turns.by_rounds(&mut some, largest), same.by_calendar(&mut others, largest));
        }
    }
}
