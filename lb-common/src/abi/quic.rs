use bytemuck::{Pod, Zeroable};

/// Configurations that a connection id can name. Three bits, but for the value 7: that one says that no server can
/// be told from the id (draft-ietf-quic-load-balancers-21, "Configuration Failover").
pub const QUIC_CONFIGS: u32 = 7;
/// Bytes of the longest server id. One length of a service is four bits.
pub const MAX_SERVER_ID: usize = 15;

/// Bytes of a server id, by configuration: four bits each; 0: there is no such configuration.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct QuicLengths(u32);

impl QuicLengths {
    /// The same, with a configuration (0 to 6) whose server ids have `length` bytes (1 to 15).
    #[must_use]
    pub const fn with(self, config: u8, length: u8) -> Self {
        Self(self.0 | ((length & 15) as u32) << (4 * (config & 7)))
    }

    /// Bytes of a server id under a configuration; 0: there is none.
    #[inline(always)]
    pub const fn of(self, config: u32) -> u32 {
        self.0 >> (4 * (config & 7)) & 15
    }
}

/// A server id of a service: the key of `quic_servers`. 24 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct QuicKey {
    /// Index of the service.
    pub service: u32,
    /// The configuration's number in the lowest byte, the server id's length in the next.
    shape: u32,
    /// The server id's bytes from the lowest of the first word on, zeros behind.
    server: [u64; 2],
}

impl QuicKey {
    /// Of a server id of 1 to 15 bytes; what is longer is cut.
    pub fn new(service: u32, config: u8, server_id: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let length = server_id.len().min(MAX_SERVER_ID);
        bytes.iter_mut().zip(server_id).take(length).for_each(|(place, byte)| *place = *byte);
        let number = u128::from_le_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "one half each; at most 15")]
        let (server, length) = ([number as u64, (number >> 64) as u64], length as u32);
        Self { service, shape: u32::from(config) | length << 8, server }
    }

    /// What a connection id says that begins with these sixteen bytes, read natively: configuration (the upper
    /// three bits of the first byte) and server id behind that byte, not encrypted
    /// (draft-ietf-quic-load-balancers-21, "Config Rotation" and "CID format"). `None`: the service has no such
    /// configuration.
    #[inline(always)]
    pub const fn of(service: u32, lengths: QuicLengths, id: [u64; 2]) -> Option<Self> {
        let [low, high] = [u64::from_le(id[0]), u64::from_le(id[1])];
        let config = (low >> 5 & 7) as u32;
        let length = lengths.of(config);
        if length == 0 {
            return None;
        }
        // Bits of the server id that lie in the second word, and in the first: shifts below 64.
        let mask = if length < 8 { [ones(8 * length), 0] } else { [u64::MAX, ones(8 * (length - 8))] };
        let server = [(low >> 8 | high << 56) & mask[0], high >> 8 & mask[1]];
        Some(Self { service, shape: config | length << 8, server })
    }

    /// Number of the configuration.
    pub const fn config(&self) -> u8 {
        self.shape.to_le_bytes()[0]
    }

    /// The server id, with zeros behind, and its length in bytes.
    pub const fn server_id(&self) -> ([u8; 16], usize) {
        let number = self.server[0] as u128 | (self.server[1] as u128) << 64;
        (number.to_le_bytes(), self.shape.to_le_bytes()[1] as usize)
    }
}

/// So many of the lower bits, below 64.
#[inline(always)]
const fn ones(bits: u32) -> u64 {
    (1 << (bits & 63)) - 1
}

/// Who has a server id. 8 bytes.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct QuicServer {
    /// Index of the backend.
    pub backend: u32,
    /// Bytes that a connection id of this configuration has at least.
    pub shortest: u32,
}

const _: () = assert!(size_of::<QuicKey>() == 24 && size_of::<QuicServer>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(lengths: QuicLengths, id: &[u8]) -> Option<QuicKey> {
        let mut bytes = [0xee; 16];
        bytes[..id.len()].copy_from_slice(id);
        QuicKey::of(7, lengths, bytemuck::cast(bytes))
    }

    /// The first row of the draft's appendix B.1. The second is misprinted there (nine digits of a nonce, and a
    /// connection id in which the first byte lacks one): its server id and nonce, encoded by the draft's own rules.
    #[test]
    fn the_drafts_vectors() {
        let first = [0x07, 0xc4, 0x60, 0x5e, 0x45, 0x04, 0xcc, 0x4f];
        let lengths = QuicLengths::default().with(0, 3).with(1, 5);
        assert_eq!(key(lengths, &first), Some(QuicKey::new(7, 0, &[0xc4, 0x60, 0x5e])));
        let second = [0x2a, 0x35, 0x0d, 0x28, 0xb4, 0x20, 0x34, 0x87, 0xd9, 0x70, 0x0b];
        assert_eq!(key(lengths, &second), Some(QuicKey::new(7, 1, &[0x35, 0x0d, 0x28, 0xb4, 0x20])));
    }

    #[test]
    fn every_length_takes_so_many_bytes_and_no_more() {
        let id: [u8; 16] = core::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        for length in 1..=15 {
            let found = key(QuicLengths::default().with(2, length), &id).unwrap();
            assert_eq!(found, QuicKey::new(7, 2, &id[1..=usize::from(length)]), "{length}");
            let (bytes, said) = found.server_id();
            assert_eq!((&bytes[..said], found.config()), (&id[1..=usize::from(length)], 2), "{length}");
        }
    }

    #[test]
    fn only_configurations_that_are_there_are_read() {
        let all = (0..7).fold(QuicLengths::default(), |lengths, config| lengths.with(config, 1));
        for config in 0..7 {
            assert!(key(all, &[config << 5, 1]).is_some(), "{config}");
            let others = (0..7).filter(|other| *other != config);
            let others = others.fold(QuicLengths::default(), |lengths, other| lengths.with(other, 15));
            assert_eq!(key(others, &[config << 5, 1]), None, "{config}");
        }
        assert_eq!(key(all, &[7 << 5, 1]), None, "not routable, by the draft");
    }

    #[test]
    fn a_length_is_part_of_the_key() {
        assert_ne!(QuicKey::new(7, 0, &[1]), QuicKey::new(7, 0, &[1, 0]));
    }
}
