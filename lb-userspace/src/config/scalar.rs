//! The words of the file: integers, sizes, durations, addresses, and choices among words.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::model::Prefix;
use super::problem::{Place, Problems, closest, quoted};
use super::read::{Read, expected, not_supported};
use super::tree::{Node, Value};

impl Read for String {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) => return Some(text.clone()),
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
                let reason = format!("expected text, found {}", node.value.describe());
                problems.add(place, reason, "put it in quotes");
            }
            _ => expected("text", node, place, problems),
        }
        None
    }
}

impl Read for bool {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        expected("`true` or `false`", node, place, problems);
        None
    }
}

/// An integer of any size; the bounds are the validation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Integer(pub(crate) i128);

impl Read for Integer {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(value) = node.value {
            return Some(Self(value));
        }
        let what = match node.value {
            Value::Text(_) => "an integer (no quotes, no `_`, no leading zero)",
            _ => "an integer",
        };
        expected(what, node, place, problems);
        None
    }
}

/// `value` as a narrower type; reports one that is too large or negative.
pub(crate) fn narrow<T: TryFrom<i128>>(
    value: i128,
    mend: &str,
    place: &Place,
    problems: &mut Problems,
) -> Option<T> {
    let narrow = T::try_from(value).ok();
    if narrow.is_none() {
        problems.add(place, format!("{value} is out of range"), mend);
    }
    narrow
}

/// Reads text through `parse`; `what` (with an article) says what it should have been.
fn parsed<T>(
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
    node: &Node,
    place: &Place,
    problems: &mut Problems,
) -> Option<T> {
    let value = if let Value::Text(text) = &node.value { parse(text) } else { None };
    if value.is_none() {
        expected(what, node, place, problems);
    }
    value
}

impl Read for IpAddr {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        parsed("an IPv4 or IPv6 address", |text| text.parse().ok(), node, place, problems)
    }
}

impl Read for Ipv4Addr {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        parsed("an IPv4 address", |text| text.parse().ok(), node, place, problems)
    }
}

impl Read for Ipv6Addr {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        parsed("an IPv6 address in quotes", |text| text.parse().ok(), node, place, problems)
    }
}

impl Read for Prefix {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        parsed("a prefix such as `192.0.2.0/24`, or an address", Self::parse, node, place, problems)
    }
}

/// A count: a plain integer, or one with `Ki` (1,024), `Mi` (1,048,576) or `Gi` (1,073,741,824).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u32);

impl Read for Size {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(value) = node.value {
            return narrow(value, "use 0 to 4294967295", place, problems).map(Self);
        }
        parsed("a size such as `65536`, `64Ki` or `16Mi` (below 4Gi)", parse_size, node, place, problems)
    }
}

fn parse_size(text: &str) -> Option<Size> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match &text[digits.len()..] {
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        _ => return None,
    };
    decimal(digits)?.checked_mul(1 << shift)?.try_into().ok().map(Size)
}

/// A span of time: an integer with `ms`, `s`, `m` or `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    /// As it can be written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.subsec_millis(), self.0.as_secs()) {
            (0, seconds) if seconds > 0 && seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            (0, seconds) => write!(f, "{seconds}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl Read for Time {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(value) = node.value {
            problems.add(place, format!("{value} has no unit"), format!("write `{value}s` or `{value}ms`"));
            return None;
        }
        parsed("a duration such as `250ms`, `10s`, `5m` or `1h`", parse_time, node, place, problems)
    }
}

/// A duration as the file has it.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    decimal(digits)?.checked_mul(unit).map(|ms| Time(Duration::from_millis(ms)))
}

/// Digits alone: no sign, no space.
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A MAC: six pairs of hexadecimal digits, with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Read for Mac {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        parsed("a MAC such as `02:00:00:00:00:01`", parse_mac, node, place, problems)
    }
}

fn parse_mac(text: &str) -> Option<Mac> {
    let byte = |pair: &str| {
        let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_pair.then(|| u8::from_str_radix(pair, 16).ok())?
    };
    let bytes: Vec<u8> = text.split(':').map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok().map(Mac)
}

/// Ports: `443`, or `8000-8999`. The bounds are the validation's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// A single one.
    One(Integer),
    /// From the first to the last.
    Range(u64, u64),
}

impl Read for Ports {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(value) = node.value {
            return Some(Self::One(Integer(value)));
        }
        parsed("a port or a range such as `8000-8999`", parse_ports, node, place, problems)
    }
}

impl fmt::Display for Ports {
    /// As it can be written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(Integer(port)) => write!(f, "{port}"),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

fn parse_ports(text: &str) -> Option<Ports> {
    let (first, last) = text.split_once('-')?;
    Some(Ports::Range(decimal(first)?, decimal(last)?))
}

/// HTTP statuses: `200`, or `200-399`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) RangeInclusive<u16>);

impl Read for Statuses {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        if let Value::Integer(value) = node.value {
            return narrow(value, "use statuses from 100 to 599", place, problems).map(|one| Self(one..=one));
        }
        parsed("a status or a range such as `200-399`", parse_statuses, node, place, problems)
    }
}

fn parse_statuses(text: &str) -> Option<Statuses> {
    let (low, high) = text.split_once('-')?;
    let bound = |digits| decimal(digits)?.try_into().ok();
    Some(Statuses(bound(low)?..=bound(high)?))
}

/// A type whose values are words in the file.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// The words and their values.
    const KNOWN: &'static [(&'static str, Self)];
    /// Words that are specified but that this version refuses.
    const LATER: &'static [&'static str] = &[];

    /// The word of this value; empty if it has none.
    fn word(self) -> &'static str {
        Self::KNOWN.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// One of the words of `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice<T>(pub(crate) T);

impl<T: Word> Read for Choice<T> {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        let Value::Text(text) = &node.value else {
            expected(&words::<T>(), node, place, problems);
            return None;
        };
        let known = T::KNOWN.iter().find(|(word, _)| word == text);
        if known.is_none() {
            let (reason, mend) = mend_word::<T>(text);
            problems.add(place, reason, mend);
        }
        known.map(|&(_, value)| Self(value))
    }
}

/// Reason and mend for a word that is none of `T`'s.
fn mend_word<T: Word>(text: &str) -> (String, String) {
    if T::LATER.contains(&text) {
        return (not_supported(text), format!("use {}", words::<T>()));
    }
    let reason = format!("{} is not {}", quoted(text), words::<T>());
    match closest(text, T::KNOWN.iter().map(|&(word, _)| word)) {
        Some(word) => (reason, format!("did you mean `{word}`?")),
        None => (reason, format!("use {}", words::<T>())),
    }
}

/// "`a`", "`a` or `b`", "`a`, `b` or `c`".
fn words<T: Word>() -> String {
    let words: Vec<_> = T::KNOWN.iter().map(|(word, _)| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

impl<T: Word> JsonSchema for Choice<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Choice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": T::KNOWN.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
    }
}

/// The schema of a type written as an integer or as text of a pattern.
macro_rules! pattern_schema {
    ($type:ident, $($schema:tt)+) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}

pattern_schema!(Integer, {"type": "integer"});
pattern_schema!(Size, {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]+[KMG]i$"});
pattern_schema!(Time, {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"});
pattern_schema!(Mac, {"type": "string", "pattern": "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"});
pattern_schema!(Prefix, {"type": "string", "pattern": "^[0-9a-fA-F:.]+(/[0-9]+)?$"});
pattern_schema!(Ports, {
    "type": ["integer", "string"], "minimum": 0, "maximum": 65535, "pattern": "^[0-9]+-[0-9]+$",
});
pattern_schema!(Statuses, {"type": ["integer", "string"], "pattern": "^[0-9]+-[0-9]+$"});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_or_none() {
        assert_eq!(parse_size("64Ki"), Some(Size(65_536)));
        assert_eq!(parse_size("16Mi"), Some(Size(16 << 20)));
        for bad in ["", "Ki", "4Gi", "64", "64K", "64KiB", "-1Ki", "1.5Ki", "99999999999999999999Ki", "6 4Ki"]
        {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_time("250ms"), Some(Time(Duration::from_millis(250))));
        assert_eq!(parse_time("5m"), Some(Time(Duration::from_mins(5))));
        assert_eq!(parse_time("1h"), Some(Time(Duration::from_hours(1))));
        for bad in ["", "s", "10", "1.5s", "-1s", "+1s", "10 s", "1d", "18446744073709551615h"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn macs_are_six_pairs() {
        assert_eq!(parse_mac("02:53:50:4C:57:0a"), Some(Mac([2, 0x53, 0x50, 0x4c, 0x57, 10])));
        for bad in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "02-00-00-00-00-01",
            "+2:00:00:00:00:01",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ports_are_a_range() {
        assert_eq!(parse_ports("8000-8999"), Some(Ports::Range(8000, 8999)));
        for bad in ["", "-", "8000-", "-8999", "443", "8000 - 8999", "8000-8999-9000", "http-https"] {
            assert_eq!(parse_ports(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn statuses_are_a_range() {
        assert_eq!(parse_statuses("200-399"), Some(Statuses(200..=399)));
        for bad in ["", "-", "200-", "200,204", "2xx", "200-399-400", "200-70000"] {
            assert_eq!(parse_statuses(bad), None, "{bad:?}");
        }
    }
}
