//! A pool's node table: weighted rendezvous hashing (Schindelhauer, Schomaker: "Weighted Distributed Hash
//! Tables", SPAA 2005) with a cap for each member (after Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing
//! with Bounded Loads", SODA 2018), as a pure function of the members.
//!
//! 1. Members and rows have keys, hashes under a public key. A member's score on a row is `−ln(v) / weight`, v
//!    uniform in (0, 1] from both keys.
//! 2. In the pseudo-random order of their keys, each row takes the member with the smallest score among those
//!    that are below their caps: a sixteenth more than their shares.
//!
//! A change moves little more than it must, and nobody has much more than its share. The cost is a score for each
//! pair of row and member that is below its cap; so scores are mixed from keys, not hashed, and hardly any needs a
//! logarithm.

use super::node::{Member, contenders};
use lb_common::siphash::{Key, siphash13};

const KEY: Key = Key::from_bytes(b"spillway.nodehrw");
/// A cap is so many sixteenths of the share.
const CAP_SIXTEENTHS: u64 = 17;

/// The owner of each row, as a position in `members`, whose order does not matter otherwise. Empty if there are no
/// members. At most 65,536 members.
pub fn table(members: &[Member], rows: u32) -> Vec<u16> {
    let mut rivals = rivals(&contenders(members), rows);
    let mut owners = vec![0; if rivals.is_empty() { 0 } else { rows as usize }];
    for (key, row) in order(rows) {
        let best = best(&rivals, key);
        let Some(rival) = rivals.get_mut(best) else { break };
        owners[row as usize] = rival.position;
        rival.left -= 1;
        if rival.left == 0 {
            rivals.remove(best);
        }
    }
    owners
}

/// A member below its cap.
struct Rival {
    key: u64,
    /// `LEAST / weight`.
    least: f64,
    weight: f64,
    /// Rows until it is full.
    left: u64,
    position: u16,
}

fn rivals(contenders: &[(u16, Member)], rows: u32) -> Vec<Rival> {
    let total = contenders.iter().map(|(_, member)| u64::from(member.weight)).sum();
    let rival = |&(position, member): &(u16, Member)| Rival {
        key: siphash13(KEY, &member.identity()),
        least: LEAST / f64::from(member.weight),
        weight: f64::from(member.weight),
        left: cap(member.weight, total, rows),
        position,
    };
    contenders.iter().map(rival).collect()
}

/// The most rows of a member of this weight, where `total` is the sum of all.
fn cap(weight: u32, total: u64, rows: u32) -> u64 {
    let share = u128::from(weight) * u128::from(rows) * u128::from(CAP_SIXTEENTHS);
    share.div_ceil(u128::from(total) * 16).try_into().unwrap_or(u64::MAX)
}

/// Keys and numbers of the rows as they are served.
fn order(rows: u32) -> Vec<(u64, u32)> {
    let mut order: Vec<_> = (0..rows).map(|row| (siphash13(KEY, &row.to_le_bytes()), row)).collect();
    order.sort_unstable();
    order
}

/// Where in `rivals` the first with the smallest score on a row stands; 0 if there are none.
fn best(rivals: &[Rival], row: u64) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (place, rival) in rivals.iter().enumerate() {
        let hash = mix(rival.key.wrapping_add(row));
        if unlikeliness(hash) * rival.least < best.0 {
            let score = score(hash, rival.weight);
            if score < best.0 {
                best = (score, place);
            }
        }
    }
    best.1
}

/// The finaliser of splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
#[inline]
const fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// 2⁻⁵³.
const STEP: f64 = f64::EPSILON / 2.0;
/// A step, less what arithmetic may round.
const LEAST: f64 = STEP * 0.999_999;

/// Whole steps of 2⁻⁵³ from v to 1. `−ln(v)` is never below `1 − v`, so `LEAST` of them bound a score from below.
#[inline]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "53 bits fit a double, and its sign"
)]
fn unlikeliness(hash: u64) -> f64 {
    // Signed: processors convert those in one instruction.
    (!hash >> 11) as i64 as f64
}

#[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
fn score(hash: u64, weight: f64) -> f64 {
    let unit = ((hash >> 11) as f64 + 0.5) * STEP;
    -libm::log(unit) / weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn members(weights: &[u32]) -> Vec<Member> {
        let address = |last: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + last)).into();
        (0..).zip(weights).map(|(last, &weight)| Member { address: address(last), port: 0, weight }).collect()
    }

    fn every_score(rivals: &[Rival], row: u64) -> usize {
        let scores = rivals.iter().map(|rival| score(mix(rival.key.wrapping_add(row)), rival.weight));
        scores.enumerate().min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(place, _)| place)
    }

    proptest! {
        #[test]
        fn what_is_not_scored_would_not_have_won(weights in prop::collection::vec(1_u32..65_536, 1..40), row: u64) {
            let rivals = rivals(&contenders(&members(&weights)), 1024);
            prop_assert_eq!(best(&rivals, row), every_score(&rivals, row));
        }

        #[test]
        fn no_score_is_below_its_bound(hash: u64, weight in 1_u32..65_536) {
            for hash in [hash, hash | 0xffff_ffff_ffff_0000, u64::MAX << 11, 0] {
                let weight = f64::from(weight);
                prop_assert!(unlikeliness(hash) * (LEAST / weight) <= score(hash, weight));
            }
        }

        #[test]
        fn nobody_has_more_than_its_cap(weights in prop::collection::vec(0_u32..1000, 1..60), log2 in 8_u32..12) {
            let (members, rows) = (members(&weights), 1_u32 << log2);
            let total: u64 = weights.iter().copied().map(u64::from).sum();
            prop_assume!(total > 0);
            let owners = table(&members, rows);
            prop_assert_eq!(owners.len(), rows as usize);
            for (position, member) in (0_u16..).zip(&members) {
                let held = owners.iter().filter(|owner| **owner == position).count() as u64;
                let most = (u64::from(rows) * u64::from(member.weight) * 17).div_ceil(16 * total);
                prop_assert!(held <= most, "{held} rows of {most}");
            }
        }
    }

    /// The first numbers of splitmix64 from seed 0, whose states are multiples of the golden ratio.
    #[test]
    fn the_finaliser_is_that_of_splitmix64() {
        let golden = 0x9e37_79b9_7f4a_7c15_u64;
        assert_eq!(mix(golden), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(golden.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }
}
