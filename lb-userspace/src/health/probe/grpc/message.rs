//! The two messages of `grpc.health.v1`, and what gRPC puts before each; pure.
//!
//! ```text
//! HealthCheckRequest  { string service = 1; }
//! HealthCheckResponse { ServingStatus status = 1; }
//! ```

/// The bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What a node says of a service (`grpc.health.v1.HealthCheckResponse.ServingStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving(pub u64);

impl Serving {
    /// It takes calls.
    pub(super) const SERVING: Self = Self(1);
    /// The names, from 0.
    const NAMES: [&'static str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
}

impl std::fmt::Display for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match usize::try_from(self.0).ok().and_then(|at| Self::NAMES.get(at)) {
            Some(name) => f.write_str(name),
            None => write!(f, "serving status {}", self.0),
        }
    }
}

/// The request about a service, with its prefix.
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    // What is empty is left out, as protobuf's writers do.
    if !service.is_empty() {
        message.push(1 << 3 | LENGTH_DELIMITED);
        write_varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), &message].concat()
}

/// What an answer of one message says. `None`: it is none.
pub(super) fn answer(bytes: &[u8]) -> Option<Serving> {
    let (prefix, message) = bytes.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    let is_whole = prefix.first() == Some(&0) && usize::try_from(length) == Ok(message.len());
    is_whole.then(|| status(message))?
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH_DELIMITED: u8 = 2;
const FIXED32: u8 = 5;

/// Field 1; 0 if it is left out. Fields that are not known are passed over, and the last of several counts.
fn status(mut message: &[u8]) -> Option<Serving> {
    let mut status = 0;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let kind = u8::try_from(key & 7).ok()?;
        let skipped = match kind {
            VARINT => {
                let value = read_varint(&mut message)?;
                if key >> 3 == 1 {
                    status = value;
                }
                0
            }
            FIXED64 => 8,
            LENGTH_DELIMITED => usize::try_from(read_varint(&mut message)?).ok()?,
            FIXED32 => 4,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(Serving(status))
}

/// Seven bits a byte, the lowest first; all but the last have the highest bit set.
fn write_varint(mut value: u64, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).unwrap_or_default());
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("short");
        [&[0], length.to_be_bytes().as_slice(), message].concat()
    }

    #[test]
    fn known_bytes() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        assert_eq!(answer(&[0, 0, 0, 0, 2, 8, 1]), Some(Serving::SERVING));
        assert_eq!(answer(&[0, 0, 0, 0, 0]), Some(Serving(0)));
        assert_eq!(answer(&framed(&[8, 1, 8, 2])), Some(Serving(2)), "the last counts");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let compressed = [1, 0, 0, 0, 2, 8, 1];
        let long = [0, 0, 0, 0, 1, 8, 1];
        let short = [0, 0, 0, 0, 3, 8, 1];
        for bad in [&compressed[..], &long, &short, &[], &[0, 0, 0, 0]] {
            assert_eq!(answer(bad), None, "{bad:?}");
        }
        for bad in [&[8][..], &[0x0a, 5, 1], &[9, 1, 2], &[11], &[0x80; 11]] {
            assert_eq!(answer(&framed(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn statuses_have_names() {
        let names = [0, 1, 2, 3, 9].map(|status| Serving(status).to_string());
        assert_eq!(names, ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN", "serving status 9"]);
    }

    proptest! {
        #[test]
        fn varints_are_read_as_written(value: u64, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            prop_assert!(bytes.len() <= 10);
            bytes.extend(&rest);
            let mut left = bytes.as_slice();
            prop_assert_eq!(read_varint(&mut left), Some(value));
            prop_assert_eq!(left, rest);
        }

        #[test]
        fn a_question_names_its_service(service in ".{1,300}") {
            let bytes = question(&service);
            prop_assert_eq!(answer(&bytes), Some(Serving(0)), "a whole message, without a field that an answer has");
            prop_assert!(bytes.ends_with(service.as_bytes()));
        }

        #[test]
        fn other_fields_are_passed_over(status in 0u64..1 << 40, number in 2u64..1000, other: Vec<u8>) {
            let mut message = Vec::new();
            write_varint(number << 3 | u64::from(LENGTH_DELIMITED), &mut message);
            write_varint(other.len() as u64, &mut message);
            message.extend(&other);
            message.push(8);
            write_varint(status, &mut message);
            write_varint(number << 3 | u64::from(FIXED32), &mut message);
            message.extend([1, 2, 3, 4]);
            prop_assert_eq!(answer(&framed(&message)), Some(Serving(status)));
        }

        #[test]
        fn no_bytes_are_too_much(bytes: Vec<u8>) {
            let _ = (answer(&bytes), answer(&framed(&bytes)));
        }
    }
}
