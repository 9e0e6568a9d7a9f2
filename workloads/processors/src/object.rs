//! Values that operators make from scratch.

use millrace_core::Value;

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A number. Nothing that operators compute is NaN, which JSON could not express.
pub(crate) fn float(number: f64) -> Value {
    Value::from_f64_or_zero(number)
}
