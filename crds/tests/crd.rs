//! The generated CRD: it is the stored one, and an API server can take it.

use millrace_api::crd_yaml;

const STORED: &str = include_str!("../telemetrypipelines.yaml");

#[test]
fn the_stored_crd_is_the_generated_one() {
    assert!(
        crd_yaml() == STORED,
        "crds/telemetrypipelines.yaml differs from the types; run `cargo xtask generate crds`"
    );
}

#[test]
fn the_crd_leaves_room_below_the_limit_of_annotations() {
    assert!(crd_yaml().len() < 250_000, "{} bytes", crd_yaml().len());
}

#[test]
fn the_schema_is_structural_and_bounded() {
    let mut wrong = Vec::new();
    walk(&millrace_api::crd_schema()["properties"]["spec"], "spec", &mut wrong);
    assert_eq!(wrong, Vec::<String>::new());
}

/// Every value has one type; every list, map and text a greatest size; no number is unsigned; and
/// every field says what it is.
fn walk(schema: &serde_json::Value, path: &str, wrong: &mut Vec<String>) {
    for combined in ["anyOf", "oneOf", "allOf", "not", "$ref"] {
        if schema.get(combined).is_some() {
            wrong.push(format!("{path} has {combined}"));
        }
    }
    if schema["description"].as_str().is_none_or(str::is_empty) && !path.ends_with(']') {
        wrong.push(format!("{path} has no description"));
    }
    if schema["format"].as_str().is_some_and(|format| format.starts_with("uint")) {
        wrong.push(format!("{path} is unsigned"));
    }
    match schema["type"].as_str() {
        Some("object") => {
            let kinds = [
                schema.get("properties").is_some(),
                schema["x-kubernetes-preserve-unknown-fields"] == true,
                schema["maxProperties"] == 0,
                schema["additionalProperties"].is_object(),
            ];
            if kinds.iter().filter(|kind| **kind).count() != 1 {
                wrong.push(format!("{path} must have fields, be a map, be open or be empty"));
            }
            if let Some(values @ serde_json::Value::Object(_)) = schema.get("additionalProperties")
            {
                if schema["maxProperties"].is_null() {
                    wrong.push(format!("{path} has no greatest length"));
                }
                walk(values, &format!("{path}[]"), wrong);
            }
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                walk(schema, &format!("{path}.{name}"), wrong);
            }
        }
        Some("array") => {
            if schema["maxItems"].is_null() {
                wrong.push(format!("{path} has no greatest length"));
            }
            walk(&schema["items"], &format!("{path}[]"), wrong);
        }
        Some("string") => {
            if schema["maxLength"].is_null() && schema["enum"].is_null() {
                wrong.push(format!("{path} has no greatest length"));
            }
        }
        Some("integer" | "number") => {
            if schema["minimum"].is_null() || schema["maximum"].is_null() {
                wrong.push(format!("{path} has no range"));
            }
        }
        Some("boolean") => {}
        None if schema["x-kubernetes-int-or-string"] == true => {
            if schema["maxLength"].is_null() || schema["maximum"].is_null() {
                wrong.push(format!("{path} has no greatest length and number"));
            }
        }
        other => wrong.push(format!("{path} has the type {other:?}")),
    }
}
