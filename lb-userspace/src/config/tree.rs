//! YAML text → a tree of values, each with its place. The typed sections are read from the tree
//! ([`super::read`]), so that one bad value does not hide the next.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter, Options, Spanned};

use super::problem::{Place, Problems, quoted};

/// Files larger than this are refused, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 20;

/// A value and where it is defined.
pub(crate) type Node = Spanned<Value>;

/// A YAML value. Duplicate keys are kept: the reader reports each.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `~`, `null`, or nothing behind the colon.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Integer(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// Anything else that is one word.
    Text(String),
    /// `[…]`, or lines with `-`.
    List(Vec<Node>),
    /// `{…}`, or lines with `key:`.
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// What it is, for an error.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Integer(value) => format!("the integer {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text(text) => format!("the text {}", quoted(text)),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a section".into(),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(i128::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Reads the one document of `text`; a syntax error becomes a problem.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    match serde_saphyr::from_str_with_options(text, options()) {
        Ok(node) => Some(node),
        Err(error) => {
            add_syntax_error(&error, problems);
            None
        }
    }
}

/// Strict where YAML 1.1 guesses: `no` and `0755` stay text, and tags and merge keys have no meaning here.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 4_000_000,
            max_events: 8_000_000,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 250_000,
            max_replay_stack_depth: 8,
        },
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn add_syntax_error(error: &serde_saphyr::Error, problems: &mut Problems) {
    let inner = original(error);
    let (reason, mend) = describe(inner);
    match inner.location() {
        Some(location) if location.line() > 0 => problems.add(&place(location, String::new()), reason, mend),
        _ => problems.add_whole(reason, mend),
    }
}

/// The error itself, without what was wrapped around it on its way through an alias.
fn original(error: &serde_saphyr::Error) -> &serde_saphyr::Error {
    match error.without_snippet() {
        serde_saphyr::Error::AliasError { error, .. } => original(error),
        inner => inner,
    }
}

/// Reason and mend of a YAML error.
fn describe(error: &serde_saphyr::Error) -> (String, &'static str) {
    use serde_saphyr::Error;
    let message = DefaultMessageFormatter.format_message(error);
    let message: String = message.chars().flat_map(printable).collect();
    let mend = match error {
        Error::MultipleDocuments { .. } => {
            return ("a second document starts here".into(), "put one document into one file");
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            return (
                format!("too large or too deeply nested ({message})"),
                "write it flatter and with fewer aliases",
            );
        }
        Error::UnsupportedTag { .. } => "remove the tag; put text that looks like a number in quotes",
        _ => {
            "indent with spaces, close every bracket and quote, and quote text with `: `, `#` or a leading `*` or `&`"
        }
    };
    (format!("not valid YAML: {message}"), mend)
}

/// A character as it is, or escaped where a terminal would obey it.
fn printable(c: char) -> impl Iterator<Item = char> {
    let (escaped, plain) = if c.is_control() { (Some(c.escape_default()), None) } else { (None, Some(c)) };
    escaped.into_iter().flatten().chain(plain)
}

/// A YAML location as a place.
pub(crate) fn place(location: serde_saphyr::Location, path: String) -> Place {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Place { line: narrow(location.line()), column: narrow(location.column()), path }
}
