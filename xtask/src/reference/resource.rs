//! Pages of the resource's sections: a table for each object, with the rules that bind its fields, and
//! an example.

use std::fmt::Write as _;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Page;

/// Sections, and an example of each.
const SECTIONS: [(&str, &str); 6] = [
    ("streams", include_str!("examples/streams.yaml")),
    ("ingest", include_str!("examples/ingest.yaml")),
    ("processors", include_str!("examples/processors.yaml")),
    ("sinks", include_str!("examples/sinks.yaml")),
    ("query", include_str!("examples/query.yaml")),
    ("exposure", include_str!("examples/exposure.yaml")),
];

/// Name of the page of what has an effect on a cluster alone.
const CLUSTER: &str = "cluster";

/// Fields of the resource that have an effect on a cluster alone; they share a page.
const OF_CLUSTERS: [&str; 8] = [
    "broker",
    "database",
    "resources",
    "scaling",
    "placement",
    "images",
    "paused",
    "deletionPolicy",
];

/// The pages of all sections, and that of the status.
pub(super) fn pages() -> Vec<Page> {
    let properties = &millrace_api::crd_schema()["properties"];
    let mut pages = Vec::new();
    for (name, example) in SECTIONS {
        let schema = &properties["spec"]["properties"][name];
        let text = page(name, schema, Some(example));
        pages.push((format!("{name}.md"), text));
    }
    pages.push((format!("{CLUSTER}.md"), cluster(&properties["spec"]["properties"])));
    pages.push(("status.md".to_owned(), page("status", &properties["status"], None)));
    pages
}

/// The page of what has an effect on a cluster alone.
fn cluster(sections: &Value) -> String {
    let fields = OF_CLUSTERS.map(|name| (name.to_owned(), sections[name].clone()));
    let schema = json!({
        "description": "What a pipeline is made of on a cluster: its broker and database, how large \
                        and how many its parts are, and where they run. In one process none of this \
                        has an effect.",
        "type": "object",
        "properties": Map::from_iter(fields),
    });
    page(CLUSTER, &schema, Some(include_str!("examples/cluster.yaml")))
}

fn page(name: &str, schema: &Value, example: Option<&str>) -> String {
    let mut text = format!("# `{name}`\n\n{}\n", described(schema));
    if let Some(example) = example {
        let _ = write!(text, "\n```yaml\n{}\n```\n", example.trim_end());
    }
    // The page of clusters is of several sections, which are not in one of that name.
    let path = if name == CLUSTER { "spec" } else { name };
    match schema["type"].as_str() {
        Some("array") => object(&format!("{path}[]"), &schema["items"], &mut text),
        _ => object(path, schema, &mut text),
    }
    text
}

/// The table of an object, then those of the objects in it.
fn object(path: &str, schema: &Value, text: &mut String) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let _ = write!(text, "\n## `{path}`\n\n");
    let about = described(schema);
    if !about.is_empty() && path.contains(['.', '[']) {
        let _ = write!(text, "{about}\n\n");
    }
    text.push_str("| field | type | default | what it is |\n|---|---|---|---|\n");
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in properties {
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{}`", short(default)),
        };
        let about = cell(&described(field));
        let kind = kind(&format!("{path}.{name}"), field);
        let _ = writeln!(text, "| `{name}` | {kind} | {default} | {about} |");
    }
    let rules = schema["x-kubernetes-validations"].as_array();
    let messages = rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
    let messages: Vec<_> = messages.collect();
    if !messages.is_empty() {
        text.push_str("\nRules:\n\n");
        for message in messages {
            let _ = writeln!(text, "- {message}");
        }
    }
    for (name, field) in properties {
        let path = format!("{path}.{name}");
        match field["type"].as_str() {
            Some("array") => object(&format!("{path}[]"), &field["items"], text),
            _ => object(&path, field, text),
        }
    }
}

/// What a field holds, in words.
fn kind(path: &str, schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => {
            format!("[fields](#{})", anchor(path))
        }
        Some("object") if schema["maxProperties"] == 0 => "`{}`".to_owned(),
        Some("object") if schema["additionalProperties"].is_object() => {
            let value = kind(path, &schema["additionalProperties"]);
            format!("map{} to {value}", range(&schema["minProperties"], &schema["maxProperties"]))
        }
        Some("object") => "any fields".to_owned(),
        Some("array") => {
            let items = &schema["items"];
            let item = kind(&format!("{path}[]"), items);
            let range = range(&schema["minItems"], &schema["maxItems"]);
            format!("list{range} of {item}")
        }
        Some("string") => match schema["enum"].as_array() {
            Some(choices) => {
                let choices = choices.iter().filter_map(Value::as_str);
                choices.map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
            }
            None => match &schema["maxLength"] {
                Value::Null => "text".to_owned(),
                length => format!("text, at most {length} characters"),
            },
        },
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => {
            format!("whole number{}", range(&schema["minimum"], &schema["maximum"]))
        }
        _ if schema["x-kubernetes-int-or-string"] == true => {
            "amount, such as `500m`, `2` or `10Gi`".to_owned()
        }
        _ => format!("number{}", range(&schema["minimum"], &schema["maximum"])),
    }
}

fn range(least: &Value, most: &Value) -> String {
    match (least, most) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, most) => format!(" (at most {})", plain(most)),
        (least, Value::Null) => format!(" (at least {})", plain(least)),
        (least, most) => format!(" ({} to {})", plain(least), plain(most)),
    }
}

/// A limit without the fraction that the schema's numbers have.
fn plain(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A default as it is written: a text without quotes.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The anchor that a heading of this path gets.
fn anchor(path: &str) -> String {
    path.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

/// A description on one line.
fn described(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A text that can stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_resource_is_on_a_page() {
        let pages = pages();
        let streams = &pages[0].1;
        assert!(streams.starts_with("# `streams`\n"));
        assert!(streams.contains("| `partitions` | whole number (1 to 1024) | `1` |"));
        assert!(streams.contains("| `schema` | [fields](#streamsschema) |"));
        assert!(streams.contains("\n## `streams[].schema`\n"));
        assert!(streams.contains("- heartbeat releases what idle partitions hold back"));
    }
}
