//! JSON Schemas: compiled once when the resource is checked, applied to each event.
//!
//! Draft 2020-12 with formats asserted. Nothing is ever fetched: a schema that refers to another
//! document does not compile.

mod borrowed;
mod instance;

use std::fmt;

use jsonschema::Draft;
use jsonschema::json::Json;
use millrace_core::Borrowed;
use millrace_core::Value as Event;
use serde_json::Value;

use borrowed::BorrowedJson;
use instance::EventJson;

/// Largest schema, in bytes of compact JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Most violations that one validation reports; the rest are not looked for.
pub const MAX_VIOLATIONS: usize = 100;

/// Longest message of a violation, in bytes; a longer one is cut.
const MAX_MESSAGE_BYTES: usize = 512;

/// A compiled JSON Schema, draft 2020-12, formats asserted.
pub struct Schema {
    validator: jsonschema::Validator<EventJson>,
    /// The same for events as they came.
    borrowed: jsonschema::Validator<BorrowedJson>,
    source: Value,
}

/// A schema that cannot be used.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SchemaError {
    /// The schema has more than [`MAX_SCHEMA_BYTES`].
    #[error("the schema has {0} bytes; at most {MAX_SCHEMA_BYTES} are allowed")]
    TooLarge(usize),
    /// The schema names another draft than 2020-12.
    #[error(
        "`$schema` is `{0}`; write `https://json-schema.org/draft/2020-12/schema` or leave it out"
    )]
    Draft(String),
    /// The schema refers to another document.
    #[error(
        "`{0}` refers to another document; put the definition under `$defs` and write `#/$defs/<name>`"
    )]
    Remote(String),
    /// The schema is not a valid schema.
    #[error("at `{pointer}`: {message}")]
    Compile {
        /// JSON Pointer to the keyword within the schema; `/` for the schema itself.
        pointer: String,
        /// What is wrong with it.
        message: String,
    },
}

/// One way in which an event does not match its schema.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// JSON Pointer to the field, such as `/location/lat`; empty for the event itself.
    pub pointer: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)
    }
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When the schema is too large, of another draft, refers to another document, or is no
    /// valid schema.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let bytes = schema.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge(bytes));
        }
        match schema.get("$schema") {
            None => {}
            Some(Value::String(uri)) if is_draft_2020_12(uri) => {}
            Some(other) => {
                let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                return Err(SchemaError::Draft(text));
            }
        }
        if let Some(reference) = remote_reference(schema) {
            return Err(SchemaError::Remote(reference.to_owned()));
        }
        let (validator, borrowed) = (build::<EventJson>(schema)?, build::<BorrowedJson>(schema)?);
        Ok(Self { validator, borrowed, source: schema.clone() })
    }

    /// The schema as it was written.
    #[must_use]
    pub const fn source(&self) -> &Value {
        &self.source
    }

    /// Whether an event as it came is valid. What is wrong with it, [`Self::validate`] says.
    #[must_use]
    pub fn accepts(&self, event: &Borrowed<'_>) -> bool {
        self.borrowed.is_valid(event)
    }

    /// Validates an event.
    ///
    /// # Errors
    /// All violations, at most [`MAX_VIOLATIONS`].
    pub fn validate(&self, event: &Event) -> Result<(), Vec<Violation>> {
        // Most events are valid, and this check allocates nothing.
        if self.validator.is_valid(event) {
            return Ok(());
        }
        Err(self
            .validator
            .iter_errors(event)
            .take(MAX_VIOLATIONS)
            .map(|error| Violation {
                pointer: error.instance_path().to_string(),
                message: shortened(error.to_string()),
            })
            .collect())
    }
}

/// A validator for one form of JSON.
fn build<J: Json>(schema: &Value) -> Result<jsonschema::Validator<J>, SchemaError> {
    jsonschema::options_for::<J>()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(schema)
        .map_err(|error| SchemaError::Compile {
            pointer: match error.instance_path().as_str() {
                "" => "/".to_owned(),
                pointer => pointer.to_owned(),
            },
            message: error.to_string(),
        })
}

fn is_draft_2020_12(uri: &str) -> bool {
    uri.trim_end_matches('#') == "https://json-schema.org/draft/2020-12/schema"
}

/// The first reference in the schema that leaves it. Looks into every object, also where a
/// property happens to be called `$ref`: its value is then no string.
fn remote_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match (&**name, value) {
            ("$ref" | "$dynamicRef", Value::String(target)) if !target.starts_with('#') => {
                Some(target.as_str())
            }
            ("const" | "enum" | "default" | "examples", _) => None,
            (_, value) => remote_reference(value),
        }),
        Value::Array(items) => items.iter().find_map(remote_reference),
        _ => None,
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    message
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn violations(schema: &Value, event: &Value) -> Vec<String> {
        match Schema::compile(schema).unwrap().validate(&Event::from(event.clone())) {
            Ok(()) => Vec::new(),
            Err(violations) => violations.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_violation_is_reported_with_its_place() {
        let schema = json!({
            "type": "object",
            "required": ["id"],
            "properties": {"speed": {"type": "number", "maximum": 100}, "at": {"format": "date-time"}},
        });
        assert_eq!(
            violations(&schema, &json!({"speed": 101, "at": "noon"})),
            [
                "/: \"id\" is a required property",
                "/at: \"noon\" is not a \"date-time\"",
                "/speed: 101 is greater than the maximum of 100",
            ]
        );
        assert!(violations(&schema, &json!({"id": 1, "at": "2026-01-01T00:00:00Z"})).is_empty());
    }

    #[test]
    fn at_most_a_hundred_violations_are_reported() {
        let schema = json!({"items": {"type": "string"}});
        assert_eq!(violations(&schema, &Value::from(vec![1; 1000])).len(), 100);
    }

    #[test]
    fn a_schema_that_cannot_be_used_says_what_to_write() {
        let error = |schema: Value| Schema::compile(&schema).unwrap_err().to_string();
        assert_eq!(
            error(json!({"properties": {"a": {"type": "strin"}}})),
            "at `/properties/a/type`: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword"
        );
        assert_eq!(
            error(json!({"$ref": "https://example.com/a.json"})),
            "`https://example.com/a.json` refers to another document; put the definition under `$defs` and write `#/$defs/<name>`"
        );
        assert_eq!(
            error(json!({"$schema": "http://json-schema.org/draft-07/schema#"})),
            "`$schema` is `http://json-schema.org/draft-07/schema#`; write `https://json-schema.org/draft/2020-12/schema` or leave it out"
        );
        assert_eq!(
            error(json!({"description": "x".repeat(65536)})),
            "the schema has 65554 bytes; at most 65536 are allowed"
        );
        assert!(Schema::compile(&json!({"$defs": {"a": {}}, "$ref": "#/$defs/a"})).is_ok());
        assert!(Schema::compile(&json!({"properties": {"$ref": {"type": "string"}}})).is_ok());
    }
}
