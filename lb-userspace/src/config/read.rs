//! Typed sections out of the YAML tree. Every reader reports what it cannot read and goes on, so one
//! run finds every unknown key and every bad value.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::problem::{Place, Problems, closest};
use super::tree::{Node, Value, place};

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    /// What was written.
    pub(crate) value: T,
    /// Where it was written.
    pub(crate) place: Place,
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A key that must be there. `None`: it is not, or cannot be read; that is reported already.
#[derive(Debug, Clone)]
pub(crate) struct Required<T>(pub(crate) Option<Located<T>>);

impl<T> Deref for Required<T> {
    type Target = Option<Located<T>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A list with a place for itself and one for each element.
pub(crate) type List<T> = Vec<Located<T>>;

/// What can be read from one node.
pub(crate) trait Read: Sized {
    /// Reads `node`, which stands at `place`. `None`: not readable, and reported.
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self>;
}

impl<T: Read> Read for Located<T> {
    fn read(node: &Node, place: &Place, problems: &mut Problems) -> Option<Self> {
        T::read(node, place, problems).map(|value| Self { value, place: place.clone() })
    }
}

impl<T: Read> Read for Vec<T> {
    /// Elements that cannot be read are reported and left out; a list of nothing else is not read, since
    /// to call it empty would be one error too many.
    fn read(node: &Node, at: &Place, problems: &mut Problems) -> Option<Self> {
        let Value::List(nodes) = &node.value else {
            expected("a list", node, at, problems);
            return None;
        };
        let element = |(index, node): (usize, &Node)| {
            T::read(node, &place(node.defined, format!("{}[{index}]", at.path)), problems)
        };
        let list: Self = nodes.iter().enumerate().filter_map(element).collect();
        (nodes.is_empty() || !list.is_empty()).then_some(list)
    }
}

/// Reports that `node` is not `what` (with an article).
pub(crate) fn expected(what: &str, node: &Node, place: &Place, problems: &mut Problems) {
    let mend = match &node.value {
        Value::Null => format!("write {what} behind the colon, or remove the key"),
        _ => format!("write {what} here"),
    };
    problems.add(place, format!("expected {what}, found {}", node.value.describe()), mend);
}

/// A text that says itself what is wrong with it: `what` it is (with an article), and the `mend` of one that is not.
pub(crate) fn spoken<T: FromStr<Err = String>>(
    what: &str,
    mend: &str,
    node: &Node,
    place: &Place,
    problems: &mut Problems,
) -> Option<T> {
    let Value::Text(text) = &node.value else {
        expected(what, node, place, problems);
        return None;
    };
    text.parse().map_err(|reason: String| problems.add(place, reason, mend)).ok()
}

/// A key that this version refuses, and what to do instead.
pub(crate) type Refused = (&'static str, &'static str);

/// A mapping that is being read key by key. [`Section::close`] reports the keys nobody asked for.
pub(crate) struct Section<'n, 'p> {
    place: &'n Place,
    entries: Vec<(&'n str, Place, &'n Node)>,
    asked: BTreeSet<&'static str>,
    problems: &'p mut Problems,
}

impl<'n, 'p> Section<'n, 'p> {
    /// Opens `node`; reports what is no section, keys that are no words, and keys written twice.
    pub(crate) fn open(node: &'n Node, place: &'n Place, problems: &'p mut Problems) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            expected("a section (`key: value`)", node, place, problems);
            return None;
        };
        let mut section = Self { place, entries: Vec::new(), asked: BTreeSet::new(), problems };
        let mut seen = BTreeSet::new();
        for (key, value) in map {
            section.entry(key, value, &mut seen);
        }
        Some(section)
    }

    fn entry(&mut self, key: &'n Node, value: &'n Node, seen: &mut BTreeSet<&'n str>) {
        let Value::Text(name) = &key.value else {
            let at = place(key.defined, self.place.path.clone());
            return expected("a key that is a word", key, &at, self.problems);
        };
        let at = place(key.defined, join(&self.place.path, name));
        if name == "<<" {
            let mend = "repeat the keys; only a whole value can be shared, with `&name` and `*name`";
            return self.problems.add(&at, "keys cannot be merged into a section", mend);
        }
        if seen.insert(name) {
            self.entries.push((name, at, value));
        } else {
            self.problems.add(&at, "the key is written twice in one section", "remove one of the two");
        }
    }

    /// A key that may be left out. `None`: it is, or it cannot be read.
    pub(crate) fn optional<T: Read>(&mut self, key: &'static str) -> Option<Located<T>> {
        self.asked.insert(key);
        let (_, at, node) = self.entries.iter().find(|(name, ..)| *name == key)?;
        Located::read(node, &place(node.defined, at.path.clone()), self.problems)
    }

    /// A key that must be there.
    pub(crate) fn required<T: Read>(&mut self, key: &'static str) -> Required<T> {
        if !self.entries.iter().any(|(name, ..)| *name == key) {
            self.problems.add(self.place, format!("`{key}` is missing"), format!("add `{key}`"));
        }
        Required(self.optional(key))
    }

    /// Reports that of these keys, of which one must be there, there is none.
    pub(crate) fn any_of(&mut self, keys: &[&str], reason: &str, mend: &str) {
        if !self.entries.iter().any(|(name, ..)| keys.contains(name)) {
            self.problems.add(self.place, reason, mend);
        }
    }

    /// Reports the keys nobody asked for; those in `refused` with their own mend.
    pub(crate) fn close(self, refused: &[Refused]) {
        for (name, at, _) in &self.entries {
            if self.asked.contains(name) {
                continue;
            }
            match refused.iter().find(|(key, _)| key == name) {
                Some((_, mend)) => self.problems.add(at, not_supported(name), *mend),
                None => self.problems.add(at, "unknown key", self.mend_unknown(name)),
            }
        }
    }

    fn mend_unknown(&self, name: &str) -> String {
        let known = || self.asked.iter().copied();
        match closest(name, known()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("remove it; the keys here are {}", known().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The reason for a key or word that is specified but not done yet.
pub(crate) fn not_supported(word: &str) -> String {
    format!("`{word}` is not supported by this version")
}

/// The path of a key in a section.
pub(crate) fn join(path: &str, key: &str) -> String {
    /// More characters of a key than this say nothing.
    const MOST: usize = 60;
    let key: String = key.chars().take(MOST).flat_map(char::escape_debug).collect();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Required<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
