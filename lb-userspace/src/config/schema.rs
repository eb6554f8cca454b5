//! The file's JSON Schema: for editors and for checks before a file reaches a gateway.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::file::{File, NodeFile};

/// The JSON Schema (draft 2020-12) of a gateway's configuration. It knows keys, types and words; what needs more
/// than one value (references, totals, duplicates) only [`super::load`] finds.
pub fn schema() -> Value {
    of::<File>()
}

/// As [`schema`], of a node's file.
pub fn node_schema() -> Value {
    of::<NodeFile>()
}

fn of<T: JsonSchema>() -> Value {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut schema = generator.root_schema_for::<T>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.to_value()
}

/// A key may be left out, but not be given nothing: `Option` is no `null` here.
fn without_null(schema: &mut Schema) {
    let is_null =
        |value: &Value| value.is_null() || value == "null" || value.get("type") == Some(&"null".into());
    for key in ["type", "anyOf", "enum"] {
        let Some(Value::Array(list)) = schema.get_mut(key) else { continue };
        list.retain(|value| !is_null(value));
        if key != "enum" && list.len() == 1 {
            let only = list.remove(0);
            unwrap_only(schema, key, only);
        }
    }
}

/// A list of one type or one alternative becomes the type or the alternative itself.
fn unwrap_only(schema: &mut Schema, key: &str, only: Value) {
    schema.remove(key);
    match only {
        Value::Object(alternative) => schema.ensure_object().extend(alternative),
        kind => _ = schema.insert(key.into(), kind),
    }
}
