//! `services[].quic`: how QUIC finds its server.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::config::model::ServerId;
use crate::config::problem::{Place, Problems};
use crate::config::read::{List, Read, Required, Section, expected};
use crate::config::scalar::Integer;
use crate::config::tree::{Node, Value};

/// How QUIC finds its server by connection id (draft-ietf-quic-load-balancers-21, not encrypted).
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Quic {
    /// The configurations that its servers may use; at least one.
    #[schemars(length(min = 1))]
    pub(crate) configs: Required<List<QuicConfig>>,
}

impl Read for Quic {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let quic = Self { configs: section.required("configs") };
        section.close(&[]);
        Some(quic)
    }
}

/// How connection ids of one configuration are made.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct QuicConfig {
    /// What the upper three bits of an id say; unique in the service.
    #[schemars(range(min = 0, max = 6))]
    pub(crate) id: Required<Integer>,
    /// Bytes of a server id; the same in all configurations of a service.
    #[schemars(range(min = 1, max = 15))]
    pub(crate) server_id_length: Required<Integer>,
    /// Bytes behind it that the server makes up; with the server id at most 19.
    #[schemars(range(min = 4, max = 18))]
    pub(crate) nonce_length: Required<Integer>,
}

impl Read for QuicConfig {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let mut section = Section::open(node, place, problems)?;
        let config = Self {
            id: section.required("id"),
            server_id_length: section.required("serverIdLength"),
            nonce_length: section.required("nonceLength"),
        };
        section.close(&[]);
        Some(config)
    }
}

/// A server id as written. `None`: it cannot be read, which is reported; that it is missing is not to be, too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrittenId(pub(crate) Option<ServerId>);

impl Read for WrittenId {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let id = if let Value::Text(text) = &node.value { parse(text) } else { None };
        if id.is_none() {
            // Digits alone are a number in YAML, and `1e5` too.
            expected("1 to 15 bytes in hexadecimal, in quotes", node, place, problems);
        }
        Some(Self(id))
    }
}

fn parse(text: &str) -> Option<ServerId> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    let bytes: Vec<_> = bytes.collect::<Option<_>>().filter(|_| rest.is_empty())?;
    ServerId::new(&bytes)
}

impl JsonSchema for WrittenId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ServerId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9a-fA-F]{2}){1,15}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn server_ids_are_pairs_of_digits() {
        assert_eq!(parse("0aFf").unwrap().bytes(), [0x0a, 0xff]);
        for bad in ["", "0", "0a0", "0x0a", "0g", "+a", " a", "é", &"00".repeat(16)] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
