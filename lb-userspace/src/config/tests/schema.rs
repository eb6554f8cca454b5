//! The schemas accept what loads, know exactly the keys that the reader knows, and are those in docs/.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::world::{files, root};
use crate::config::{node_schema, schema};

fn yaml(path: &Path) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    let text = fs::read_to_string(path).expect("readable");
    serde_saphyr::from_str_with_options(&text, options).expect("YAML")
}

/// Follows `$ref` into `$defs`.
fn target<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect(reference),
        None => schema,
    }
}

/// Whether `value` is of a JSON Schema type.
fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("the checker does not know the type {other}"),
    }
}

/// The part of JSON Schema that the configuration's schema uses, patterns and formats apart.
fn accepts(schema: &Value, value: &Value, root: &Value) -> bool {
    let schema = target(schema, root);
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    (kinds.is_empty() || kinds.iter().any(|kind| is(value, kind)))
        && list("enum").is_none_or(|words| words.contains(value))
        && list("anyOf").is_none_or(|any| any.iter().any(|schema| accepts(schema, value, root)))
        && in_range(schema, value)
        && accepts_elements(schema, value, root)
        && accepts_keys(schema, value, root)
}

fn in_range(schema: &Value, value: &Value) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    value.as_i64().is_none_or(|number| {
        bound("minimum").is_none_or(|least| number >= least)
            && bound("maximum").is_none_or(|most| number <= most)
    })
}

fn accepts_elements(schema: &Value, value: &Value, root: &Value) -> bool {
    let (Some(items), Some(elements)) = (schema.get("items"), value.as_array()) else { return true };
    let fewest = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    elements.len() as u64 >= fewest && elements.iter().all(|element| accepts(items, element, root))
}

fn accepts_keys(schema: &Value, value: &Value, root: &Value) -> bool {
    let Some(object) = value.as_object() else { return true };
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let open = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
    required.into_iter().all(|key| object.contains_key(key.as_str().expect("a key")))
        && object.iter().all(|(key, value)| match schema.pointer(&format!("/properties/{key}")) {
            Some(schema) => accepts(schema, value, root),
            None => *open != Value::Bool(false),
        })
}

/// All keys of a schema: `pools[].endpoints[].address`.
fn schema_keys(schema: &Value, at: &str, root: &Value, keys: &mut BTreeSet<String>) {
    let schema = target(schema, root);
    for any in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        schema_keys(any, at, root, keys);
    }
    if let Some(items) = schema.get("items") {
        schema_keys(items, &format!("{at}[]"), root, keys);
    }
    for (key, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        keys.insert(format!("{at}.{key}"));
        schema_keys(schema, &format!("{at}.{key}"), root, keys);
    }
}

/// All keys of a file, labels' own apart.
fn value_keys(value: &Value, at: &str, keys: &mut BTreeSet<String>) {
    for element in value.as_array().into_iter().flatten() {
        value_keys(element, &format!("{at}[]"), keys);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        keys.insert(format!("{at}.{key}"));
        if key != "labels" {
            value_keys(value, &format!("{at}.{key}"), keys);
        }
    }
}

/// The schemas, the file that has every key of each, and what each is called in docs/.
fn schemas() -> [(Value, &'static str, &'static str); 2] {
    [
        (schema(), "every-key.yaml", "configuration.schema.json"),
        (node_schema(), "node-every-key.yaml", "node.schema.json"),
    ]
}

#[test]
fn good_files_and_examples_fit() {
    let [(gateway, ..), (node, ..)] = schemas();
    for file in [files("tests/fixtures/config/good"), files("examples")].concat() {
        let text = yaml(&file);
        let (schema, other) = if text.get("node").is_some() { (&node, &gateway) } else { (&gateway, &node) };
        assert!(accepts(schema, &text, schema), "{}", file.display());
        assert!(!accepts(other, &text, other), "{}", file.display());
    }
}

#[test]
fn wrong_keys_types_and_words_do_not_fit() {
    let schema = schema();
    let good = yaml(&root().join("tests/fixtures/config/good/minimal.yaml"));
    assert!(accepts(&schema, &good, &schema));
    let changes = [
        ("/apiVersion", Value::from("spillway/v2")),
        ("/gateway", serde_json::json!({})),
        ("/gateway/interfaces", serde_json::json!([])),
        ("/services/0/ports/0/port", Value::from(65_536)),
        ("/services/0/vips", Value::from("198.51.100.10")),
        ("/services/0/name", Value::Null),
        ("/pools/0/endpoints/0", serde_json::json!({"address": "192.0.2.1", "wieght": 1})),
        ("/healthChecks/0/type", Value::from("smtp")),
    ];
    for (pointer, value) in changes {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = value;
        assert!(!accepts(&schema, &bad, &schema), "{pointer}");
    }
}

#[test]
fn they_have_the_keys_of_the_file_with_every_key_and_no_others() {
    for (schema, file, _) in schemas() {
        let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
        schema_keys(&schema, "", &schema, &mut known);
        value_keys(&yaml(&root().join("tests/fixtures/config/good").join(file)), "", &mut used);
        assert_eq!(known, used);
    }
}

#[test]
fn keys_that_must_be_there_are_those_of_the_smallest_file() {
    let schema = schema();
    let required = |name: &str| target(&schema["$defs"][name], &schema)["required"].clone();
    assert_eq!(schema["required"], serde_json::json!(["apiVersion", "clusterSet", "gateway"]));
    assert_eq!(required("Pool"), serde_json::json!(["name", "cluster", "endpoints"]));
    assert_eq!(required("HealthCheck"), serde_json::json!(["name", "type"]));
    let schema = node_schema();
    assert_eq!(schema["required"], serde_json::json!(["apiVersion", "node"]));
    assert_eq!(schema["$defs"]["Node"]["required"], serde_json::json!(["interfaces", "gateways"]));
}

#[test]
fn every_key_is_documented() {
    let reference = fs::read_to_string(root().join("docs/configuration.md")).expect("readable");
    let mut keys = BTreeSet::new();
    schemas().iter().for_each(|(schema, ..)| schema_keys(schema, "", schema, &mut keys));
    for key in keys {
        let last = key.rsplit('.').next().unwrap_or(&key);
        assert!(reference.contains(&format!("`{last}`")), "{key} is not in docs/configuration.md");
    }
}

#[test]
fn those_in_docs_are_these() {
    for (schema, _, name) in schemas() {
        let path = root().join("docs").join(name);
        let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
        if std::env::var_os("SPILLWAY_UPDATE_FIXTURES").is_some() {
            fs::write(&path, &text).expect("writable");
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "write {name} anew");
    }
}
