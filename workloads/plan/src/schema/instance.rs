//! Events as the validator reads them: in place, as they are, without a copy in another form.
//!
//! What JSON has no form for (times, patterns, bytes that are no text, infinite numbers) is read as
//! what it becomes when the event is written.

use std::borrow::Cow;
use std::collections::btree_map;

use jsonschema::JsonType;
use jsonschema::json::Array;
use jsonschema::json::Json;
use jsonschema::json::Node;
use jsonschema::json::NodeIdentity;
use jsonschema::json::Object;
use millrace_core::Value;
use millrace_core::event::text;
use serde_json::Number;
use vrl::value::KeyString;
use vrl::value::ObjectMap;

/// Events as a representation of JSON.
pub(super) struct EventJson;

impl Json for EventJson {
    type Node<'a> = &'a Value;
    type PreparedKey = String;
    type StringBuffer = Option<Value>;

    // Objects are B-trees: a look-up compares several names.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Option<Value>,
        text: &str,
        f: impl FnOnce(&Value) -> T,
    ) -> T {
        f(buffer.insert(Value::from(text)))
    }
}

impl<'a> Node<'a, EventJson> for &'a Value {
    type Object = &'a ObjectMap;
    type Array = &'a [Value];
    type Number = Number;

    fn as_object(&self) -> Option<&'a ObjectMap> {
        match self {
            Value::Object(fields) => Some(fields),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::Bytes(_) | Value::String(_) => {
                text(self).map(Cow::Borrowed).or_else(|| Some(self.to_string_lossy()))
            }
            Value::Timestamp(_) | Value::Regex(_) => Some(self.to_string_lossy()),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Value::Integer(number) => Some(Number::from(*number)),
            Value::Float(number) => Number::from_f64(number.into_inner()),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.json_type() == JsonType::Null
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Integer(_) => JsonType::Number,
            Value::Float(number) if number.is_finite() => JsonType::Number,
            Value::Float(_) | Value::Null => JsonType::Null,
            Value::Boolean(_) => JsonType::Boolean,
            Value::Bytes(_) | Value::String(_) | Value::Timestamp(_) | Value::Regex(_) => {
                JsonType::String
            }
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        // Every event can be written as JSON: names of fields are texts.
        Cow::Owned(serde_json::to_value(self).unwrap_or_default())
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Value>(self) as usize))
    }
}

/// The fields of an object.
pub(super) struct Fields<'a>(btree_map::Iter<'a, KeyString, Value>);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'a> Object<'a, EventJson> for &'a ObjectMap {
    type Node = &'a Value;
    type MemberName = &'a str;
    type MembersIter = Fields<'a>;

    fn len(&self) -> usize {
        ObjectMap::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Value> {
        (*self).get(key.as_str())
    }

    fn members(&self) -> Fields<'a> {
        Fields((*self).iter())
    }
}

impl<'a> Array<'a, EventJson> for &'a [Value] {
    type Node = &'a Value;
    type ElementsIter = std::slice::Iter<'a, Value>;

    fn len(&self) -> usize {
        <[Value]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Value> {
        (*self).iter()
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::json::JsonNumber as _;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What a validator sees of a value, put together from the parts that it asks for.
    fn seen<'a>(node: &impl Node<'a, EventJson>) -> serde_json::Value {
        match node.json_type() {
            JsonType::Null => json!(null),
            JsonType::Boolean => json!(node.as_boolean()),
            JsonType::String => json!(node.as_string()),
            JsonType::Number | JsonType::Integer => {
                json!(node.as_number().map(|number| number.to_number().into_owned()))
            }
            JsonType::Array => {
                node.as_array().unwrap().elements().map(|item| seen(&item)).collect()
            }
            JsonType::Object => {
                let fields = node.as_object().unwrap();
                fields
                    .members()
                    .map(|(name, value)| (name.into().into_owned(), seen(&value)))
                    .collect()
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from_f64_or_zero),
            ".{0,8}".prop_map(Value::from),
            proptest::collection::vec(any::<u8>(), 0..8)
                .prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}".prop_map(KeyString::from), inner, 0..4)
                    .prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_event_is_validated_as_it_is_written(value in any_value()) {
            let written = serde_json::to_vec(&value).unwrap();
            let read: serde_json::Value = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(seen(&&value), read);
        }
    }
}
