//! Events as they came: read to be checked, in place, and then stored as they are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Unexpected;
use serde::de::Visitor;

use crate::tree::Scalar;
use crate::tree::Tree;

/// A value of JSON whose texts are those of what it was read from.
///
/// Not everything that is JSON can be read so: an object that has a field twice and an integer
/// that needs more than 64 bits with a sign cannot. Whoever meets one reads it as a
/// [`Value`](crate::Value), which says what they mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Borrowed<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text; owned only where it is written with escapes.
    Text(Cow<'a, str>),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(Fields<'a>),
}

/// The fields of an object, in the order of their names.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Borrowed<'a>)>);

impl<'a> Fields<'a> {
    /// The field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Borrowed<'a>> {
        let found = self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// All fields.
    pub fn iter(&self) -> std::slice::Iter<'_, (Cow<'a, str>, Borrowed<'a>)> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'s, 'a> IntoIterator for &'s Fields<'a> {
    type Item = &'s (Cow<'a, str>, Borrowed<'a>);
    type IntoIter = std::slice::Iter<'s, (Cow<'a, str>, Borrowed<'a>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Tree for Borrowed<'_> {
    fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    fn item(&self, index: usize) -> Option<&Self> {
        match self {
            Self::Array(items) => items.get(index),
            _ => None,
        }
    }

    fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Integer(number) => Scalar::Integer(*number),
            Self::Float(number) => Scalar::Float(*number),
            Self::Text(text) => Scalar::Text(text),
            Self::Boolean(_) | Self::Array(_) | Self::Object(_) => Scalar::Other,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Borrowed<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Borrowed<'de>, E> {
        i64::try_from(value)
            .map(Borrowed::Integer)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Borrowed<'de>, E> {
        Ok(Borrowed::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Borrowed<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Borrowed::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Borrowed<'de>, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some((Name(name), value)) = members.next_entry()? {
            fields.push((name, value));
        }
        fields.sort_unstable_by(|(a, _): &(Cow<'_, str>, _), (b, _)| a.cmp(b));
        if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom("a field stands twice"));
        }
        Ok(Borrowed::Object(Fields(fields)))
    }
}

/// A field's name.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(value.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Borrowed<'_>> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn texts_are_borrowed_unless_they_have_escapes() {
        let Some(Borrowed::Object(fields)) = read(r#"{"b": "text", "a": "\u0061", "\u0063": 1}"#)
        else {
            panic!("it is an object");
        };
        assert!(matches!(fields.get("b"), Some(Borrowed::Text(Cow::Borrowed("text")))));
        assert_eq!(fields.get("a"), Some(&Borrowed::Text("a".into())));
        assert_eq!(fields.get("c"), Some(&Borrowed::Integer(1)));
        assert_eq!(fields.get("d"), None);
    }

    #[test]
    fn what_a_value_would_read_otherwise_is_not_read() {
        for text in [r#"{"a": 1, "b": 2, "a": 1}"#, "9223372036854775808", r#"[{"a":{"":1,"":1}}]"#]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("9223372036854775807"), Some(Borrowed::Integer(i64::MAX)));
        assert_eq!(read("-1.5"), Some(Borrowed::Float(-1.5)));
    }
}
