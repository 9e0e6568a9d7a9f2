//! The structure that the schema declares: known fields, required ones, types and lists whose
//! items must differ. Bounds of single values are in `bounds`.

use serde_json::Map;
use serde_json::Value;

use super::Problem;
use super::bounds;

/// Most problems reported for one document; the rest would only bury the first ones.
const MAX_PROBLEMS: usize = 100;

/// Fields of `metadata` that a file may have; the API server knows them, the schema does not.
const METADATA: [&str; 14] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// Checks a document against the schema. Nulls where the schema allows them are taken out, as an
/// API server does.
pub(super) fn check(schema: &Value, document: &mut Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    metadata(document, &mut problems);
    let Value::Object(fields) = document else { return problems };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    unknown_fields("", fields, &known, &mut problems);
    match fields.get_mut("spec") {
        Some(spec) => walk(&schema["properties"]["spec"], spec, "spec", &mut problems),
        None => problems.push(Problem::new("spec", "is missing").hint("write at least streams")),
    }
    // What the cluster says of a pipeline is of no interest to one that is loaded from a file.
    fields.remove("status");
    problems.truncate(MAX_PROBLEMS);
    problems
}

fn metadata(document: &Value, problems: &mut Vec<Problem>) {
    let hint =
        "write the pipeline's name: 1 to 63 lower-case letters, digits and `-`, such as `race`";
    let Some(Value::Object(metadata)) = document.get("metadata") else {
        problems.push(Problem::new("metadata.name", "is missing").hint(hint));
        return;
    };
    unknown_fields("metadata", metadata, &METADATA, problems);
    match metadata.get("name") {
        Some(Value::String(name)) if is_label(name) => {}
        Some(other) => problems.push(
            Problem::new("metadata.name", format!("{} is not a name", shown(other))).hint(hint),
        ),
        None => problems.push(Problem::new("metadata.name", "is missing").hint(hint)),
    }
}

/// Whether a text is a DNS label: names of a cluster's objects are made from it.
fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn walk(schema: &Value, value: &mut Value, path: &str, problems: &mut Vec<Problem>) {
    if !has_type(schema, value) {
        problems.push(Problem::new(
            path,
            format!("expected {}, found {}", expected(schema), shown(value)),
        ));
        return;
    }
    bounds::check(schema, value, path, problems);
    match value {
        Value::Object(fields) => object(schema, fields, path, problems),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(&schema["items"], item, &format!("{path}[{index}]"), problems);
            }
            repetitions(schema, items, path, problems);
        }
        _ => {}
    }
}

fn object(
    schema: &Value,
    fields: &mut Map<String, Value>,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if schema["additionalProperties"].is_object() {
        for (name, value) in fields {
            walk(&schema["additionalProperties"], value, &format!("{path}.{name}"), problems);
        }
        return;
    }
    // What is chosen by being there has no fields of its own; how many there are was checked.
    let Some(properties) = schema["properties"].as_object() else { return };
    let known = properties.keys().map(String::as_str).collect::<Vec<_>>();
    unknown_fields(path, fields, &known, problems);
    fields.retain(|name, value| {
        !(value.is_null() && properties.get(name).is_some_and(|schema| schema["nullable"] == true))
    });
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            let problem = Problem::new(format!("{path}.{required}"), "is missing");
            let said = properties.get(required).and_then(|schema| schema["description"].as_str());
            problems.push(match said {
                Some(description) => {
                    problem.hint(format!("write it: {}", first_sentence(description)))
                }
                None => problem,
            });
        }
    }
    for (name, schema) in properties {
        if let Some(value) = fields.get_mut(name) {
            walk(schema, value, &format!("{path}.{name}"), problems);
        }
    }
}

fn unknown_fields(
    path: &str,
    fields: &Map<String, Value>,
    known: &[&str],
    problems: &mut Vec<Problem>,
) {
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let hint = match nearest(name, known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        problems.push(Problem::new(place, "is not a known field").hint(hint));
    }
}

/// Items of a list that merges by keys, or of a set, must differ.
fn repetitions(schema: &Value, items: &[Value], path: &str, problems: &mut Vec<Problem>) {
    let key = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => schema["x-kubernetes-list-map-keys"][0].as_str(),
        Some("set") => None,
        _ => return,
    };
    for (index, item) in items.iter().enumerate() {
        let identity = key.map_or(item, |key| &item[key]);
        if identity.is_null() {
            continue;
        }
        let first = items.iter().position(|other| key.map_or(other, |key| &other[key]) == identity);
        if let Some(first) = first.filter(|first| *first < index) {
            let field = key.map(|key| format!(".{key}")).unwrap_or_default();
            problems.push(
                Problem::new(
                    format!("{path}[{index}]{field}"),
                    format!("{} stands already at {path}[{first}]", shown(identity)),
                )
                .hint(if key.is_some() {
                    "write another name"
                } else {
                    "leave one out"
                }),
            );
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ if is_amount(schema) => value.is_string() || value.is_i64() || value.is_u64(),
        _ => true,
    }
}

fn expected(schema: &Value) -> &'static str {
    match schema["type"].as_str() {
        Some("object") => "fields",
        Some("array") => "a list",
        Some("string") => "a text",
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        _ if is_amount(schema) => "a text or a whole number",
        _ => "a number",
    }
}

fn is_amount(schema: &Value) -> bool {
    schema["x-kubernetes-int-or-string"] == true
}

/// A value as a message shows it, shortened.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "fields".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            format!("`{}…`", text.chars().take(60).collect::<String>())
        }
        Value::String(text) => format!("`{text}`"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The candidate that was most likely meant, if any is near.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn first_sentence(description: &str) -> String {
    let text = description.replace('\n', " ");
    let end = text.find(". ").unwrap_or(text.len());
    let sentence = text[..end].trim_end_matches('.');
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
