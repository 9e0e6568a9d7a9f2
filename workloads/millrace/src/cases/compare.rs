//! Finds the differences between what should have come out and what did.

use millrace_core::FieldPath;
use millrace_core::time::TimeFormat;
use millrace_core::time::event_time;
use serde_json::Value;

/// Numbers are equal if they differ by no more than this share of the larger one.
const TOLERANCE: f64 = 1e-9;
/// Lists with more pairs of items than this are compared item by item, without looking for the
/// best alignment.
const MAX_ALIGNED_PAIRS: usize = 4_000_000;

/// Most places within a value that are told.
const MAX_PLACES: usize = 10;

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// It should have been here.
    Missing(String),
    /// It should not have been here.
    Unexpected(String),
}

/// Whether a value is as expected: equal, of the expected kind (`<uuid>`, `<timestamp>`, `<any>`), or,
/// for objects, equal in the fields that are expected.
pub(super) fn matches(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::String(kind), actual) if kind == "<any>" => !actual.is_null(),
        (Value::String(kind), Value::String(text)) if kind == "<uuid>" => is_uuid(text),
        (Value::String(kind), Value::String(text)) if kind == "<timestamp>" => is_timestamp(text),
        (Value::Object(expected), Value::Object(actual)) => expected.iter().all(|(name, value)| {
            // A field that is null and one that is not there say the same.
            matches(value, actual.get(name).unwrap_or(&Value::Null))
        }),
        (Value::Array(expected), Value::Array(actual)) => {
            expected.len() == actual.len()
                && expected.iter().zip(actual).all(|(expected, actual)| matches(expected, actual))
        }
        (Value::Number(expected), Value::Number(actual)) => {
            if let (Some(expected), Some(actual)) = (expected.as_i64(), actual.as_i64()) {
                return expected == actual;
            }
            let (Some(expected), Some(actual)) = (expected.as_f64(), actual.as_f64()) else {
                return false;
            };
            (expected - actual).abs() <= TOLERANCE * expected.abs().max(actual.abs())
        }
        (expected, actual) => expected == actual,
    }
}

/// Where within a value it is not as expected, at most ten places.
pub(super) fn places(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    find("", expected, actual, &mut found);
    // A value that differs as a whole is told already.
    found.retain(|(path, ..)| !path.is_empty());
    found.truncate(MAX_PLACES);
    found
        .into_iter()
        .map(|(path, expected, actual)| format!("at {path}: {actual} instead of {expected}"))
        .collect()
}

fn find<'a>(
    path: &str,
    expected: &'a Value,
    actual: &'a Value,
    found: &mut Vec<(String, &'a Value, &'a Value)>,
) {
    match (expected, actual) {
        _ if matches(expected, actual) => {}
        (Value::Object(expected), Value::Object(actual)) => {
            for (name, expected) in expected {
                let actual = actual.get(name).unwrap_or(&Value::Null);
                find(&format!("{path}.{name}"), expected, actual, found);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                find(&format!("{path}[{index}]"), expected, actual, found);
            }
        }
        _ => found.push((path.to_owned(), expected, actual)),
    }
}

fn is_timestamp(text: &str) -> bool {
    let itself = ".".parse::<FieldPath>();
    itself.is_ok_and(|path| {
        event_time(&millrace_core::Value::from(text), &path, TimeFormat::Rfc3339).is_ok()
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, c)| match index {
            8 | 13 | 18 | 23 => c == b'-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// The differences of two lists, in order; none if the second is as expected.
pub(super) fn differences<E>(
    expected: &[E],
    actual: &[Value],
    is_match: impl Fn(&E, &Value) -> bool,
    show: impl Fn(&E) -> String,
) -> Vec<Difference> {
    let mut lines = Vec::new();
    let (mut e, mut a) = (0, 0);
    for (next_e, next_a) in
        aligned(expected, actual, &is_match).into_iter().chain([(expected.len(), actual.len())])
    {
        lines.extend(expected[e..next_e].iter().map(|item| Difference::Missing(show(item))));
        lines.extend(actual[a..next_a].iter().map(|v| Difference::Unexpected(v.to_string())));
        (e, a) = (next_e + 1, next_a + 1);
        if next_e == expected.len() {
            break;
        }
    }
    lines
}

/// The longest list of pairs that match, in order (the longest common subsequence).
fn aligned<E>(
    expected: &[E],
    actual: &[Value],
    is_match: &impl Fn(&E, &Value) -> bool,
) -> Vec<(usize, usize)> {
    if expected.len() * actual.len() > MAX_ALIGNED_PAIRS {
        let pairs = expected.iter().zip(actual).enumerate();
        return pairs.filter(|(_, (e, a))| is_match(e, a)).map(|(i, _)| (i, i)).collect();
    }
    let width = actual.len() + 1;
    let mut lengths = vec![0_u32; (expected.len() + 1) * width];
    for e in (0..expected.len()).rev() {
        for a in (0..actual.len()).rev() {
            lengths[e * width + a] = if is_match(&expected[e], &actual[a]) {
                lengths[(e + 1) * width + a + 1] + 1
            } else {
                lengths[(e + 1) * width + a].max(lengths[e * width + a + 1])
            };
        }
    }
    let mut pairs = Vec::new();
    let (mut e, mut a) = (0, 0);
    while e < expected.len() && a < actual.len() {
        if is_match(&expected[e], &actual[a]) {
            pairs.push((e, a));
            (e, a) = (e + 1, a + 1);
        } else if lengths[(e + 1) * width + a] >= lengths[e * width + a + 1] {
            e += 1;
        } else {
            a += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compare(expected: &[Value], actual: &[Value]) -> Vec<Difference> {
        differences(expected, actual, matches, ToString::to_string)
    }

    #[test]
    fn written_fields_must_be_equal_and_others_are_not_looked_at() {
        assert!(matches(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
        assert!(!matches(&json!({"a": 1}), &json!({"a": 2})));
        assert!(!matches(&json!({"a": 1}), &json!({})));
        assert!(matches(&json!({"a": null}), &json!({})));
        assert!(!matches(&json!([1]), &json!([1, 2])));
    }

    #[test]
    fn values_that_differ_each_time_are_known_by_their_kind() {
        let uuid = json!("0192f0c5-7d3e-7a51-8b61-0d6f3c5a9e21");
        assert!(matches(&json!("<uuid>"), &uuid));
        assert!(!matches(&json!("<uuid>"), &json!("0192f0c5")));
        assert!(matches(&json!("<timestamp>"), &json!("2026-01-01T00:00:00.123Z")));
        assert!(!matches(&json!("<timestamp>"), &json!("yesterday")));
        assert!(matches(&json!({"a": "<any>"}), &json!({"a": 1})));
        assert!(!matches(&json!({"a": "<any>"}), &json!({})));
    }

    #[test]
    fn the_places_of_a_difference_are_told() {
        assert_eq!(
            places(&json!({"a": [1, {"b": 2}], "c": 1}), &json!({"a": [1, {"b": 3}], "d": 1})),
            ["at .a[1].b: 3 instead of 2", "at .c: null instead of 1"]
        );
        assert_eq!(places(&json!(1), &json!(2)), Vec::<String>::new());
    }

    #[test]
    fn numbers_are_equal_to_a_billionth() {
        assert!(matches(&json!(216.141_445_834), &json!(216.141_445_834_000_1)));
        assert!(!matches(&json!(216.141_445_834), &json!(216.141_447)));
        assert!(!matches(&json!(1_541_693_114_862_i64), &json!(1_541_693_114_863_i64)));
        assert!(matches(&json!(2), &json!(2.0)));
    }

    #[test]
    fn only_what_differs_is_told_in_its_place() {
        let (a, b, c, d) = (json!("a"), json!("b"), json!("c"), json!("d"));
        assert!(compare(&[a.clone(), b.clone()], &[a.clone(), b.clone()]).is_empty());
        assert_eq!(
            compare(&[a.clone(), b.clone(), c.clone()], &[a, d, c]),
            [Difference::Missing("\"b\"".into()), Difference::Unexpected("\"d\"".into())]
        );
        assert_eq!(
            compare(&[], std::slice::from_ref(&b)),
            [Difference::Unexpected("\"b\"".into())]
        );
        assert_eq!(compare(&[b], &[]), [Difference::Missing("\"b\"".into())]);
    }
}
