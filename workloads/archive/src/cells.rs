//! Builders of typed columns from the JSON text of fields.
//!
//! A value that does not fit its column's type is null there; `_value` has it all the same.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::ArrayBuilder;
use arrow_array::builder::BooleanBuilder;
use arrow_array::builder::Float64Builder;
use arrow_array::builder::Int64Builder;
use arrow_array::builder::StringBuilder;
use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_schema::DataType;
use arrow_schema::TimeUnit;
use jiff::Timestamp;

use crate::columns::ColumnKind;
use crate::fields::RawField;

/// The time zone of every instant in a file.
pub(crate) const UTC: &str = "UTC";

/// Whole numbers up to here are exact as doubles.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Builds a column.
pub(crate) enum CellBuilder {
    Text(StringBuilder),
    Integer(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Json(StringBuilder),
}

impl CellBuilder {
    pub(crate) fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text => Self::Text(StringBuilder::new()),
            ColumnKind::Integer => Self::Integer(Int64Builder::new()),
            ColumnKind::Double => Self::Double(Float64Builder::new()),
            ColumnKind::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnKind::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(UTC))
            }
            ColumnKind::Json => Self::Json(StringBuilder::new()),
        }
    }

    /// Appends a field's value, or null.
    pub(crate) fn append(&mut self, field: RawField<'_>) {
        let raw = field.map(serde_json::value::RawValue::get);
        match self {
            Self::Text(builder) => match raw.map(plain_text) {
                Some(Some(text)) => builder.append_value(text),
                _ => builder.append_option(raw.and_then(escaped_text)),
            },
            Self::Integer(builder) => builder.append_option(raw.and_then(integer)),
            Self::Double(builder) => builder.append_option(raw.and_then(double)),
            Self::Boolean(builder) => builder.append_option(match raw {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            }),
            Self::Timestamp(builder) => builder.append_option(raw.and_then(instant)),
            Self::Json(builder) => builder.append_option(raw.filter(|raw| *raw != "null")),
        }
    }

    /// The column; the builder is empty then.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) | Self::Json(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => ArrayBuilder::finish(builder),
            Self::Double(builder) => ArrayBuilder::finish(builder),
            Self::Boolean(builder) => ArrayBuilder::finish(builder),
            Self::Timestamp(builder) => ArrayBuilder::finish(builder),
        }
    }
}

/// A column's type in the file.
pub(crate) fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text | ColumnKind::Json => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
        ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
    }
}

/// A text without escapes.
fn plain_text(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
}

fn escaped_text(raw: &str) -> Option<String> {
    if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { None }
}

fn integer(raw: &str) -> Option<i64> {
    if let Ok(integer) = raw.parse() {
        return Some(integer);
    }
    // JSON Schema takes 1.0 and 1e3 for whole numbers.
    let number = double(raw).filter(|n| n.fract() == 0.0 && n.abs() <= MAX_EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the exact range")]
    Some(number as i64)
}

fn double(raw: &str) -> Option<f64> {
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number { raw.parse().ok().filter(|n: &f64| n.is_finite()) } else { None }
}

fn instant(raw: &str) -> Option<i64> {
    let instant: Timestamp = match plain_text(raw) {
        Some(text) => text.parse().ok()?,
        None => escaped_text(raw)?.parse().ok()?,
    };
    Some(instant.as_microsecond())
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Float64Type;
    use arrow_array::types::Int64Type;
    use arrow_array::types::TimestampMicrosecondType;
    use serde_json::value::RawValue;

    use super::*;

    fn column(kind: ColumnKind, cells: &[&str]) -> ArrayRef {
        let mut builder = CellBuilder::new(kind);
        builder.append(None);
        for cell in cells {
            let raw = RawValue::from_string((*cell).to_owned()).unwrap();
            builder.append(Some(&raw));
        }
        builder.finish()
    }

    #[test]
    fn values_of_the_declared_type_are_kept_exactly_and_others_are_null() {
        let array =
            column(ColumnKind::Integer, &["9007199254740993", "-1.0", "1e3", "1.5", "\"1\""]);
        let cells: Vec<_> = array.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(cells, [None, Some(9_007_199_254_740_993), Some(-1), Some(1000), None, None]);

        let array = column(ColumnKind::Double, &["51.349937311969725", "3", "1e999", "true"]);
        let cells: Vec<_> = array.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(cells, [None, Some(51.349_937_311_969_725), Some(3.0), None, None]);

        let array = column(ColumnKind::Boolean, &["true", "false", "0"]);
        let cells: Vec<_> = array.as_boolean().iter().collect();
        assert_eq!(cells, [None, Some(true), Some(false), None]);

        let array = column(ColumnKind::Text, &["\"a b\"", r#""\"\u00e4\"""#, "1", "null"]);
        let cells: Vec<_> = array.as_string::<i32>().iter().collect();
        assert_eq!(cells, [None, Some("a b"), Some("\"ä\""), None, None]);

        let array = column(ColumnKind::Json, &[r#"{"a": [1]}"#, "null", "1.50"]);
        let cells: Vec<_> = array.as_string::<i32>().iter().collect();
        assert_eq!(cells, [None, Some(r#"{"a": [1]}"#), None, Some("1.50")]);
    }

    #[test]
    fn an_instant_is_in_microseconds_of_utc_whatever_its_offset() {
        let array = column(
            ColumnKind::Timestamp,
            &[
                "\"1970-01-01T01:00:00.000001+01:00\"",
                "\"2099-12-31T23:59:59Z\"",
                "\"yesterday\"",
                "7",
            ],
        );
        let cells: Vec<_> = array.as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(cells, [None, Some(1), Some(4_102_444_799_000_000), None, None]);
        assert_eq!(array.data_type(), &data_type(ColumnKind::Timestamp));
    }
}
