//! The typed columns of a stream's files, from what its schema declares.
//!
//! A property at the top of the schema is a column where its type is plain: text, whole number,
//! number, boolean or instant. Everything else that is declared (objects, lists, several types) is
//! a column of JSON text. What is not declared is in `_value` alone, which always has the whole
//! event.

use serde_json::Value;

/// Names of the columns that every file has; properties of these names have no column.
pub(crate) const FIXED: [&str; 8] =
    ["_id", "_key", "_event_time", "_ingest_time", "_partition", "_offset", "_headers", "_value"];

/// How many references within a schema are followed.
const MAX_REFERENCES: usize = 8;

/// A column of a declared property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnKind,
}

/// Types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    Text,
    Integer,
    Double,
    Boolean,
    /// RFC 3339 in the event; microseconds in the file.
    Timestamp,
    /// JSON as it stands in the event.
    Json,
}

/// The columns of a schema, by name.
pub(crate) fn columns(schema: &Value) -> Vec<Column> {
    let Some(properties) = resolved(schema, schema).get("properties").and_then(Value::as_object)
    else {
        return Vec::new();
    };
    let mut columns: Vec<_> = properties
        .iter()
        .filter(|(name, _)| !FIXED.contains(&name.as_str()))
        .map(|(name, property)| Column {
            name: name.clone(),
            kind: kind(resolved(schema, property)),
        })
        .collect();
    columns.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    columns
}

/// What a reference within the schema stands for.
fn resolved<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let mut property = property;
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = property.get("$ref").and_then(Value::as_str) else { break };
        let Some(target) = reference.strip_prefix('#').and_then(|at| schema.pointer(at)) else {
            break;
        };
        property = target;
    }
    property
}

fn kind(property: &Value) -> ColumnKind {
    let name = match property.get("type") {
        Some(Value::String(name)) => name.as_str(),
        // `null` is what every column may hold.
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (names.next(), names.next()) {
                (Some(name), None) => name,
                _ => return ColumnKind::Json,
            }
        }
        _ => return ColumnKind::Json,
    };
    match name {
        "string" => match property.get("format").and_then(Value::as_str) {
            Some("date-time") => ColumnKind::Timestamp,
            _ => ColumnKind::Text,
        },
        "integer" => ColumnKind::Integer,
        "number" => ColumnKind::Double,
        "boolean" => ColumnKind::Boolean,
        _ => ColumnKind::Json,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn declared_properties_are_columns_of_their_type() {
        let schema = json!({
            "type": "object",
            "$defs": {"when": {"type": "string", "format": "date-time"}},
            "properties": {
                "id": {"type": "integer"},
                "_offset": {"type": "integer"},
                "at": {"$ref": "#/$defs/when"},
                "docked": {"type": ["boolean", "null"]},
                "name": {"type": "string"},
                "either": {"type": ["string", "integer"]},
                "place": {"type": "object"},
                "speed": {"type": "number"},
                "any": {},
                "again": {"$ref": "#/properties/again"},
            }
        });
        let columns: Vec<_> =
            columns(&schema).into_iter().map(|column| (column.name, column.kind)).collect();
        let expected = [
            ("again", ColumnKind::Json),
            ("any", ColumnKind::Json),
            ("at", ColumnKind::Timestamp),
            ("docked", ColumnKind::Boolean),
            ("either", ColumnKind::Json),
            ("id", ColumnKind::Integer),
            ("name", ColumnKind::Text),
            ("place", ColumnKind::Json),
            ("speed", ColumnKind::Double),
        ];
        assert_eq!(columns, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn a_schema_without_properties_has_no_columns() {
        assert_eq!(columns(&json!(true)), []);
        assert_eq!(columns(&json!({"type": "object"})), []);
    }
}
