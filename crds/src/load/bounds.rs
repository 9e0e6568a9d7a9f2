//! Bounds of single values: choices, patterns, lengths and ranges, as the schema declares them.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;
use regex::Regex;
use serde_json::Value;

use super::Problem;
use super::structure::nearest;
use super::structure::shown;
use crate::text::form_of;

/// Checks one value; what is in it is not looked at.
pub(super) fn check(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    match value {
        Value::String(text) => string(schema, text, value, path, problems),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let limit = |name: &str| schema[name].as_f64();
            if limit("minimum").is_some_and(|limit| number < limit) {
                problems.push(
                    Problem::new(path, format!("{value} is too small"))
                        .hint(format!("write {} or more", plain(&schema["minimum"]))),
                );
            }
            if limit("maximum").is_some_and(|limit| number > limit) {
                problems.push(
                    Problem::new(path, format!("{value} is too large"))
                        .hint(format!("write {} or less", plain(&schema["maximum"]))),
                );
            }
        }
        Value::Array(items) => {
            size(schema, ["minItems", "maxItems"], items.len(), "items", path, problems);
        }
        Value::Object(fields) if schema["maxProperties"] == 0 => {
            problems.extend(fields.keys().map(|name| {
                Problem::new(format!("{path}.{name}"), "is not a known field")
                    .hint("there is nothing to set here; write `{}`")
            }));
        }
        Value::Object(fields) => {
            size(
                schema,
                ["minProperties", "maxProperties"],
                fields.len(),
                "fields",
                path,
                problems,
            );
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn string(schema: &Value, text: &str, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    if let Some(choices) = schema["enum"].as_array() {
        if !choices.contains(value) {
            let choices = choices.iter().filter_map(Value::as_str).collect::<Vec<_>>();
            let hint = match nearest(text, choices.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("write one of {}", choices.join(", ")),
            };
            problems
                .push(Problem::new(path, format!("{} is not a choice", shown(value))).hint(hint));
        }
        return;
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !text.is_empty()
        && !matches(pattern, text)
    {
        let hint = form_of(pattern)
            .map_or_else(|| format!("it must match {pattern}"), |form| format!("write {form}"));
        problems.push(
            Problem::new(path, format!("{} does not have the right form", shown(value))).hint(hint),
        );
        return;
    }
    let length = text.chars().count();
    size(schema, ["minLength", "maxLength"], length, "characters", path, problems);
}

/// A limit without the fraction that the schema's numbers have.
fn plain(limit: &Value) -> String {
    let text = limit.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn size(
    schema: &Value,
    [min, max]: [&str; 2],
    found: usize,
    what: &str,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    let limit = |name: &str| schema[name].as_u64().and_then(|limit| usize::try_from(limit).ok());
    if let Some(limit) = limit(min).filter(|limit| found < *limit) {
        let message =
            if found == 0 { "is empty".to_owned() } else { format!("has {found} {what}") };
        problems.push(Problem::new(path, message).hint(format!("write at least {limit}")));
    }
    if let Some(limit) = limit(max).filter(|limit| found > *limit) {
        problems.push(
            Problem::new(path, format!("has {found} {what}"))
                .hint(format!("write at most {limit}")),
        );
    }
}

/// Whether a text matches a pattern of the schema. Patterns are constants of the types, so that
/// the few there are stay compiled.
fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock();
    if let Some(regex) = compiled.get(pattern) {
        return regex.is_match(text);
    }
    let Ok(regex) = Regex::new(pattern) else { return false };
    let matches = regex.is_match(text);
    compiled.insert(pattern.to_owned(), regex);
    matches
}
