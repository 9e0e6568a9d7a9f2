//! Schemas of streams, from the resource itself or from a ConfigMap.

use std::sync::Arc;

use millrace_api as api;
use serde_json::Value;

use super::checks::Checks;
use crate::schema::Schema;
use crate::schema::SchemaError;

/// The text of a key of a ConfigMap, given the names of both, or why there is none, in words that
/// follow the path of the field.
pub type ConfigMaps<'a> = &'a dyn Fn(&str, &str) -> Result<String, ConfigMapError>;

/// A key of a ConfigMap that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapError {
    /// What is wrong.
    pub message: String,
    /// What to do, where that can be said.
    pub hint: Option<String>,
}

/// The schema of a stream.
pub(super) fn schema(
    at: &str,
    spec: &api::SchemaSpec,
    config_maps: ConfigMaps<'_>,
    checks: &mut Checks,
) -> Option<Arc<Schema>> {
    match (&spec.inline, &spec.config_map) {
        (Some(inline), None) => {
            compile(&format!("{at}.inline"), None, &Value::Object(inline.clone()), checks)
        }
        (None, Some(key)) => {
            let at = format!("{at}.configMap");
            let value = read(&at, key, config_maps, checks)?;
            compile(&at, Some(key), &value, checks)
        }
        _ => {
            checks.error(at, "write exactly one of inline and configMap");
            None
        }
    }
}

fn read(
    at: &str,
    key: &api::ConfigMapKeySpec,
    config_maps: ConfigMaps<'_>,
    checks: &mut Checks,
) -> Option<Value> {
    let text = match config_maps(&key.name, &key.key) {
        Ok(text) => text,
        Err(ConfigMapError { message, hint: Some(hint) }) => {
            checks.error_with_hint(at, message, hint);
            return None;
        }
        Err(ConfigMapError { message, hint: None }) => {
            checks.error(at, message);
            return None;
        }
    };
    match serde_json::from_str(&text) {
        Ok(value @ Value::Object(_)) => Some(value),
        Ok(_) => {
            let message = format!("the key {} of ConfigMap {} is no object", key.key, key.name);
            checks.error_with_hint(at, message, "write a JSON Schema there");
            None
        }
        Err(error) => {
            let message =
                format!("the key {} of ConfigMap {} is no JSON: {error}", key.key, key.name);
            checks.error_with_hint(at, message, "write a JSON Schema there");
            None
        }
    }
}

/// `key` says where the schema is, if it is not in the resource.
fn compile(
    at: &str,
    key: Option<&api::ConfigMapKeySpec>,
    schema: &Value,
    checks: &mut Checks,
) -> Option<Arc<Schema>> {
    let within = |pointer: &str| match key {
        Some(key) => format!("the key {} of ConfigMap {}, at `{pointer}`: ", key.key, key.name),
        None => String::new(),
    };
    match Schema::compile(schema) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(SchemaError::Compile { pointer, message }) if key.is_none() => {
            let pointer = pointer.trim_end_matches('/').replace('/', ".");
            checks.error(format!("{at}{pointer}"), message);
            None
        }
        Err(SchemaError::Compile { pointer, message }) => {
            checks.error(at, format!("{}{message}", within(&pointer)));
            None
        }
        Err(error) => {
            checks.error(at, format!("{}{error}", within("/")));
            None
        }
    }
}
