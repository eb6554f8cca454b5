//! Echo requests and their replies as bytes; pure.

use lb_common::checksum;

/// Type of a request and of its reply, of either version.
const V4: [u8; 2] = [8, 0];
const V6: [u8; 2] = [128, 129];
/// Bytes of a message: type, code, checksum, identifier, sequence number, and the token.
const LENGTH: usize = 16;

/// One exchange, told apart from all others by its token: the identifier and the sequence number are of it, and the data
/// is it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    /// `ICMPv6`.
    pub(super) v6: bool,
    /// Another for each exchange.
    pub(super) token: u64,
}

impl Echo {
    /// The request. The kernel sums `ICMPv6`, and finds ICMP summed.
    pub(super) fn request(&self) -> [u8; LENGTH] {
        let [request, _] = if self.v6 { V6 } else { V4 };
        let mut message = self.message(request);
        let words = message.chunks_exact(2).map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])));
        let [high, low] = checksum::finish(words.sum()).to_be_bytes();
        (message[2], message[3]) = (high, low);
        message
    }

    fn message(&self, kind: u8) -> [u8; LENGTH] {
        let mut message = [0; LENGTH];
        message[0] = kind;
        let token = self.token.to_be_bytes();
        message[4..8].copy_from_slice(&token[..4]);
        message[8..].copy_from_slice(&token);
        message
    }

    /// Whether a message, of whatever identifier, is the reply.
    pub(super) fn is_answered_by(&self, message: &[u8]) -> bool {
        let [_, reply] = if self.v6 { V6 } else { V4 };
        let expected = self.message(reply);
        message.len() == LENGTH && message[..2] == expected[..2] && message[6..] == expected[6..]
    }

    /// Whether what a raw socket received is the reply: a message, of ICMP behind the IP header.
    pub(super) fn is_answered_by_raw(&self, packet: &[u8]) -> bool {
        let header = if self.v6 { 0 } else { packet.first().map_or(0, |first| usize::from(first & 15) * 4) };
        let Some(message) = packet.get(header..) else { return false };
        self.is_answered_by(message) && message[4..6] == self.message(0)[4..6]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(echo: &Echo) -> Vec<u8> {
        let mut message = echo.request().to_vec();
        message[0] = if echo.v6 { 129 } else { 0 };
        message
    }

    fn raw(echo: &Echo, words: u8) -> Vec<u8> {
        if echo.v6 {
            return reply(echo);
        }
        let mut packet = vec![0; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet.extend(reply(echo));
        packet
    }

    #[test]
    fn a_request_of_known_bytes() {
        let echo = Echo { v6: false, token: 0x0102_0304_0506_0708 };
        let expected = [8, 0, 0xe3, 0xe5, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(echo.request(), expected);
    }

    proptest! {
        #[test]
        fn a_request_sums_to_nothing(v6: bool, token: u64) {
            let request = Echo { v6, token }.request();
            let sum = request.chunks_exact(2).map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
            prop_assert_eq!(checksum::finish(sum), 0);
        }

        #[test]
        fn its_reply_answers(v6: bool, token: u64, words in 5u8..=15) {
            let echo = Echo { v6, token };
            prop_assert!(echo.is_answered_by(&reply(&echo)) && echo.is_answered_by_raw(&raw(&echo, words)));
            prop_assert!(!echo.is_answered_by(&echo.request()), "the request itself");
        }

        #[test]
        fn another_exchanges_does_not(v6: bool, token: u64, other: u64, words in 5u8..=15) {
            prop_assume!(token != other);
            let (echo, other) = (Echo { v6, token }, Echo { v6, token: other });
            prop_assert!(!echo.is_answered_by(&reply(&other)) && !echo.is_answered_by_raw(&raw(&other, words)));
        }

        #[test]
        fn a_changed_byte_is_no_reply(v6: bool, token: u64, at in 0usize..LENGTH, by in 1u8..) {
            // The kernel has looked at the checksum.
            prop_assume!(at != 2 && at != 3);
            let echo = Echo { v6, token };
            let mut packet = raw(&echo, 5);
            let start = packet.len() - LENGTH;
            packet[start + at] ^= by;
            prop_assert!(!echo.is_answered_by_raw(&packet));
        }

        #[test]
        fn no_bytes_are_too_much(v6: bool, token: u64, bytes: Vec<u8>) {
            let echo = Echo { v6, token };
            prop_assert!(!echo.is_answered_by(&bytes) && !echo.is_answered_by_raw(&bytes));
        }
    }
}
