//! Event times and durations as texts, and back.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::path::FieldPath;
use crate::tree::Scalar;
use crate::tree::Tree;

/// How a stream writes its event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TimeFormat {
    /// RFC 3339 with an offset, such as `2026-01-01T00:00:00.123Z`.
    Rfc3339,
    /// A number of seconds since 1970-01-01T00:00:00Z; fractions allowed.
    UnixSeconds,
    /// A whole number of milliseconds since 1970-01-01T00:00:00Z.
    UnixMillis,
}

/// An event time that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventTimeError {
    /// The field is missing or `null`.
    #[error("the event time `{0}` is missing or null")]
    Missing(String),
    /// The field has another form than declared.
    #[error("the event time `{path}` is not {expected}")]
    Form {
        /// The field.
        path: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The time is outside of the years 0001 to 9999.
    #[error("the event time `{0}` is outside of the years 0001 to 9999")]
    Range(String),
}

const MIN_MILLIS: i64 = -62_135_596_800_000;
const MAX_MILLIS: i64 = 253_402_300_799_999;

/// Reads the event time of an event, in milliseconds since 1970-01-01T00:00:00Z. Finer digits are
/// cut off towards the past.
///
/// # Errors
/// When the field is missing, of another form, or outside of the years 0001 to 9999.
pub fn event_time<T: Tree>(
    value: &T,
    path: &FieldPath,
    format: TimeFormat,
) -> Result<i64, EventTimeError> {
    let form = |expected| EventTimeError::Form { path: path.to_string(), expected };
    let field = match path.find(value).map(Tree::scalar) {
        None | Some(Scalar::Null) => return Err(EventTimeError::Missing(path.to_string())),
        Some(field) => field,
    };
    let millis = match (format, field) {
        (TimeFormat::Rfc3339, Scalar::Time(millis))
        | (TimeFormat::UnixMillis, Scalar::Integer(millis)) => millis,
        (TimeFormat::Rfc3339, field) => match field {
            Scalar::Text(text) => parse_rfc3339(text),
            _ => None,
        }
        .ok_or_else(|| form("an RFC 3339 time with an offset"))?,
        (TimeFormat::UnixSeconds, Scalar::Integer(seconds)) => seconds.saturating_mul(1000),
        // The range check below refuses what the cast saturates.
        #[expect(clippy::cast_possible_truncation)]
        (TimeFormat::UnixSeconds, Scalar::Float(seconds)) => (seconds * 1000.0).floor() as i64,
        (TimeFormat::UnixSeconds, _) => return Err(form("a number of seconds since 1970")),
        (TimeFormat::UnixMillis, _) => {
            return Err(form("a whole number of milliseconds since 1970"));
        }
    };
    if (MIN_MILLIS..=MAX_MILLIS).contains(&millis) {
        Ok(millis)
    } else {
        Err(EventTimeError::Range(path.to_string()))
    }
}

/// Milliseconds since 1970 of a time in RFC 3339; none if the text is not one.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let nanos = text.parse::<Timestamp>().ok()?.as_nanosecond();
    i64::try_from(nanos.div_euclid(1_000_000)).ok()
}

/// Milliseconds since 1970 as RFC 3339 text in UTC; numbers out of range as digits.
#[must_use]
pub fn rfc3339(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| time.to_string())
}

/// A text that is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a duration: write a number and a unit (ms, s, m, h, d), such as `500ms` or `1m30s`"
)]
pub struct ParseDurationError(pub String);

/// Reads a duration such as `50ms`, `1m30s` or `7d`.
///
/// # Errors
/// When the text is empty, a number has no unit or fraction digits, or the sum overflows.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let error = || ParseDurationError(text.to_owned());
    let mut total = 0_u64;
    let mut rest = text;
    if rest.is_empty() {
        return Err(error());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u64 = rest[..digits].parse().map_err(|_| error())?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let millis = match &after[..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(error()),
        };
        total = number
            .checked_mul(millis)
            .and_then(|part| total.checked_add(part))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(error)?;
        rest = &after[unit_end..];
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    fn time(json: &str, format: TimeFormat) -> Result<i64, EventTimeError> {
        let event: Value = serde_json::from_str(&format!(r#"{{"t": {json}}}"#)).unwrap();
        event_time(&event, &".t".parse().unwrap(), format)
    }

    #[test]
    fn each_format_reads_to_milliseconds() {
        assert_eq!(time("1541693114862", TimeFormat::UnixMillis), Ok(1_541_693_114_862));
        assert_eq!(time("1541693114", TimeFormat::UnixSeconds), Ok(1_541_693_114_000));
        assert_eq!(time("1.25", TimeFormat::UnixSeconds), Ok(1250));
        assert_eq!(
            time("\"2026-01-01T01:00:00.123456+01:00\"", TimeFormat::Rfc3339),
            Ok(1_767_225_600_123)
        );
        assert_eq!(time("\"1969-12-31T23:59:59.9999Z\"", TimeFormat::Rfc3339), Ok(-1));
    }

    #[test]
    fn a_time_of_another_form_is_refused_with_the_expected_form() {
        for (json, format) in [
            ("\"2026-01-01\"", TimeFormat::Rfc3339),
            ("\"1541693114862\"", TimeFormat::UnixMillis),
            ("1.5", TimeFormat::UnixMillis),
            ("true", TimeFormat::UnixSeconds),
        ] {
            assert!(matches!(time(json, format), Err(EventTimeError::Form { .. })), "{json}");
        }
        assert_eq!(time("null", TimeFormat::UnixMillis), Err(EventTimeError::Missing(".t".into())));
        assert_eq!(time("9e15", TimeFormat::UnixSeconds), Err(EventTimeError::Range(".t".into())));
        assert_eq!(time("1e300", TimeFormat::UnixSeconds), Err(EventTimeError::Range(".t".into())));
    }

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(parse_duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_hours(168)));
        for bad in [
            "",
            "5",
            "1.5s",
            "s",
            "5 s",
            "-1s",
            "5y",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(parse_duration(bad), Err(ParseDurationError(bad.to_owned())), "{bad}");
        }
    }
}
