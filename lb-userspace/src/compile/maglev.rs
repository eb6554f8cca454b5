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

use lb_common::net::Address;
use lb_common::siphash::{Key, siphash13};

const KEY: Key = Key::from_bytes(b"spillway.maglev1");
const OFFSET: u8 = 1;
const SKIP: u8 = 2;

/// One contender for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The endpoint's address.
    pub address: Address,
    /// Tunnel port in host order; 0 for IPIP.
    pub port: u16,
    /// Share; 0 takes no rows, unless all members have 0: then all count as 1.
    pub weight: u32,
}

/// The owner of each row, as a position in `members`, whose order does not matter otherwise. `rows` is a
/// power of two, at least 64. Empty if there are no members. At most 65,536 members; weights below 2³¹.
pub fn table(members: &[Member], rows: u32) -> Vec<u16> {
    debug_assert!(rows.is_power_of_two() && rows >= 64, "rows: {rows}");
    let mut walkers = walkers(members, rows - 1);
    let Some(largest) = walkers.iter().map(|walker| walker.weight).max() else { return Vec::new() };
    fill(&mut walkers, largest, rows)
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
    let weightless = members.iter().all(|member| member.weight == 0);
    let mut order: Vec<_> = (0_u16..).zip(members).collect();
    order.sort_by_key(|(_, member)| (member.address.bytes(), member.port));
    let walker = |(position, member): (u16, &Member)| Walker {
        credit: 0,
        weight: if weightless { 1 } else { member.weight },
        row: hash(member, OFFSET) & mask,
        skip: (hash(member, SKIP) & mask) | 1,
        member: position,
    };
    order.into_iter().filter(|(_, member)| weightless || member.weight > 0).map(walker).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the hash modulo a power of two is its low bits")]
fn hash(member: &Member, purpose: u8) -> u32 {
    let mut message = [0; 19];
    message[..16].copy_from_slice(&member.address.bytes());
    message[16..18].copy_from_slice(&member.port.to_be_bytes());
    message[18] = purpose;
    siphash13(KEY, &message) as u32
}

fn fill(walkers: &mut [Walker], largest: u32, rows: u32) -> Vec<u16> {
    let mut owners = vec![0; rows as usize];
    let mut taken = vec![0_u64; rows as usize / 64];
    let mut free = rows;
    while free > 0 {
        for walker in &mut *walkers {
            walker.credit += walker.weight;
            if walker.credit < largest {
                continue;
            }
            walker.credit -= largest;
            owners[walker.take(&mut taken, rows - 1)] = walker.member;
            free -= 1;
            if free == 0 {
                break;
            }
        }
    }
    owners
}

impl Walker {
    /// The first free row from here on, now taken. There must be one.
    #[inline]
    fn take(&mut self, taken: &mut [u64], mask: u32) -> usize {
        loop {
            let (word, bit) = ((self.row / 64) as usize, 1 << (self.row % 64));
            let row = self.row as usize;
            self.row = (self.row + self.skip) & mask;
            if taken[word] & bit == 0 {
                taken[word] |= bit;
                return row;
            }
        }
    }
}
