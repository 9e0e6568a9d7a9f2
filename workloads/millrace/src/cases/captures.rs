//! Names for values that a case does not know before it runs: `${id}` stands for whatever came the
//! first time, and for the same everywhere after it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What names stand for so far.
#[derive(Debug, Default)]
pub(super) struct Captures(BTreeMap<String, Value>);

/// A name that nothing has come for yet.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("nothing is known as `${{{0}}}` yet: write it into an answer that comes before")]
pub(crate) struct UnknownName(String);

impl Captures {
    /// A text with the values of all names in it.
    pub(super) fn fill(&self, text: &str) -> Result<String, UnknownName> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            let value = self.0.get(name).ok_or_else(|| UnknownName(name.to_owned()))?;
            filled.push_str(before);
            match value {
                Value::String(value) => filled.push_str(value),
                value => filled.push_str(&value.to_string()),
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A value with those of all names in its texts. A text that is a name alone becomes the value
    /// itself, of whatever type.
    pub(super) fn fill_value(&self, value: &Value) -> Result<Value, UnknownName> {
        Ok(match value {
            Value::String(text) => match name_of(text) {
                Some(name) => {
                    self.0.get(name).cloned().ok_or_else(|| UnknownName(name.to_owned()))?
                }
                None => Value::String(self.fill(text)?),
            },
            Value::Array(items) => {
                items.iter().map(|item| self.fill_value(item)).collect::<Result<_, _>>()?
            }
            Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| Ok((name.clone(), self.fill_value(value)?)));
                Value::Object(fields.collect::<Result<_, UnknownName>>()?)
            }
            other => other.clone(),
        })
    }

    /// Takes what came where the expected value has a name that is new.
    pub(super) fn take(&mut self, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (Value::String(text), actual) => {
                if let Some(name) = name_of(text)
                    && !self.0.contains_key(name)
                {
                    self.0.insert(name.to_owned(), actual.clone());
                }
            }
            (Value::Array(expected), Value::Array(actual)) => {
                for (expected, actual) in expected.iter().zip(actual) {
                    self.take(expected, actual);
                }
            }
            (Value::Object(expected), Value::Object(actual)) => {
                for (name, expected) in expected {
                    if let Some(actual) = actual.get(name) {
                        self.take(expected, actual);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The name that is all of a text.
fn name_of(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['$', '{', '}'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_stands_for_what_came_first() {
        let mut captures = Captures::default();
        captures.take(&json!({"id": "${id}", "n": ["${n}"]}), &json!({"id": "a", "n": [7]}));
        captures.take(&json!("${id}"), &json!("b"));
        assert_eq!(captures.fill("/x/${id}?n=${n}"), Ok("/x/a?n=7".to_owned()));
        assert_eq!(captures.fill_value(&json!({"n": "${n}"})), Ok(json!({"n": 7})));
        assert_eq!(captures.fill("${m}"), Err(UnknownName("m".to_owned())));
        assert_eq!(captures.fill("a ${ b"), Ok("a ${ b".to_owned()));
    }
}
