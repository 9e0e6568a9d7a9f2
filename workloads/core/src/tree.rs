//! What keys and times are read from: events as programs see them, and events as they came.

use crate::event::Value;
use crate::event::text;

/// A value of JSON in one form or another.
pub trait Tree: Sized {
    /// The field of this name, if this is an object that has it.
    fn field(&self, name: &str) -> Option<&Self>;

    /// The item at this place, if this is a list that has it.
    fn item(&self, index: usize) -> Option<&Self>;

    /// What it is, if it has no parts.
    fn scalar(&self) -> Scalar<'_>;
}

/// A value without parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// `null`.
    Null,
    /// A text.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A time in milliseconds since 1970-01-01T00:00:00Z, which JSON has no form for.
    Time(i64),
    /// Anything else.
    Other,
}

impl Tree for Value {
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
            Self::Float(number) => Scalar::Float(number.into_inner()),
            Self::Timestamp(time) => Scalar::Time(time.timestamp_millis()),
            other => text(other).map_or(Scalar::Other, Scalar::Text),
        }
    }
}
