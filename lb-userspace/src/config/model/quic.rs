use std::fmt;

use lb_common::abi::MAX_SERVER_ID;

/// How a service's QUIC connection ids are read (draft-ietf-quic-load-balancers-21, not encrypted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuicConfig {
    /// What the upper three bits of an id say, 0..=6.
    pub id: u8,
    /// Bytes of a server id, 1..=15.
    pub server_id_length: u8,
    /// Bytes that the server makes up, 4..=18; with the server id at most 19.
    pub nonce_length: u8,
}

impl QuicConfig {
    /// Bytes of a connection id, the first included.
    pub fn connection_id_length(&self) -> u32 {
        1 + u32::from(self.server_id_length) + u32::from(self.nonce_length)
    }
}

/// What a server's connection ids say of it: 1 to 15 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId {
    bytes: [u8; MAX_SERVER_ID],
    length: u8,
}

impl ServerId {
    /// Of these bytes; `None`: too few or too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self { bytes: [0; MAX_SERVER_ID], length: u8::try_from(bytes.len()).ok()? };
        id.bytes.get_mut(..bytes.len()).filter(|place| !place.is_empty())?.copy_from_slice(bytes);
        Some(id)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_has_1_to_15_bytes() {
        assert_eq!(ServerId::new(&[]), None);
        assert_eq!(ServerId::new(&[0; 16]), None);
        assert_eq!(ServerId::new(&[0xab; 15]).unwrap().bytes(), [0xab; 15]);
        assert_eq!(ServerId::new(&[0, 0x0a]).unwrap().to_string(), "000a");
    }
}
