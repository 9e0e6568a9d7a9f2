//! Which fields of an object are ours, as the API server keeps it (`FieldsV1`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::MANAGER;

/// Our fields of an object, without owners, which are known otherwise.
pub(super) fn ours(metadata: &ObjectMeta) -> String {
    let entry = metadata.managed_fields.iter().flatten().find(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let Some(fields) = entry.and_then(|entry| entry.fields_v1.as_ref()) else {
        return "{}".to_owned();
    };
    let mut fields = fields.0.clone();
    if let Some(metadata) = fields.get_mut("f:metadata").and_then(Value::as_object_mut) {
        metadata.remove("f:ownerReferences");
    }
    fields.to_string()
}

/// Whether all of an object's fields are ours: then nobody has changed one since.
#[must_use]
pub fn covers(fields: &str, object: &Value) -> bool {
    let Ok(fields) = serde_json::from_str::<Value>(fields) else { return false };
    let Value::Object(object) = object else { return false };
    object.iter().all(|(key, value)| match (key.as_str(), value) {
        ("apiVersion" | "kind", _) => true,
        ("metadata", Value::Object(metadata)) => {
            let own = fields.get("f:metadata").unwrap_or(&Value::Null);
            metadata
                .iter()
                .filter(|(key, _)| ["labels", "annotations"].contains(&key.as_str()))
                .all(|(key, value)| field(own, key, value))
        }
        (key, value) => field(&fields, key, value),
    })
}

/// Whether the number of pods is ours.
#[must_use]
pub fn has_replicas(fields: &str) -> bool {
    serde_json::from_str::<Value>(fields)
        .is_ok_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
}

fn field(fields: &Value, key: &str, value: &Value) -> bool {
    // A null is not applied at all.
    value.is_null() || fields.get(format!("f:{key}")).is_some_and(|own| all(own, value))
}

fn all(own: &Value, value: &Value) -> bool {
    // A leaf is owned as a whole.
    let Value::Object(entries) = own else { return false };
    if entries.is_empty() {
        return true;
    }
    match value {
        Value::Object(fields) => fields.iter().all(|(key, value)| field(own, key, value)),
        Value::Array(items) => items.iter().all(|item| {
            entries.iter().any(|(entry, own)| is_of(entry, item) && all_of_item(own, item))
        }),
        _ => true,
    }
}

fn all_of_item(own: &Value, item: &Value) -> bool {
    !item.is_object() || all(own, item)
}

/// Whether an entry of a list is about this item: by its key fields (`k:`) or its value (`v:`). The
/// API server may know key fields by default that the item does not have.
fn is_of(entry: &str, item: &Value) -> bool {
    if let Some(keys) = entry.strip_prefix("k:") {
        let Ok(Value::Object(keys)) = serde_json::from_str(keys) else { return false };
        return keys.iter().all(|(key, value)| item.get(key).is_none_or(|own| own == value));
    }
    entry
        .strip_prefix("v:")
        .and_then(|value| serde_json::from_str::<Value>(value).ok())
        .is_some_and(|value| value == *item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields() -> Value {
        json!({
            "f:metadata": {"f:labels": {"f:app": {}}, "f:annotations": {"f:millrace.dev/applied": {}}},
            "f:spec": {
                "f:ports": {
                    "k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:name": {}},
                },
                "f:selector": {},
                "f:finalizers": {"v:\"a\"": {}},
                "f:replicas": {},
            },
        })
    }

    fn object() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "race", "namespace": "factory",
                "labels": {"app": "race"},
                "annotations": {"millrace.dev/applied": "x"},
                "ownerReferences": [{"uid": "1"}],
            },
            "spec": {
                "ports": [{"port": 80, "name": "http"}],
                "selector": {"app": "race"},
                "finalizers": ["a"],
                "replicas": 2,
                "unset": null,
            },
        })
    }

    #[test]
    fn an_object_whose_fields_are_all_ours_has_not_drifted() {
        assert!(covers(&fields().to_string(), &object()));
        assert!(has_replicas(&fields().to_string()));
    }

    #[test]
    fn a_field_that_is_no_longer_ours_has_drifted() {
        for lost in [
            "/f:metadata/f:labels/f:app",
            "/f:spec/f:replicas",
            "/f:spec/f:selector",
            "/f:spec/f:finalizers/v:\"a\"",
            "/f:spec/f:ports/k:{\"port\":80,\"protocol\":\"TCP\"}/f:name",
            "/f:spec/f:ports/k:{\"port\":80,\"protocol\":\"TCP\"}",
            "/f:metadata/f:annotations/f:millrace.dev~1applied",
        ] {
            let mut fields = fields();
            let (parent, key) = lost.rsplit_once('/').unwrap();
            let parent = fields.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            // Another leaf, so that the parent does not become one.
            parent.insert("f:other".to_owned(), json!({}));
            assert!(parent.remove(&key.replace("~1", "/")).is_some(), "{lost}");
            assert!(!covers(&fields.to_string(), &object()), "{lost}");
        }
    }

    #[test]
    fn an_object_that_somebody_else_made_is_not_ours() {
        assert!(!covers("{}", &object()));
    }
}
