use bytemuck::{Pod, Zeroable};

/// Slots of `sampled_flows`, a power of two.
pub const SAMPLED_FLOWS: u32 = 1 << 16;
/// Buckets of a histogram of handshake times.
pub const HANDSHAKE_BUCKETS: usize = 16;

/// A flow that is followed, in the slot that its key names. One that finds its slot in use is not followed. 32 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct SampledFlow {
    /// Of its service and 5-tuple; 0: the slot is free.
    pub key: u64,
    /// When its first packet was seen, in nanoseconds of the kernel's monotonic clock.
    pub begun: u64,
    /// When its last one was, or the last that counted it as active.
    pub seen: u64,
    /// Index of the backend that its first packet went to.
    pub backend: u16,
    /// Any of [`SampledFlow::OPENING`] and [`SampledFlow::RETRIED`].
    pub state: u16,
    /// Zero.
    pub padding: u32,
}

impl SampledFlow {
    /// Its SYN went to the backend, and nothing that says that the SYN was answered has come.
    pub const OPENING: u16 = 1;
    /// Its SYN came again.
    pub const RETRIED: u16 = 2;
}

/// What the sampled flows of a backend came to, since the maps were made. CPUs that count at once may lose each other's
/// count: it is a sample anyway. 192 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Evidence {
    /// Flows that began: SYNs that are no retransmissions, as far as their flows are followed; of UDP, flows that were not yet.
    pub begun: u64,
    /// Handshakes that completed: the client acknowledged the backend's SYN-ACK to its first SYN.
    pub completed: u64,
    /// Handshakes whose SYN came again before that: neither it nor the answer may have got through.
    pub retried: u64,
    /// Those of them that completed in the end.
    pub recovered: u64,
    /// Handshakes that the client gave up with an RST.
    pub abandoned: u64,
    /// RSTs of clients after the handshake.
    pub resets: u64,
    /// How often a flow was found active: once in each of its [`Evidence::INTERVAL`]s that has a packet.
    pub active: u64,
    /// Handshakes retried since the last one that completed without: one that is answered late does not end the row.
    pub in_a_row: u64,
    /// Times from the SYN to the client's first acknowledgement, by [`Evidence::bucket`]; retried ones too.
    pub times: [u64; HANDSHAKE_BUCKETS],
}

impl Evidence {
    /// log2 of nanoseconds in which a flow counts as active once: 8.6 s.
    pub const INTERVAL: u32 = 33;

    /// The bucket of a time in microseconds: number 0 is below 256, each further one up to twice as much, and the last has
    /// all from 4.2 s on.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it is below 16")]
    pub const fn bucket(micros: u64) -> usize {
        // The sign of a difference instead of a comparison: a way that does not branch, of which the verifier walks one.
        let micros = if micros > 1 << 32 { 1 << 32 } else { micros };
        let (mut bucket, mut bound) = (0, 256u64);
        while bound < 256 << (HANDSHAKE_BUCKETS - 1) {
            bucket += (bound - 1).wrapping_sub(micros) >> 63;
            bound <<= 1;
        }
        (bucket & (HANDSHAKE_BUCKETS as u64 - 1)) as usize
    }

    /// Where a bucket ends, in microseconds; the last one nowhere.
    pub const fn bound(bucket: usize) -> Option<u64> {
        if bucket + 1 < HANDSHAKE_BUCKETS { Some(256 << bucket) } else { None }
    }
}

const _: () = assert!(size_of::<SampledFlow>() == 32 && size_of::<Evidence>() == 64 + 8 * HANDSHAKE_BUCKETS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_buckets_whose_bounds_hold_them() {
        for (micros, bucket) in
            [(0, 0), (255, 0), (256, 1), (511, 1), (512, 2), (4_194_303, 14), (4_194_304, 15), (u64::MAX, 15)]
        {
            assert_eq!(Evidence::bucket(micros), bucket, "{micros}");
            assert!(Evidence::bound(bucket).is_none_or(|bound| micros < bound));
            assert!(bucket == 0 || Evidence::bound(bucket - 1).is_some_and(|bound| micros >= bound));
        }
    }
}
