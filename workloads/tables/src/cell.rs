//! Cells: values of columns, from events, from texts, and to JSON.
//!
//! Types, ranges and lengths are checked here, before any database sees a value, so that every
//! database holds the same content.

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::DateTime;
use millrace_core::Value;
use millrace_core::borrowed::Borrowed;
use millrace_core::event::text;
use millrace_plan::model::ColumnType;
use serde::Serialize;
use serde::Serializer;
use serde::ser::Error as _;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Longest text or JSON in a cell, in bytes.
pub const MAX_CELL_BYTES: usize = 1 << 20;

/// Longest text in a cell of the primary key, in bytes; all of them together fit an index of any
/// of the databases.
pub const MAX_KEY_CELL_BYTES: usize = 512;

/// The year 0001 begins, in microseconds since 1970.
const MIN_MICROS: i64 = -62_135_596_800_000_000;
/// The year 9999 ends, in microseconds since 1970.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// UTF-8 without NUL.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A finite number; never -0.0.
    Double(f64),
    /// A truth value.
    Boolean(bool),
    /// Microseconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
    Timestamp(i64),
    /// A UUID.
    Uuid(Uuid),
    /// JSON text in canonical form: no spaces, fields ordered by name.
    Json(String),
}

/// A value that a column cannot hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CellError {
    /// Another type.
    #[error("is {found}, not {expected}")]
    Type {
        /// What the column holds.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// A text of another form.
    #[error("`{text}` is not {expected}")]
    Form {
        /// What the column holds.
        expected: &'static str,
        /// What came, cut to 64 characters.
        text: String,
    },
    /// A number or time out of range.
    #[error("is outside of {0}")]
    Range(&'static str),
    /// NUL, which not every database can store.
    #[error("contains the character NUL")]
    Nul,
    /// Too long.
    #[error("has {0} bytes; at most {1} are allowed")]
    TooLong(usize, usize),
}

impl Cell {
    /// The cell of an event's value. `null` is [`Cell::Null`].
    ///
    /// Integers take whole floating-point numbers up to 2^53 too. Timestamps take RFC 3339 text,
    /// and integers as milliseconds since 1970; digits beyond the microsecond are cut off towards
    /// the past.
    ///
    /// # Errors
    /// When the value is of another type, out of range or too long.
    pub fn from_value(value: &Value, kind: ColumnType) -> Result<Self, CellError> {
        let wrong = || CellError::Type { expected: expected(kind), found: found(value) };
        if matches!(value, Value::Null) {
            return Ok(Self::Null);
        }
        match kind {
            ColumnType::Text => {
                checked_text(text(value).ok_or_else(wrong)?).map(|text| Self::Text(text.to_owned()))
            }
            ColumnType::Integer => match value {
                Value::Integer(number) => Ok(Self::Integer(*number)),
                Value::Float(number) => whole(number.into_inner()).map(Self::Integer),
                _ => Err(wrong()),
            },
            ColumnType::Double => match value {
                // Doubles hold every integer up to 2^53; larger ones are rounded as JSON does.
                #[expect(clippy::cast_precision_loss)]
                Value::Integer(number) => Ok(Self::Double(*number as f64)),
                Value::Float(number) => finite(number.into_inner()),
                _ => Err(wrong()),
            },
            ColumnType::Boolean => match value {
                Value::Boolean(truth) => Ok(Self::Boolean(*truth)),
                _ => Err(wrong()),
            },
            ColumnType::Timestamp => match value {
                Value::Timestamp(time) => timestamp(Some(time.timestamp_micros())),
                Value::Integer(millis) => timestamp(millis.checked_mul(1000)),
                _ => Self::parse(text(value).ok_or_else(wrong)?, kind),
            },
            ColumnType::Uuid => Self::parse(text(value).ok_or_else(wrong)?, kind),
            ColumnType::Json => {
                let json = serde_json::to_string(value).map_err(|_| wrong())?;
                limited(json.len(), MAX_CELL_BYTES).map(|()| Self::Json(json))
            }
        }
    }

    /// The same of a value that lies where it was read from. None where the long way has to say
    /// what is wrong, or what it is as JSON.
    pub(crate) fn from_borrowed(value: Option<&Borrowed<'_>>, kind: ColumnType) -> Option<Self> {
        match (value, kind) {
            (None | Some(Borrowed::Null), _) => Some(Self::Null),
            (Some(Borrowed::Text(value)), ColumnType::Text) => {
                checked_text(value).ok().map(|text| Self::Text(text.to_owned()))
            }
            (Some(Borrowed::Text(value)), ColumnType::Timestamp | ColumnType::Uuid) => {
                Self::parse(value, kind).ok()
            }
            (Some(Borrowed::Integer(number)), ColumnType::Integer) => Some(Self::Integer(*number)),
            (Some(Borrowed::Integer(millis)), ColumnType::Timestamp) => {
                timestamp(millis.checked_mul(1000)).ok()
            }
            // As above.
            #[expect(clippy::cast_precision_loss)]
            (Some(Borrowed::Integer(number)), ColumnType::Double) => {
                Some(Self::Double(*number as f64))
            }
            (Some(Borrowed::Float(number)), ColumnType::Double) => finite(*number).ok(),
            (Some(Borrowed::Boolean(truth)), ColumnType::Boolean) => Some(Self::Boolean(*truth)),
            _ => None,
        }
    }

    /// The cell that a text stands for: a key, a header, a parameter of a request.
    ///
    /// # Errors
    /// When the text has another form than the type wants, is out of range or too long.
    pub fn parse(from: &str, kind: ColumnType) -> Result<Self, CellError> {
        let form =
            || CellError::Form { expected: expected(kind), text: from.chars().take(64).collect() };
        match kind {
            ColumnType::Text => checked_text(from).map(|text| Self::Text(text.to_owned())),
            ColumnType::Integer => from.parse().map(Self::Integer).map_err(|_| form()),
            ColumnType::Double => from.parse().map_err(|_| form()).and_then(finite),
            ColumnType::Boolean => from.parse().map(Self::Boolean).map_err(|_| form()),
            ColumnType::Timestamp => match from.parse::<i64>() {
                Ok(millis) => timestamp(millis.checked_mul(1000)),
                Err(_) => timestamp(Some(read_time(from).ok_or_else(form)?)),
            },
            ColumnType::Uuid => Uuid::parse_str(from).map(Self::Uuid).map_err(|_| form()),
            ColumnType::Json => {
                let value: Value = serde_json::from_str(from).map_err(|_| form())?;
                match Self::from_value(&value, kind)? {
                    Self::Null => Ok(Self::Json("null".to_owned())),
                    json => Ok(json),
                }
            }
        }
    }

    /// Checks the limit of cells of a primary key.
    ///
    /// # Errors
    /// When the text is longer.
    pub fn check_key_length(&self) -> Result<(), CellError> {
        match self {
            Self::Text(text) | Self::Json(text) => limited(text.len(), MAX_KEY_CELL_BYTES),
            _ => Ok(()),
        }
    }
}

fn expected(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "a text",
        ColumnType::Integer => "an integer",
        ColumnType::Double => "a number",
        ColumnType::Boolean => "`true` or `false`",
        ColumnType::Timestamp => {
            "a time: RFC 3339 with an offset, or whole milliseconds since 1970"
        }
        ColumnType::Uuid => "a UUID",
        ColumnType::Json => "JSON",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Bytes(_) | Value::String(_) => "a text",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "`true` or `false`",
        Value::Timestamp(_) => "a time",
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::Null => "null",
        Value::Regex(_) => "a regular expression",
    }
}

fn checked_text(text: &str) -> Result<&str, CellError> {
    limited(text.len(), MAX_CELL_BYTES)?;
    if text.contains('\0') { Err(CellError::Nul) } else { Ok(text) }
}

fn limited(length: usize, limit: usize) -> Result<(), CellError> {
    if length > limit { Err(CellError::TooLong(length, limit)) } else { Ok(()) }
}

/// Whole numbers that a double holds exactly.
fn whole(number: f64) -> Result<i64, CellError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 {
        return Err(CellError::Type { expected: "an integer", found: "a number with a fraction" });
    }
    if number.abs() > EXACT {
        return Err(CellError::Range("the integers of 64 bits, or is not exact"));
    }
    // Whole and within 2^53.
    #[expect(clippy::cast_possible_truncation)]
    Ok(number as i64)
}

/// -0.0 becomes 0.0, because not every database keeps the difference.
fn finite(number: f64) -> Result<Cell, CellError> {
    if number.is_finite() {
        Ok(Cell::Double(number + 0.0))
    } else {
        Err(CellError::Range("the finite numbers"))
    }
}

fn timestamp(micros: Option<i64>) -> Result<Cell, CellError> {
    micros
        .filter(|micros| (MIN_MICROS..=MAX_MICROS).contains(micros))
        .map(Cell::Timestamp)
        .ok_or(CellError::Range("the years 0001 to 9999"))
}

/// Instants are read and shown as civil times in UTC where `jiff::Timestamp` does not reach: it
/// ends a day before the year 9999 does.
fn read_time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return i64::try_from(time.as_nanosecond().div_euclid(1000)).ok();
    }
    let time: DateTime = text.strip_suffix(['Z', 'z'])?.parse().ok()?;
    i64::try_from(time.duration_since(epoch()).as_nanos().div_euclid(1000)).ok()
}

fn epoch() -> DateTime {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
}

impl Serialize for Cell {
    /// As JSON: times as RFC 3339 in UTC with as many digits as they need, JSON as itself.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Double(number) => serializer.serialize_f64(*number),
            Self::Boolean(truth) => serializer.serialize_bool(*truth),
            Self::Timestamp(micros) => {
                match epoch().checked_add(SignedDuration::from_micros(*micros)) {
                    Ok(time) => serializer.collect_str(&format_args!("{time}Z")),
                    Err(_) => serializer.serialize_i64(*micros),
                }
            }
            Self::Uuid(uuid) => serializer.collect_str(uuid),
            Self::Json(json) => serde_json::from_str::<&RawValue>(json)
                .map_err(S::Error::custom)?
                .serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell(json: &str, kind: ColumnType) -> Result<Cell, CellError> {
        Cell::from_value(&serde_json::from_str(json).unwrap(), kind)
    }

    fn json() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
            any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
            Just("-0.0".to_owned()),
            Just("1541693114862".to_owned()),
            Just("\"2026-01-01T01:00:00.1234567+01:00\"".to_owned()),
            Just("\"00000000-0000-0000-0000-00000000000A\"".to_owned()),
            Just("true".to_owned()),
            Just("null".to_owned()),
            Just(r#"{"b": [1, 2.50], "a": null}"#.to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn a_cell_is_the_same_whichever_way_it_is_read(json in json()) {
            let borrowed: Borrowed<'_> = serde_json::from_str(&json).unwrap();
            for kind in [
                ColumnType::Text,
                ColumnType::Integer,
                ColumnType::Double,
                ColumnType::Boolean,
                ColumnType::Timestamp,
                ColumnType::Uuid,
                ColumnType::Json,
            ] {
                if let Some(quick) = Cell::from_borrowed(Some(&borrowed), kind) {
                    prop_assert_eq!(Ok(quick), cell(&json, kind));
                }
            }
        }
    }

    #[test]
    fn each_type_takes_its_values() {
        assert_eq!(cell("\"ä\"", ColumnType::Text), Ok(Cell::Text("ä".into())));
        assert_eq!(cell("7", ColumnType::Integer), Ok(Cell::Integer(7)));
        assert_eq!(cell("7.0", ColumnType::Integer), Ok(Cell::Integer(7)));
        assert_eq!(cell("7", ColumnType::Double), Ok(Cell::Double(7.0)));
        assert_eq!(cell("true", ColumnType::Boolean), Ok(Cell::Boolean(true)));
        assert_eq!(
            cell("1541693114862", ColumnType::Timestamp),
            Ok(Cell::Timestamp(1_541_693_114_862_000))
        );
        assert_eq!(
            cell("\"2026-01-01T01:00:00.1234567+01:00\"", ColumnType::Timestamp),
            Ok(Cell::Timestamp(1_767_225_600_123_456))
        );
        assert_eq!(
            cell("\"00000000-0000-0000-0000-00000000000A\"", ColumnType::Uuid),
            Ok(Cell::Uuid(Uuid::from_u128(10)))
        );
        assert_eq!(
            cell(r#"{"b": [1, 2.50], "a": null}"#, ColumnType::Json),
            Ok(Cell::Json(r#"{"a":null,"b":[1,2.5]}"#.into()))
        );
        assert_eq!(cell("null", ColumnType::Json), Ok(Cell::Null));
    }

    #[test]
    fn what_a_column_cannot_hold_is_refused_with_the_reason() {
        let reason = |json, kind| cell(json, kind).unwrap_err().to_string();
        assert_eq!(reason("1", ColumnType::Text), "is an integer, not a text");
        assert_eq!(reason("\"1\"", ColumnType::Integer), "is a text, not an integer");
        assert_eq!(
            reason("1.5", ColumnType::Integer),
            "is a number with a fraction, not an integer"
        );
        assert_eq!(
            reason("1e18", ColumnType::Integer),
            "is outside of the integers of 64 bits, or is not exact"
        );
        assert_eq!(reason("{}", ColumnType::Boolean), "is an object, not `true` or `false`");
        assert_eq!(reason("\"a\\u0000b\"", ColumnType::Text), "contains the character NUL");
        assert_eq!(
            reason("9e18", ColumnType::Timestamp),
            "is a number with a fraction, not a time: RFC 3339 with an offset, or whole \
             milliseconds since 1970"
        );
        assert_eq!(
            reason("300000000000000", ColumnType::Timestamp),
            "is outside of the years 0001 to 9999"
        );
        assert_eq!(reason("\"x\"", ColumnType::Uuid), "`x` is not a UUID");
        let long = format!("\"{}\"", "x".repeat(MAX_CELL_BYTES + 1));
        assert_eq!(
            reason(&long, ColumnType::Text),
            "has 1048577 bytes; at most 1048576 are allowed"
        );
    }

    #[test]
    fn times_are_shown_in_utc_with_the_digits_that_they_need() {
        let shown = |micros| serde_json::to_string(&Cell::Timestamp(micros)).unwrap();
        assert_eq!(shown(0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(shown(1_541_693_114_862_000), "\"2018-11-08T16:05:14.862Z\"");
        assert_eq!(shown(-1), "\"1969-12-31T23:59:59.999999Z\"");
        assert_eq!(shown(MAX_MICROS), "\"9999-12-31T23:59:59.999999Z\"");
        assert_eq!(shown(MIN_MICROS), "\"0001-01-01T00:00:00Z\"");
    }

    #[test]
    fn the_last_instant_reads_back() {
        let last = "9999-12-31T23:59:59.999999Z";
        assert_eq!(Cell::parse(last, ColumnType::Timestamp), Ok(Cell::Timestamp(MAX_MICROS)));
        assert!(Cell::parse("9999-12-31", ColumnType::Timestamp).is_err());
    }

    proptest! {
        #[test]
        fn a_shown_cell_reads_back_as_the_same_cell(
            number in any::<i64>(),
            double in proptest::num::f64::NORMAL,
            micros in MIN_MICROS..=MAX_MICROS,
            text in "[^\0]{0,20}",
        ) {
            for (cell, kind) in [
                (Cell::Integer(number), ColumnType::Integer),
                (Cell::Double(double), ColumnType::Double),
                (Cell::Timestamp(micros), ColumnType::Timestamp),
                (Cell::Text(text), ColumnType::Text),
            ] {
                let json = serde_json::to_string(&cell).unwrap();
                prop_assert_eq!(super::tests::cell(&json, kind), Ok(cell));
            }
        }

        #[test]
        fn canonical_json_is_a_fixed_point(text in "\\PC{0,10}", number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let json = serde_json::json!({"z": [text, number], "a": {"y": number, "b": true}});
            let Ok(Cell::Json(once)) = cell(&json.to_string(), ColumnType::Json) else {
                return Err(TestCaseError::fail("not JSON"));
            };
            prop_assert_eq!(cell(&once, ColumnType::Json), Ok(Cell::Json(once)));
        }
    }
}
