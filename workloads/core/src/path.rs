//! Paths to fields of events, as the resource writes them: `.location.lat`, `.wheels[0]`.

use std::fmt;
use std::str::FromStr;

use crate::event::Value;
use crate::tree::Tree;

/// A path to a field of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldPath {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Field(String),
    Index(usize),
}

/// A text that is not a path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a path: write a dot before each field, such as `.location.lat` or `.wheels[0]`"
)]
pub struct ParsePathError(pub String);

impl FieldPath {
    /// The value at this path, if there is one.
    #[must_use]
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value)
    }

    /// The same in any form of JSON.
    #[must_use]
    pub fn find<'a, T: Tree>(&self, tree: &'a T) -> Option<&'a T> {
        self.segments.iter().try_fold(tree, |tree, segment| match segment {
            Segment::Field(name) => tree.field(name),
            Segment::Index(index) => tree.item(*index),
        })
    }

    /// The number at this path as a double, if it is a number.
    #[must_use]
    pub fn number(&self, value: &Value) -> Option<f64> {
        match self.get(value)? {
            // Doubles hold every integer up to 2^53; larger measurements are rounded as JSON does.
            #[expect(clippy::cast_precision_loss)]
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(number.into_inner()),
            _ => None,
        }
    }

    /// Puts a value at this path, and objects and lists around it where there are none: what has
    /// another form is replaced, lists are filled up with null.
    pub fn set(&self, root: &mut Value, value: Value) {
        let mut place = root;
        for segment in &self.segments {
            place = match segment {
                Segment::Field(name) => {
                    if !matches!(place, Value::Object(_)) {
                        *place = Value::Object(std::collections::BTreeMap::new());
                    }
                    let Value::Object(fields) = place else { return };
                    fields.entry(name.as_str().into()).or_insert(Value::Null)
                }
                Segment::Index(index) => {
                    if !matches!(place, Value::Array(_)) {
                        *place = Value::Array(Vec::new());
                    }
                    let Value::Array(items) = place else { return };
                    if items.len() <= *index {
                        items.resize(index + 1, Value::Null);
                    }
                    &mut items[*index]
                }
            };
        }
        *place = value;
    }

    /// The name of the last field: `lat` of `.location.lat`; empty for `.`.
    #[must_use]
    pub fn leaf(&self) -> &str {
        match self.segments.last() {
            Some(Segment::Field(name)) => name,
            _ => "",
        }
    }

    /// The path as a JSON Pointer (RFC 6901): `/location/lat` of `.location.lat`; empty for `.`.
    #[must_use]
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.segments {
            pointer.push('/');
            match segment {
                Segment::Field(name) => {
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
                Segment::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for FieldPath {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(|segments| Self { text: text.to_owned(), segments })
            .ok_or_else(|| ParsePathError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Vec<Segment>> {
    if text == "." {
        return Some(Vec::new());
    }
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            segments.push(Segment::Index(index.parse().ok()?));
            rest = after;
        } else if let Some(after) = rest.strip_prefix(".\"") {
            let (name, after) = after.split_once('"')?;
            segments.push(Segment::Field(name.to_owned()));
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            let valid = !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '@'));
            if !valid {
                return None;
            }
            segments.push(Segment::Field(name.to_owned()));
            rest = after;
        }
    }
    (!segments.is_empty()).then_some(segments)
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_fields_and_indexes() {
        let event: Value =
            serde_json::from_str(r#"{"a": {"b c": [1, {"d": 2.5}]}, "e": 3}"#).unwrap();
        let number = |path: &str| path.parse::<FieldPath>().unwrap().number(&event);
        assert_eq!(number(".e"), Some(3.0));
        assert_eq!(number(".a.\"b c\"[1].d"), Some(2.5));
        assert_eq!(number(".a.\"b c\"[2].d"), None);
        assert_eq!(number(".a"), None);
    }

    #[test]
    fn a_path_can_be_told_as_a_json_pointer() {
        let pointer = |path: &str| path.parse::<FieldPath>().unwrap().pointer();
        assert_eq!(pointer(".location.lat"), "/location/lat");
        assert_eq!(pointer(r#".wheels[0]."a/b~c""#), "/wheels/0/a~1b~0c");
        assert_eq!(pointer("."), "");
    }

    #[test]
    fn a_value_is_put_where_its_path_says() {
        let mut event: Value = serde_json::from_str(r#"{"a": {"b": 1}, "c": 2}"#).unwrap();
        for (path, number) in [(".a.d", 3), (".c[1].e", 4), (".f", 5)] {
            path.parse::<FieldPath>().unwrap().set(&mut event, Value::Integer(number));
        }
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"a":{"b":1,"d":3},"c":[null,{"e":4}],"f":5}"#
        );
    }

    #[test]
    fn what_is_no_path_is_refused_with_an_example() {
        for bad in ["", "a", ".a.", "..a", ".a[", ".a[x]", ".a b", "[0"] {
            assert_eq!(bad.parse::<FieldPath>(), Err(ParsePathError(bad.to_owned())), "{bad}");
        }
    }
}
