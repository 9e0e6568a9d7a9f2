//! Events as they came, as the validator reads them.

use std::borrow::Cow;

use jsonschema::JsonType;
use jsonschema::json::Array;
use jsonschema::json::Json;
use jsonschema::json::Node;
use jsonschema::json::NodeIdentity;
use jsonschema::json::Object;
use millrace_core::Borrowed;
use millrace_core::borrowed::Fields;
use serde_json::Number;

/// Borrowed events as a representation of JSON.
pub(super) struct BorrowedJson;

impl Json for BorrowedJson {
    type Node<'a> = &'a Borrowed<'a>;
    type PreparedKey = String;
    type StringBuffer = Option<Borrowed<'static>>;

    // Fields are in order: a look-up compares several names.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Option<Borrowed<'static>>,
        text: &str,
        f: impl for<'a> FnOnce(&'a Borrowed<'a>) -> T,
    ) -> T {
        f(buffer.insert(Borrowed::Text(Cow::Owned(text.to_owned()))))
    }
}

impl<'a> Node<'a, BorrowedJson> for &'a Borrowed<'a> {
    type Object = &'a Fields<'a>;
    type Array = &'a [Borrowed<'a>];
    type Number = Number;

    fn as_object(&self) -> Option<&'a Fields<'a>> {
        match self {
            Borrowed::Object(fields) => Some(fields),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Borrowed<'a>]> {
        match self {
            Borrowed::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Borrowed::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Borrowed::Integer(number) => Some(Number::from(*number)),
            Borrowed::Float(number) => Number::from_f64(*number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Borrowed::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Borrowed::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Borrowed::Null => JsonType::Null,
            Borrowed::Boolean(_) => JsonType::Boolean,
            Borrowed::Integer(_) | Borrowed::Float(_) => JsonType::Number,
            Borrowed::Text(_) => JsonType::String,
            Borrowed::Array(_) => JsonType::Array,
            Borrowed::Object(_) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(written(self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Borrowed<'a>>(self) as usize))
    }
}

fn written(value: &Borrowed<'_>) -> serde_json::Value {
    match value {
        Borrowed::Null => serde_json::Value::Null,
        Borrowed::Boolean(boolean) => (*boolean).into(),
        Borrowed::Integer(number) => (*number).into(),
        Borrowed::Float(number) => (*number).into(),
        Borrowed::Text(text) => text.as_ref().into(),
        Borrowed::Array(items) => items.iter().map(written).collect(),
        Borrowed::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone().into_owned(), written(value))).collect()
        }
    }
}

/// The members of an object.
pub(super) struct Members<'a>(std::slice::Iter<'a, (Cow<'a, str>, Borrowed<'a>)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Borrowed<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Object<'a, BorrowedJson> for &'a Fields<'a> {
    type Node = &'a Borrowed<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        Fields::len(self)
    }

    fn get(&self, key: &String) -> Option<&'a Borrowed<'a>> {
        Fields::get(self, key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.iter())
    }
}

impl<'a> Array<'a, BorrowedJson> for &'a [Borrowed<'a>] {
    type Node = &'a Borrowed<'a>;
    type ElementsIter = std::slice::Iter<'a, Borrowed<'a>>;

    fn len(&self) -> usize {
        <[Borrowed<'a>]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Borrowed<'a>> {
        (*self).iter()
    }
}

#[cfg(test)]
mod tests {
    use millrace_core::Value;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::Schema;

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(serde_json::Value::from),
            (-3_i64..12).prop_map(serde_json::Value::from),
            prop_oneof![Just(0.5), Just(3.0), Just(1e300), Just(-0.0)].prop_map(|n: f64| json!(n)),
            prop_oneof![Just("a"), Just("\u{e9}\n\"b"), Just("2026-01-01T00:00:00Z"), Just("")]
                .prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let name = prop_oneof![Just("a"), Just("b"), Just("c\n"), Just("at")];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(name.prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_event_is_valid_in_place_where_it_is_valid_as_a_value(event in any_json()) {
            let schema = Schema::compile(&json!({
                "minProperties": 1,
                "properties": {
                    "a": {"type": ["integer", "array", "object"], "multipleOf": 3, "uniqueItems": true},
                    "b": {"enum": [0.5, "a", null, {"a": 1}, ["a"]]},
                    "at": {"type": "string", "format": "date-time"},
                },
                "propertyNames": {"pattern": "^[a-c]"},
                "patternProperties": {"\n$": {"type": ["string", "number"], "minLength": 1, "maximum": 3}},
            }))
            .unwrap();
            let text = event.to_string();
            let borrowed: Borrowed<'_> = serde_json::from_str(&text).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(written(&borrowed), event);
            prop_assert_eq!(schema.accepts(&borrowed), schema.validate(&value).is_ok());
        }
    }
}
