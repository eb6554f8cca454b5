//! What crosses to the benchmark's programs and back: plan, progress, arrivals, the order of flows.

use bytemuck::{Pod, Zeroable};

/// Bytes of a frame that the wrapper writes anew before each run: all that a balancer may have changed, and
/// the client's address and port of either family. No frame may be shorter.
pub const TEMPLATE_LENGTH: usize = 62;

/// The first [`TEMPLATE_LENGTH`] bytes of a frame in pieces that no header field crosses: a field that is
/// read across two recent stores would cost the program under test more than it does in real frames.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Template {
    /// Bytes 6 to 61, read natively.
    pub words: [u64; 7],
    /// Bytes 0 to 3, read natively.
    pub head: u32,
    /// Bytes 4 and 5, read natively.
    pub tail: u16,
    /// Zero.
    pub reserved: u16,
}

impl Template {
    /// Of a frame that is long enough.
    pub fn of_frame(frame: &[u8]) -> Option<Self> {
        let (link, rest) = frame.get(..TEMPLATE_LENGTH)?.split_at(6);
        let (head, tail) = link.split_at(4);
        let mut words = [0; 7];
        for (word, bytes) in words.iter_mut().zip(rest.as_chunks().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
        let (head, tail) = (u32::from_ne_bytes(head.try_into().ok()?), tail.try_into().ok()?);
        Some(Self { words, head, tail: u16::from_ne_bytes(tail), reserved: 0 })
    }
}

/// What the wrapper, or the generator, does before each run. One entry, written before a sample.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Plan {
    /// First bytes of every frame.
    pub template: Template,
    /// Bytes of a frame as the program under test must find it.
    pub length: u32,
    /// 4 or 6: where the client's address and port lie.
    pub family: u32,
    /// The number of flows less one; a power of two less one.
    pub flow_mask: u32,
    /// Number of the run, from 0, that is stamped last.
    pub last_run: u32,
    /// Zero.
    pub reserved: [u64; 6],
}

/// What the wrapper, or the generator, has seen. One entry, read after a sample.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Progress {
    /// Runs so far.
    pub runs: u64,
    /// Flows handed out so far; not reset between samples.
    pub position: u64,
    /// Clock at the first run, in nanoseconds.
    pub first: u64,
    /// Clock at the run that the plan names as the last.
    pub last: u64,
    /// How often the frame had another length than the plan's and was set back.
    pub rewinds: u64,
    /// Sum of those differences in bytes.
    pub length_change: i64,
    /// Zero.
    pub reserved: [u64; 2],
}

/// Entry of `arrivals`: frames that came back by the wire.
pub const BACK: u32 = 0;
/// Entry of `arrivals`: frames that were passed to the kernel.
pub const PASSED: u32 = 1;

/// Frames that ended on the wire, per CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Arrivals {
    /// Frames.
    pub frames: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
}

/// The flow at a position: each flow once per round, in scrambled order, for in the order in which they
/// came first, flows look cheaper than they are.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "no more than 2^32 flows are numbered")]
pub const fn flow_at(position: u64, mask: u32) -> u32 {
    (position as u32).wrapping_mul(0x9E37_79B1) & mask
}

const _: () = assert!(size_of::<Plan>() == 128 && size_of::<Progress>() == 64);
const _: () = assert!(size_of::<Arrivals>() == 16);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_template_is_the_frame() {
        let frame: [u8; 70] = core::array::from_fn(|index| u8::try_from(index).unwrap());
        let template = Template::of_frame(&frame).unwrap();
        assert_eq!(template.head.to_ne_bytes(), [0, 1, 2, 3]);
        assert_eq!(template.tail.to_ne_bytes(), [4, 5]);
        assert_eq!(bytemuck::bytes_of(&template.words), &frame[6..62]);
        assert_eq!(Template::of_frame(&frame[..61]), None);
    }

    #[test]
    fn every_flow_comes_once_a_round() {
        let flows: BTreeSet<_> = (0..1 << 16).map(|position| flow_at(position, 0xffff)).collect();
        assert_eq!((flows.len(), flows.last()), (1 << 16, Some(&0xffff)));
    }

    #[test]
    fn one_flow_is_always_the_same() {
        assert_eq!(flow_at(0, 0), flow_at(12_345, 0));
    }
}
