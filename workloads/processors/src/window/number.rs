//! Numbers as events have them: integers and doubles, ordered by value.

use std::cmp::Ordering;

use millrace_core::Value;
use serde::Deserialize;
use serde::Serialize;

use crate::object::float;

/// 2^63, the first double above all integers.
const ABOVE_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

/// A number of an event.
///
/// The order is that of the values, exactly, also between integers and doubles. Of equal values
/// -0.0 comes first, then the integer, then the double, so that the lowest and the highest of
/// some numbers do not depend on the order in which they come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
}

impl Number {
    /// The number, where the value is one.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(Self::Integer(*number)),
            Value::Float(number) => Some(Self::Double(number.into_inner())),
            _ => None,
        }
    }

    /// The number as a double, the nearest one for a large integer.
    pub(super) fn to_double(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the nearest one is meant")]
            Self::Integer(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    /// The number as the event had it.
    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Integer(number) => Value::Integer(number),
            Self::Double(number) => float(number),
        }
    }

    /// Whether JSON could express it.
    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Integer(_) => true,
            Self::Double(number) => number.is_finite(),
        }
    }

    /// Place among numbers of the same value.
    fn rank(self) -> u8 {
        match self {
            Self::Double(number) if number == 0.0 && number.is_sign_negative() => 0,
            Self::Integer(_) => 1,
            Self::Double(_) => 2,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => return a.cmp(&b),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Integer(a), Self::Double(b)) => compare(a, b),
            (Self::Double(a), Self::Integer(b)) => compare(b, a).reverse(),
        };
        by_value.then_with(|| self.rank().cmp(&other.rank()))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// Compares an integer with a double, neither rounded.
fn compare(integer: i64, double: f64) -> Ordering {
    if double >= ABOVE_INTEGERS {
        return Ordering::Less;
    }
    if double < -ABOVE_INTEGERS {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the integers, see above")]
    let whole = double.trunc() as i64;
    integer
        .cmp(&whole)
        .then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_value_and_equal_ones_by_form() {
        let ascending = [
            Number::Double(f64::MIN),
            Number::Integer(i64::MIN),
            Number::Double(-1.5),
            Number::Integer(-1),
            Number::Double(-0.0),
            Number::Integer(0),
            Number::Double(0.0),
            Number::Double(0.5),
            Number::Integer(1),
            Number::Double(1.0),
            Number::Integer((1 << 53) + 1),
            Number::Double(9_007_199_254_740_994.0),
            Number::Integer(i64::MAX),
            Number::Double(ABOVE_INTEGERS),
        ];
        for (a, first) in ascending.iter().enumerate() {
            for (b, second) in ascending.iter().enumerate() {
                assert_eq!(first.cmp(second), a.cmp(&b), "{first:?} and {second:?}");
            }
        }
    }
}
