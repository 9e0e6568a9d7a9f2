//! Who an event is about: the value of an entity or group field.
//!
//! Integers and texts are different entities even where they look alike (`1` and `"1"`).

use millrace_core::FieldPath;
use millrace_core::Value;
use millrace_core::event::text;
use serde::Deserialize;
use serde::Serialize;

/// Longest text that names an entity, in bytes, as long as the longest key.
const MAX_TEXT_BYTES: usize = millrace_core::key::MAX_KEY_BYTES;

/// Why a field names no entity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EntityError {
    #[error("the field `{0}` is missing or null")]
    Missing(String),
    #[error("the field `{0}` is neither a string nor an integer")]
    Type(String),
    #[error("the field `{path}` has {bytes} bytes; at most {MAX_TEXT_BYTES} are allowed")]
    TooLong { path: String, bytes: usize },
}

/// An entity or a group, borrowed from an event. Integers come before texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum EntityRef<'a> {
    Integer(i64),
    Text(&'a str),
}

impl<'a> EntityRef<'a> {
    /// The entity at this path.
    pub(crate) fn of(value: &'a Value, path: &FieldPath) -> Result<Self, EntityError> {
        match path.get(value) {
            Some(Value::Integer(number)) => Ok(Self::Integer(*number)),
            None | Some(Value::Null) => Err(EntityError::Missing(path.to_string())),
            Some(other) => match text(other) {
                Some(text) if text.len() > MAX_TEXT_BYTES => {
                    Err(EntityError::TooLong { path: path.to_string(), bytes: text.len() })
                }
                Some(text) => Ok(Self::Text(text)),
                None => Err(EntityError::Type(path.to_string())),
            },
        }
    }

    /// The entity with its own text.
    pub(crate) fn to_entity(self) -> Entity {
        match self {
            Self::Integer(number) => Entity::Integer(number),
            Self::Text(text) => Entity::Text(text.into()),
        }
    }
}

/// An entity or a group, as state keeps it. Encoded like [`EntityRef`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Entity {
    Integer(i64),
    Text(Box<str>),
}

impl Entity {
    /// The entity, borrowed.
    pub(crate) fn borrow(&self) -> EntityRef<'_> {
        match self {
            Self::Integer(number) => EntityRef::Integer(*number),
            Self::Text(text) => EntityRef::Text(text),
        }
    }

    /// The entity as the event had it.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::from(&**text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_texts_are_entities_and_nothing_else_is() {
        let event: Value = serde_json::from_str(
            &serde_json::json!({"i": 1, "t": "1", "f": 1.5, "n": null, "l": "x".repeat(1025)})
                .to_string(),
        )
        .unwrap();
        let of = |path: &str| EntityRef::of(&event, &path.parse().unwrap());
        assert_eq!(of(".i"), Ok(EntityRef::Integer(1)));
        assert_eq!(of(".t"), Ok(EntityRef::Text("1")));
        assert_ne!(of(".i"), of(".t"));
        assert_eq!(of(".f"), Err(EntityError::Type(".f".into())));
        assert_eq!(of(".n"), Err(EntityError::Missing(".n".into())));
        assert_eq!(of(".z"), Err(EntityError::Missing(".z".into())));
        assert_eq!(of(".l"), Err(EntityError::TooLong { path: ".l".into(), bytes: 1025 }));
    }

    #[test]
    fn integers_are_ordered_by_number_and_come_before_texts() {
        let mut entities = [
            Entity::Text("1".into()),
            Entity::Integer(10),
            Entity::Integer(9),
            Entity::Text("".into()),
        ];
        entities.sort();
        assert_eq!(
            entities,
            [
                Entity::Integer(9),
                Entity::Integer(10),
                Entity::Text("".into()),
                Entity::Text("1".into()),
            ]
        );
    }
}
