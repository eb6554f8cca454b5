//! What a node does with a frame it sends: where it accepts a connection to a VIP, the client is to send segments that
//! fit the tunnel.
//!
//! The largest segment size (RFC 9293, section 3.7.1) that counts stands in the answer to a SYN, which no gateway sees:
//! it goes from the node straight to the client. What the node's kernel says there is what its own link takes, without
//! outer headers. Where a pod's own address is taken for a VIP ([`leave`](crate::leave)), its clients' segments are a little
//! shorter.

use crate::frame::{Frame, SliceFrame};
use crate::leave::{FLAGS, Sender, TCP_LENGTH, segment};
use crate::parse::{ETHERNET_LENGTH, Network, VLAN_LENGTH};
use crate::wire::{TcpChecksum, TcpOption, TcpState};
use lb_common::checksum;
use lb_common::net::{Family, NetworkU16};

/// Where [`TcpChecksum`] lies in it, and the checksum itself.
const TAIL: usize = size_of::<TcpState>();
const CHECKSUM: usize = TAIL + 2;
/// Those of [`FLAGS`] that an answer to a SYN has.
const ANSWER: u16 = 0b1_0010;
/// Kinds of options (RFC 9293, section 3.2).
const END: u8 = 0;
const NOTHING: u8 = 1;
const LARGEST_SEGMENT: u8 = 2;
/// No header of TCP ends behind this offset: link header and tags, and two headers of sixty bytes.
const _: () = assert!(ETHERNET_LENGTH + 2 * VLAN_LENGTH + 2 * 60 < 0x100);
/// All options have forty bytes: none is as long as this, and one of four bytes begins at one of so many places.
const TOO_LONG: u8 = 41;
const PLACES: usize = 37;

/// What may be looked up and counted.
pub trait Limits: Sender {
    /// The longest segments that fit the tunnels, in bytes; 0: no limit.
    fn limit(&self, family: Family) -> u16;

    /// An answer says less than it did.
    fn count_clamped(&self);
}

/// A frame on its way out. Its checksum may not be finished: then it holds the sum of the pseudo header alone, what sends
/// it adds the rest, and a change of the rest must not be added twice. Only who holds the frame knows.
pub trait Outgoing: Frame {
    /// Makes a change. `None` if the frame cannot be written; it is unchanged then.
    fn make(&mut self, change: &Change) -> Option<()>;
}

/// Two bytes of a TCP segment become others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Their offset in the frame.
    pub offset: usize,
    /// What they become.
    pub value: NetworkU16,
    /// Offset of the segment's checksum.
    pub checksum: usize,
    /// What they were, as the checksum counts them, native reading: swapped where their offset in the segment is odd,
    /// so that they are halves of two words (RFC 1071, section 2).
    pub from: u16,
    /// What they become, as it counts them.
    pub to: u16,
}

/// A frame's way out. It changes only if it accepts a connection to a VIP and asks for longer segments than fit.
#[inline(always)]
pub fn process<F: Outgoing, L: Limits>(frame: &mut F, network: &Network, limits: &L) {
    if let Some(change) = change(frame, network, limits)
        && frame.make(&change).is_some()
    {
        limits.count_clamped();
    }
}

#[inline(always)]
fn change<F: Frame, L: Limits>(frame: &F, network: &Network, limits: &L) -> Option<Change> {
    let (segment, end) = answer(frame, network)?;
    let limit = limits.limit(network.family);
    if limit == 0 || limits.is_own(&network.source) {
        return None;
    }
    // Few frames come here, and by many ways: with and without tags, over either family.
    let word = limits.forgotten(segment as u64 | (end as u64) << 8);
    let (segment, end) = ((word & 0xff) as usize, (word >> 8 & 0xff) as usize);
    let (at, asked) = largest_segment(frame, segment + TCP_LENGTH, end)?;
    if asked.get() <= limit {
        return None;
    }
    let value = NetworkU16::new(limit);
    let counted = |value: NetworkU16| {
        if (at - segment) & 1 == 0 { value.wire() } else { value.wire().swap_bytes() }
    };
    let (checksum, from, to) = (segment + CHECKSUM, counted(asked), counted(value));
    Some(Change { offset: at + 2, value, checksum, from, to })
}

/// Where the TCP header of an answer to a SYN begins and ends.
#[inline(always)]
fn answer<F: Frame>(frame: &F, network: &Network) -> Option<(usize, usize)> {
    let (start, state) = segment(frame, network)?;
    let offset_flags = state.offset_flags.get();
    let end = start + usize::from(offset_flags >> 12) * 4;
    let answer = offset_flags & FLAGS == ANSWER && end <= network.end() && frame.holds(network.end());
    answer.then_some((start, end))
}

/// Offset and value of the first option between `start` and `end` that says how long segments may be.
///
/// Every place is visited, and looked at where an option has said that the next begins. Bits say where, the lowest for
/// this place, and whether the header has ended is asked of what was found: so the verifier knows each place, and none of
/// the sums of lengths that may lead there. A loop over a range would have two ways back, of which the compiler makes two
/// loops.
#[inline(always)]
fn largest_segment<F: Frame>(frame: &F, start: usize, end: usize) -> Option<(usize, NetworkU16)> {
    let (mut begins, mut place) = (1_u64, 0);
    while place < PLACES {
        if begins & 1 == 1 {
            let option = *frame.header::<TcpOption>(start + place)?;
            let length = match (option.kind, option.length) {
                (NOTHING, _) => 1,
                (LARGEST_SEGMENT, 4) => {
                    let found = start + place;
                    return (found + size_of::<TcpOption>() <= end).then_some((found, option.value));
                }
                (END | LARGEST_SEGMENT, _) | (_, 0 | 1 | TOO_LONG..) => return None,
                (_, length) => length,
            };
            begins |= 1 << length;
        }
        begins >>= 1;
        place += 1;
    }
    None
}

/// In ordinary memory checksums are finished.
impl Outgoing for SliceFrame<'_> {
    fn make(&mut self, change: &Change) -> Option<()> {
        let tail = self.header_mut::<TcpChecksum>(change.checksum.checked_sub(2)?)?;
        tail.checksum = checksum::replace(tail.checksum, change.from, change.to);
        self.header_mut::<TcpOption>(change.offset.checked_sub(2)?)?.value = change.value;
        Some(())
    }
}

#[cfg(test)]
mod tests;
